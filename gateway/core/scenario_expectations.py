"""What a scenario expects, of a step and in the end, read from its file."""

from collections.abc import Mapping

from gateway.core.flow_parts.table import Table, near
from gateway.core.scenarios import Ending, Expected, ExpectedSession
from gateway.core.sessions import Kind, Rule
from gateway.core.statuses import MESSAGE_RANK

STATUS, CALL = "status", "call"


def expected(table: Table, kind: str) -> Expected:
    """Read what a step is to lead to; `kind` is the key that says what happens in it."""
    if kind == STATUS:
        reported = Expected(status=table.one_of("status", list(MESSAGE_RANK), "") or None)
        table.finish()
        return reported
    answer = table.text("answer") if table.has("answer") else None
    has = table.take("answer_has")
    words = (has,) if isinstance(has, str) else tuple(has) if isinstance(has, list) else ()
    if has is not None and not all(isinstance(one, str) and one for one in words or ("",)):
        table.wrong("answer_has", has, 'Write what the answer has to hold: "..." or ["...", "..."].')
    wanted = Expected(
        decision=table.one_of("decision", [one.value for one in Kind], "") or None,
        rule=table.one_of("rule", [one.value for one in Rule], "") or None,
        gap_seconds=table.number("gap", None, least=0),
        session=table.text("session", most=40) or None,
        duplicate=table.flag("duplicate", False) if table.has("duplicate") else None,
        answer=answer,
        answer_has=words,
        texted=(table.text("texted") or None) if kind == CALL else None,
    )
    table.finish()
    return wanted


def ending(table: Table, labels: set[str]) -> Ending:
    """Read what is to be stored in the end; `labels` are those that steps give to sessions."""
    expect = table.table("expect")
    counts = {key: _count(expect, key) for key in ("sessions", "inbound", "outbound")}
    labelled = {}
    named = expect.take("session")
    for label, one in (named if isinstance(named, Mapping) else {}).items():
        inner = Table(expect.file, f"[expect.session.{label}]", one, expect.faults)
        if label not in labels:
            inner.fault(f'no step expects a session of that label.{near(label, labels)} Give one: session = "{label}".')
        labelled[label] = ExpectedSession(
            _count(inner, "messages"),
            inner.one_of("status", ("active", "closed", "archived"), "") or None,
            inner.text("closed_reason", most=40) or None,
        )
        inner.finish()
    expect.finish()
    return Ending(**counts, labelled=labelled)


def _count(table: Table, key: str) -> int | None:
    return table.whole(key, 0, least=0, most=1_000_000) if table.has(key) else None
