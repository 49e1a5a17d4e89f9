"""What a flow asks for when it ends, done by the worker: a message, what is known of a person, a POST, a tag, a person.

Each is a row of the outbox, so it survives crashes and is tried again; what fails for good is listed in Operations.
"""

from collections.abc import Callable, Mapping
from typing import Any

from gateway.conversation import actions, claims, flow_posts, missed_calls, send
from gateway.conversation.flow_effects import BEGIN
from gateway.conversation.release import finish
from gateway.conversation.runtime import Runtime
from gateway.conversation.send import OPTED_OUT, Draft
from gateway.conversation.ways import CannotSend
from gateway.logs import log
from gateway.store import flow_runs, outbox, triage
from gateway.store.connection import deadline
from gateway.store.flow_runs import Run
from gateway.store.outbox import Row

Parameters = Mapping[str, Any]


def do(runtime: Runtime, row: Row) -> None:
    """Do what a claimed row is for; what its run no longer knows, nobody wants any more."""
    if row.id.startswith(missed_calls.PREFIX):
        missed_calls.answer(runtime, row)
        return
    part = row.id.rpartition(":")[2]
    with deadline():
        run = flow_runs.get(row.about)
    if run and part == BEGIN:
        _say(runtime, row, run, {"text": run.opening})
    elif run and part.isdecimal() and int(part) < len(run.completions):
        wanted = run.completions[int(part)]
        DEEDS[wanted["kind"]](runtime, row, run, wanted["parameters"])
    else:
        _end(runtime, row, outbox.CANCELED)


def give_up(runtime: Runtime, row: Row, error: str) -> None:
    """Leave what failed too often to an operator, who finds it among what failed in the outbox."""
    log.error("flow_effect_failed", row=row.id, session_id=row.session_id, message=error)
    _end(runtime, row, outbox.FAILED, error)


def _end(runtime: Runtime, row: Row, state: str, error: str = "") -> None:
    with deadline():
        finish(runtime, row, state, error=error)


def _say(runtime: Runtime, row: Row, run: Run, parameters: Parameters) -> None:
    """Write to the person; who opted out is told nothing, and that is nobody's failure."""
    draft = Draft(str(parameters.get("text") or ""), sender="ai")
    try:
        send.reply(runtime, run.place.session_id, draft, message_id=f"{row.id}:text")
    except CannotSend as refused:
        opted_out = str(refused) == OPTED_OUT
        _end(runtime, row, outbox.CANCELED if opted_out else outbox.FAILED, f"not_sent: {refused}")
        return
    _end(runtime, row, outbox.DONE)


def _capture(runtime: Runtime, row: Row, run: Run, parameters: Parameters) -> None:
    """Keep with the contact what somebody said of themselves; who withheld their number has none."""
    said = {name: str(parameters.get(name) or "") for name in ("name", "email", "phone")}
    if run.place.contact_id and any(said.values()):
        claims.typed(runtime, run.place.contact_id, **said, session_id=run.place.session_id, source=f"flow:{run.flow}")
    _end(runtime, row, outbox.DONE)


def _tag(runtime: Runtime, row: Row, run: Run, parameters: Parameters) -> None:
    with deadline():
        triage.describe(run.place.session_id, runtime.clock.now(), tags=[str(parameters["tag"])])
    _end(runtime, row, outbox.DONE)


def _hand_over(runtime: Runtime, row: Row, run: Run, parameters: Parameters) -> None:
    reason = str(parameters.get("reason") or actions.HANDED_OVER)[:200]
    with deadline():
        actions.ask_for_person(runtime, run.place.session_id, reason, bot_off=True)
    _end(runtime, row, outbox.DONE)


DEEDS: dict[str, Callable[[Runtime, Row, Run, Parameters], None]] = {
    "message": _say,
    "capture": _capture,
    "post": flow_posts.post,
    "tag": _tag,
    "hand_over": _hand_over,
}
