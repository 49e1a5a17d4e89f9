"""What is wrong with a flow's file is said with file, place, key and remedy."""

import pytest

from gateway.core import flows
from gateway.core.flow_parts.patterns import fault_of
from gateway.core.flows import FlowError
from tests.core.flow_samples import parsed, rich, shipped

GOOD = """
title = "Order"

[steps.quantity]
kind = "number"
prompt = "How many?"

[steps.sure]
confirm = true
"""


def faults(text):
    with pytest.raises(FlowError) as refused:
        parsed(text, "config/flows/order.toml")
    return str(refused.value).split("\n")


def with_step(keys):
    return f'title = "Order"\n[steps.quantity]\nprompt = "How many?"\n{keys}\n'


@pytest.mark.parametrize("flow", [shipped("bulk_order"), shipped("callback"), rich(), parsed(GOOD)])
def test_a_good_file_is_read(flow):
    assert {"completed", "canceled", "given_up", "expired"} <= set(flow.endings)


def test_a_flow_is_named_after_its_file_and_has_sensible_defaults():
    flow = parsed(GOOD, "config/flows/order.toml", timezone="Asia/Kolkata")
    assert (flow.name, flow.version, str(flow.zone), flow.timeout.total_seconds()) == (
        "order",
        1,
        "Asia/Kolkata",
        86400,
    )
    assert flow.steps["quantity"].tries == 3


STEP = 'config/flows/order.toml: step "quantity": '
KINDS = "name, phone, email, number, date, choice, yes_no, items, text, regex"


