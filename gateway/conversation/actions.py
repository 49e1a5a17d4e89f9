"""What a responder may ask for beside its words: each is safe to repeat."""

from collections.abc import Callable, Sequence
from typing import Any

from gateway.conversation import alerts
from gateway.conversation.runtime import Runtime
from gateway.core.replies import Action
from gateway.logs import log
from gateway.store import triage

HANDED_OVER = "handed_over"


def apply(runtime: Runtime, session_id: str, actions: Sequence[Action]) -> None:
    """Do what a reply asks for; an action nobody knows is logged and changes nothing."""
    for action in actions:
        do = ACTIONS.get(action.kind)
        if do is None:
            log.warning(
                "action_unknown",
                action=action.kind[:40],
                session_id=session_id,
                message=f"The responder may ask for {', '.join(ACTIONS)}.",
            )
            continue
        do(runtime, session_id, action.parameters)


def ask_for_person(runtime: Runtime, session_id: str, reason: str, *, bot_off: bool = False) -> None:
    """Flag a session for a person and alert whom the settings name; said once."""
    now = runtime.clock.now()
    if triage.ask_for_person(session_id, reason, now, bot_off=bot_off):
        alerts.queue(runtime, session_id, now)
        log.warning(
            "person_needed",
            message=f"Session {session_id} needs a person.",
            session_id=session_id,
            # What a bot says may quote somebody; the session has it in full.
            reason=HANDED_OVER if bot_off else reason,
        )


def person_came(runtime: Runtime, session_id: str) -> None:
    """Note that a person looks after a session."""
    triage.person_came(session_id, runtime.clock.now())


def _hand_over(runtime: Runtime, session_id: str, parameters: Any) -> None:
    """Leave the person to a person: nobody answers automatically any more, in later sessions neither."""
    ask_for_person(runtime, session_id, str(parameters.get("reason") or HANDED_OVER)[:200], bot_off=True)


def _close(runtime: Runtime, session_id: str, _parameters: Any) -> None:
    """Close the session: what its sender writes next opens another."""
    if triage.close(session_id, "responder", runtime.clock.now()):
        log.info("session_closed", session_id=session_id, reason="responder")


def _title(runtime: Runtime, session_id: str, parameters: Any) -> None:
    """Give the session a title."""
    if title := str(parameters.get("title") or "")[:200]:
        triage.describe(session_id, runtime.clock.now(), title=title)


def _tag(runtime: Runtime, session_id: str, parameters: Any) -> None:
    """Give the session a tag."""
    if tag := str(parameters.get("tag") or "")[:50]:
        triage.describe(session_id, runtime.clock.now(), tags=[tag])


ACTIONS: dict[str, Callable[[Runtime, str, Any], None]] = {
    "hand_over": _hand_over,
    "close": _close,
    "title": _title,
    "tag": _tag,
}
