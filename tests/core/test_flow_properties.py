"""Whatever people send, and whatever becomes of the file meanwhile, a flow is somewhere its file names."""

from datetime import timedelta

import bson
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from gateway.core import flows
from gateway.core.flow_parts.definition import TEXT_LIMIT
from gateway.core.flow_parts.state import STORED_LIMIT
from gateway.core.flows import State
from tests.core.flow_samples import AT, RICH, parsed, rich, shipped

# The rich flow as it may look after its owner edited it: steps and options gone, added, renamed, or stricter.
CHANGED = [
    RICH,
    RICH.replace("version = 3", "version = 4").replace('"Garden", ', "").replace('Garden = "contact", ', ""),
    RICH.replace("[steps.voucher]", "[steps.coupon]"),
    RICH.replace("max = 500", "max = 30").replace("max = 200", "max = 5"),
    RICH.replace('kind = "number"\n', 'kind = "choice"\noptions = ["2", "4", "20"]\n')
    .replace("min = 1\nmax = 500\n", "")
    .replace(
        'next = [{ if = "guests >= 100", go = "large" }, { if = "guests > 20", go = "hall" }, { go = "day" }]',
        'next = { 2 = "large", 4 = "hall", 20 = "day" }',
    ),
]
FLOWS = [shipped("bulk_order"), shipped("callback"), *map(parsed, CHANGED)]

SAID = """
yes|no|1|2|3|20|4|20 shirts and 5 caps|a dozen fish|meat x 3|Hari|I'm Hari|my name is Hari|h@example.com|8848850922
Name is Hari and phone number is 8848850922 and email is h@example.com|no, the e-mail is x@y.com|tomorrow at 5 pm
next friday|12/11|change the guests to 30|guests is wrong|make it 30 shirts|remove the caps|Hari, not Harry|150|25
the quiet corner|window|garden please|main street|airport|skip|AB-1234|change|something else|what?|never mind|cancel
laat maar|jawohl|the phone is wrong|phone: 030 1234567; name: Anna||*|#|1*20|محمد علي|हरि|ja|👍|menu|2 fish|eh|at 6 pm
"""
WORDS = st.sampled_from(SAID.replace("\n", "|").split("|"))
TEXTS = st.one_of(
    WORDS,
    WORDS,
    WORDS,
    st.lists(WORDS, max_size=4).map(" ".join),
    st.text(max_size=60),
    st.text().map(lambda text: text * 400),
)
MESSAGES = st.tuples(st.just("say"), TEXTS, st.booleans(), st.booleans())
DIGITS = st.tuples(st.just("say"), st.text("0123456789*#", max_size=14), st.just(True), st.just(True))
EVENTS = st.one_of(
    MESSAGES, MESSAGES, DIGITS,
    st.tuples(st.just("wait"), st.integers(0, 100_000)),
    st.tuples(st.just("edit"), st.integers(0, len(CHANGED) - 1)),
    st.tuples(st.sampled_from(["cancel", "expire"])),
)  # fmt: skip


def check(flow, advance):
    state = advance.state
    stored = state.as_stored()
    assert state.step in (flow.endings if state.outcome else flow.steps)
    assert not state.outcome or flow.endings[state.step].outcome == state.outcome
    assert advance.outcome.is_end == (not state.is_active)
    assert state.is_active or not state.asking
    assert len(bson.encode(stored)) < STORED_LIMIT
    assert State.read(bson.decode(bson.encode(stored), bson.CodecOptions(tz_aware=True))) == state
    assert len(advance.text) <= TEXT_LIMIT
    assert not state.is_active or (advance.text and advance.spoken and advance.choices == flows.offered(flow, state))
    for done in advance.completions:
        assert all(isinstance(value, str) for value in done.parameters.values())


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.sampled_from(FLOWS), TEXTS, st.lists(EVENTS, max_size=25))
def test_no_sequence_of_inputs_leaves_a_flow_where_its_file_has_no_name_for(flow, opening, events):
    at = AT
    advance = flows.begin(flow, run="run", at=at, by="m", text=opening, values={"name": opening, "phone": "8848850922"})
    check(flow, advance)
    for number, (kind, *rest) in enumerate(events):
        before = State.read(advance.state.as_stored())
        if kind == "wait":
            at += timedelta(seconds=rest[0])
            continue
        if kind == "edit":
            flow = FLOWS[2 + rest[0]] if flow.name == "table" else flow
            continue
        advance = act(flow, before, kind, rest, at=at, by=f"m{number}")
        if before.is_active:
            assert advance.state.advanced_by == f"m{number}"
            check(flow, advance)
        else:
            assert advance.state == before, "an end is an end"


def act(flow, state, kind, rest, **given):
    if kind != "say":
        return {"cancel": flows.cancel, "expire": flows.expire}[kind](flow, state, **given)
    text, spoken, digits = rest
    advance = flows.step(flow, state, text, spoken=spoken, digits=digits, **given)
    assert advance == flows.step(flow, state, text, spoken=spoken, digits=digits, **given), "the same again is the same"
    return advance


STORED = st.one_of(
    st.text(), st.integers(), st.none(), st.lists(st.text()), st.dictionaries(st.text(), st.text()), st.floats()
)


@settings(max_examples=150, deadline=None)
@given(st.dictionaries(st.sampled_from(sorted(rich().fields)), STORED), TEXTS)
def test_whatever_was_stored_the_next_message_is_answered(values, text):
    state = flows.begin(rich(), run="run", at=AT, by="m").state.as_stored() | {"values": values}
    check(rich(), flows.step(rich(), State.read(state), text, at=AT, by="n"))