@pytest.mark.parametrize(
    ("keys", "fault"),
    [
        ('kind = "numbr"', f"key \"kind\" is 'numbr'. Choose one of {KINDS}. Did you mean number?"),
        ("kind = 5", f'key "kind" is 5. Choose one of {KINDS}.'),
        ('kind = "number"\nmni = 1', 'key "mni" is not known. Did you mean min?'),
        ('kind = "number"\nmin = "1"', "key \"min\" is '1'. Write a number."),
        ('kind = "number"\nmin = 5\nmax = 2', 'key "min" is 5. It is above "max", 2. Swap them.'),
        ('kind = "number"\noptional = "yes"', "key \"optional\" is 'yes'. Write true or false, without quotes."),
        ('kind = "number"\ntries = 0', 'key "tries" is 0. Write a whole number from 1 to 10.'),
        (
            'kind = "name"\nmin = 1',
            'key "min" means nothing to kind "name". Remove it; it is for number and items and text.',
        ),
        ('kind = "choice"', 'key "options" is missing. Add what there is to choose: options = ["Blue", "Red"].'),
        ('kind = "choice"\noptions = []', 'key "options" is []. Write a list of 1 to 30 options: ["Blue", "Red"].'),
        ('kind = "choice"\noptions = ["a", "a"]', 'key "options": an option stands there twice. Remove one.'),
        (
            'kind = "choice"\noptions = [{ value = "a", words = ["x"] }, { value = "b", words = ["X"] }]',
            "key \"options\": 'X' stands for both 'a' and 'b'. Keep it in one.",
        ),
        (
            'kind = "choice"\noptions = [{ value = "a", key = "1" }, { value = "b", key = "1" }]',
            "key \"options\": key '1' is on both 'a' and 'b'. Give each its own.",
        ),
        (
            'kind = "choice"\noptions = [{ value = "a", key = "1" }, "b"]',
            'key "options": some options have a "key" and some have none. Give one to all, or to none.',
        ),
        ('kind = "regex"', "key \"pattern\" is missing. Add it: pattern = '[A-Z]{2}\\d{4}'."),
        ('kind = "text"\nmax = 5000', 'key "max" is 5000. A text has 1000 characters at most. Lower it.'),
        ('kind = "number"\nconfirm = true', 'key "kind" stands beside "collect" or "confirm". Keep one of them.'),
        (
            'label = "Amount"',
            'key "label" belongs to a field. Add kind = "..." to this step, or move it to [fields.NAME].',
        ),
        ('collect = ["amount"]', "key \"collect\" has 'amount', which is no field. Add [fields.amount]."),
        (
            'kind = "number"\nnext = "nowhere"',
            "key \"next\" leads to 'nowhere', which is no step and no ending. Choose one of quantity, "
            "completed, canceled, "
            "given_up, expired.",
        ),
        (
            'kind = "number"\nnext = "complete"',
            "key \"next\" leads to 'complete', which is no step and no ending. Did you mean completed?",
        ),
        (
            'kind = "number"\nnext = 5',
            'key "next" is 5. Write a step: "pickup"; a step for each answer: { yes = "pickup", no = "delivery" }; or '
            'conditions: [{ if = "quantity >= 100", go = "manager" }, { go = "pickup" }].',
        ),
        (
            'kind = "number"\nnext = [{ if = "quantity is big", go = "completed" }]',
            'key "next", 1: key "if" is \'quantity is big\'. Write a field, =, !=, <, <=, > or >=, and a value: '
            '"quantity >= 100".',
        ),
        (
            'kind = "number"\nnext = [{ if = "quantiti > 5", go = "completed" }]',
            "key \"next\": 'quantiti' is no field. Did you mean quantity?",
        ),
        (
            'kind = "number"\nnext = [{ if = "quantity > many", go = "completed" }]',
            "key \"next\": 'many' is no number, and 'quantity' is compared with numbers. Write one.",
        ),
        (
            'kind = "name"\nnext = [{ if = "quantity > 5", go = "completed" }]',
            "key \"next\": '>' is for numbers and items. Use = or != with 'quantity'.",
        ),
        (
            'kind = "choice"\noptions = ["a", "b"]\nnext = { a = "completed", c = "canceled" }',
            "key \"next\": 'c' is no option of 'quantity'. Choose one of a, b.",
        ),
        (
            'kind = "yes_no"\nnext = { maybe = "completed" }',
            "key \"next\": 'maybe' is no answer to 'quantity'. Choose yes or no.",
        ),
        (
            'kind = "number"\ngive_up = "later"',
            "key \"give_up\" is 'later'. Choose an ending: completed, canceled, given_up, expired.",
        ),
        (
            'kind = "number"\nretry = "Not {quantty}."',
            'key "retry" has {quantty}, which no step collects. Did you mean quantity?',
        ),
        (
            'kind = "number"\nretry = "Not {Quantity}."',
            'key "retry" has a brace that is no placeholder. Write {name}, with small letters, digits and _.',
        ),
        (
            'kind = "number"\nretry_spoken = "Again."',
            'key "retry_spoken" stands without "retry". Add retry: whoever writes is asked as well.',
        ),
        (
            'kind = "number"\nalso = "amount"',
            'key "also" is \'amount\'. Write a list of words of at most 80 characters: ["one", "another"].',
        ),
        ('kind = "number"\nnext = "quantity"', None),
    ],
)
def test_a_step_that_cannot_be_used_says_which_key_and_what_to_do(keys, fault):
    found = faults(with_step(keys))
    if fault is None:
        fault = 'no way leads to a completed end. Let the last step go on: next = "completed".'
        assert found == [f"config/flows/order.toml: {fault}"]
    else:
        assert found == [STEP + fault]


@pytest.mark.parametrize(
    ("text", "fault"),
    [
        ("", 'key "title" is missing. Add it: title = "...".'),
        (
            'title = "x"',
            'has no steps. Add at least one: [steps.name] with prompt = "What is your name?" and kind = "name".',
        ),
        (
            GOOD.replace('"Order"', '"Order"\nversion = "2"'),
            "key \"version\" is '2'. Write a whole number from 1 to 1000000.",
        ),
        (GOOD.replace('"Order"', '"Order"\nstep = 2'), 'key "step" is not known. Did you mean steps?'),
        (
            GOOD.replace('"Order"', '"Order"\ntimezone = "Berlin"'),
            "key \"timezone\" is 'Berlin'. Write an IANA time zone such as Europe/Berlin.",
        ),
        (
            GOOD.replace('"Order"', '"Order"\ntimeout_minutes = 0'),
            'key "timeout_minutes" is 0. Write a number from 1 to 43200.',
        ),
        (
            GOOD + '[steps."Fancy name"]\nprompt = "x"',
            'step "Fancy name" has no usable name. Use small letters, digits and _, up to 40, a letter first.',
        ),
        (
            GOOD.replace('"Order"', '"Order"\nsteps = 5').split("[steps")[0],
            'key "steps" is 5. Write each step as [steps.name].',
        ),
        (
            GOOD + "[fields.size]\nprompt = '?'",
            f'field "size": key "kind" is missing. Add it: kind = "text", or another of {KINDS}.',
        ),
        (
            GOOD + "[fields.size]\nkind = 'text'",
            'field "size" is collected by no step. Add it to the "collect" of one, or remove it.',
        ),
        (GOOD + "[steps.completed]\nprompt = 'x'", 'step "completed" has the name of an ending. Rename it.'),
        (
            GOOD + "[steps.summary]\nkind = 'text'",
            '"summary" cannot be the name of a step or field: texts use it. Rename it.',
        ),
        (
            GOOD + "[steps.amount]\nkind = 'number'\nalso = ['quantity']",
            'field "amount": \'quantity\' is also what field "quantity" is called. Change label or "also".',
        ),
        (GOOD + "[steps.more]\nlabel = 'x'", None),
        (
            GOOD.replace("[steps.quantity]", "[steps.quantity]\nnext = 'completed'"),
            'step "sure" is reached from nowhere. Lead to it with "next", or remove it.',
        ),
        (
            GOOD + "[endings.sold_out]\ntext = 'x'",
            'ending "sold_out" is reached from nowhere. Lead to it with "next" or "give_up", or remove it.',
        ),
        (
            GOOD + "[steps.one]\nprompt = 'x'\n[steps.two]\nprompt = 'y'\nnext = [{ if = 'quantity > 5', go = 'one' }]",
            'step "one" leads back to itself, and nothing on the way asks anything. Ask, or lead on.',
        ),
        (
            GOOD + "[endings.completed]\ntext = 'For {name}.'",
            'ending "completed": key "text" has {name}, which no step collects. Remove it, or collect it.',
        ),
        (
            GOOD + "[endings.completed]\noutcome = 'completed'",
            'ending "completed": key "outcome" is given by the name "completed". Remove it.',
        ),
        (
            GOOD + "[endings.sold_out]\noutcome = 'sold'",
            'ending "sold_out": key "outcome" is \'sold\'. Choose one of completed, canceled, given_up.',
        ),
        (
            GOOD + "[endings.completed]\ndo = 'tag'",
            'ending "completed": key "do" is \'tag\'. Write a list of up to 10 actions: [{ action = "tag", '
            'tag = "order" }].',
        ),
        (
            GOOD + "[endings.completed]\ndo = [{ tag = 'x' }]",
            'ending "completed": key "do", 1: key "action" is missing. Choose one of message, capture, '
            "post, tag, hand_over.",
        ),
        (
            GOOD + "[endings.completed]\ndo = [{ action = 'tags', tag = 'x' }]",
            'ending "completed": key "do", 1: key "action" is \'tags\'. Choose one of message, capture, '
            "post, tag, hand_over. Did you mean tag?",
        ),
        (
            GOOD + "[endings.completed]\ndo = [{ action = 'tag' }]",
            'ending "completed": key "do", 1: key "tag" is missing. Add it: tag = "...".',
        ),
        (
            GOOD + "[endings.completed]\ndo = [{ action = 'capture' }]",
            'ending "completed": key "do", 1: says nothing to capture. Add name = "{name}", email = '
            '"{email}" or phone = "{phone}".',
        ),
        (
            GOOD + "[endings.completed]\ndo = [{ action = 'post', url = 'example.com' }]",
            'ending "completed": key "do", 1: key "url" is \'example.com\'. Write an address that begins '
            "with https://.",
        ),
        (
            GOOD + "[endings.completed]\ndo = [{ action = 'post', url = 'https://{quantity}.example.com' }]",
            'ending "completed": key "do", 1: key "url" has a placeholder. Where it goes is not for people '
            "to say; the answers go along anyway.",
        ),
        (
            GOOD + "[triggers]\nwords = ['stop']",
            "[triggers]: key \"words\" has 'stop', which carriers take as an opt-out or a request for help. "
            "Choose another.",
        ),
        (GOOD + "[triggers]\nwords = ['!!']", '[triggers]: key "words" has no letters. Write words people send.'),
        (
            GOOD + "[answers]\nyes = ['basta']\ncancel = ['basta']",
            '[answers]: \'basta\' is both "yes" and "cancel". Keep it in one.',
        ),
        (GOOD + "[texts]\nchnage = 'x'", None),
        (
            GOOD + "[texts]\nchange = 5",
            '[texts]: key "change" is 5. Write a text in quotes, or { text = "...", spoken = "..." }.',
        ),
    ],
)
def test_a_file_that_cannot_be_used_says_where_and_what_to_do(text, fault):
    found = faults(text)
    if fault:
        assert f"config/flows/order.toml: {fault}" in found
    assert all(line.startswith("config/flows/order.toml: ") for line in found)


def test_all_faults_of_a_file_are_told_at_once():
    text = with_step('kind = "numbr"\nmni = 1') + "[triggers]\nword = ['x']\n[endings.completed]\ntext = 5\n"
    assert len(faults(text)) == 4


def test_a_key_that_cannot_be_read_hides_no_placeholder_and_no_trigger():
    text = with_step('kind = "numbr"') + (
        "[triggers]\nwords = ['stop']\n[endings.completed]\ntext = 'For {quantty}.'\n"
    )
    misspelt, placeholder, trigger = faults(text)
    assert misspelt.startswith(f"{STEP}key \"kind\" is 'numbr'.")
    assert placeholder.endswith('key "text" has {quantty}, which no step collects. Did you mean quantity?')
    assert "'stop', which carriers take" in trigger


def test_a_way_to_nowhere_hides_no_placeholder():
    text = with_step('kind = "number"\nnext = "complete"') + "[endings.completed]\ntext = 'For {quantty}.'\n"
    assert [line.rpartition("Did you mean ")[2] for line in faults(text)] == ["completed?", "quantity?"]


@pytest.mark.parametrize(
    "text",
    [
        with_step('kidn = "number"\nlabel = "x"'),
        with_step('kind = "number"') + "[steps.Name]\nkind = 'name'\n",
        with_step('collect = ["name"]') + "[feilds.name]\nkind = 'name'\n",
        with_step('colect = ["name"]') + "[fields.name]\nkind = 'name'\n",
        with_step('kind = "number"').replace("[steps", "[setps"),
    ],
)
def test_what_follows_from_another_mistake_is_not_told_beside_it(text):
    text += "[endings.completed]\ntext = 'For {quantity} {name}.'\n" if "name" in text else ""
    text += "[endings.canceled]\ntext = 'No {quantity}.'\n"
    assert not [line for line in faults(text) if "which no step collects" in line]


@pytest.mark.parametrize(
    "pattern",
    [
        r"[A-Z]{2}-?\d{4}",
        r"\w+",
        r"\d{3}(?:-\d{3}){2}",
        r"(?:ab|cd)\d+",
        r"[^@]+@\w+\.\w+",
        r"(?i:x)(?=y)y?z",
        r"(?:\d{1,3}\.){3}\d{1,3}",
        r"\w+\s?\w+\s?\w+",
    ],
)
def test_an_ordinary_pattern_is_taken(pattern):
    assert fault_of(pattern) == ""


@pytest.mark.parametrize(
    "pattern",
    [
        r"(a+)+",
        r"(a|aa)+",
        r"(\w+\s?)*x",
        r"(.*)(.*)(.*)(.*)(.*)x",
        r"(?:(?:a{1,9}){1,9}){1,9}b",
        r"(?:a|a){20}b",
        r"(?:a|a|a){14}b",
    ],
)
def test_a_pattern_that_could_take_for_ever_is_refused(pattern):
    assert fault_of(pattern).startswith("It could take seconds on some answers")


@pytest.mark.parametrize("pattern", ["(", "[a-", "*", "a{5,2}"])
def test_a_pattern_that_is_none_is_refused(pattern):
    assert fault_of(pattern).startswith("It is no regular expression (")


@pytest.mark.parametrize("pattern", ["", "a*", "(a|)"])
def test_a_pattern_that_fits_nothing_said_is_refused(pattern):
    assert fault_of(pattern).startswith("It fits an empty answer")


def test_two_flows_that_begin_alike_are_refused_together():
    first = parsed(GOOD + "[triggers]\nwords = ['Buy now']\nevents = ['missed_call']", "config/flows/first.toml")
    second = parsed(GOOD + "[triggers]\nwords = ['buy NOW!']\nevents = ['missed_call']", "config/flows/second.toml")
    assert flows.check_together([first, second]) == [
        "config/flows/second.toml: [triggers]: key \"words\" has 'buy now', as config/flows/first.toml has. "
        "Remove it from one of them.",
        "config/flows/second.toml: [triggers]: key \"events\" has 'missed_call', as config/flows/first.toml has. "
        "Remove it from one of them.",
    ]
    assert flows.check_together([first, shipped("bulk_order")]) == []
