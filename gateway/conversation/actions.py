"""What a responder may ask for beside its words: each is safe to repeat."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gateway.conversation import alerts, flow_begin
from gateway.conversation.flow_begin import Beginning
from gateway.conversation.runtime import Runtime
from gateway.core import flows
from gateway.core.messages import VOICE
from gateway.core.replies import Action, Reply
from gateway.logs import log
from gateway.store import answers, triage
from gateway.store.outbound import Place

HANDED_OVER = "handed_over"

# Deeds of the audit by which a person looks after a session: none of them leaves it flagged for one.
LOOKED_AFTER = (
    "message_sent",
    "session_begun",
    "bot_taken_over",
    "bot_handed_back",
    "session_closed",
    "session_archived",
)


@dataclass(frozen=True, slots=True)
class On:
    """What an action is about: the session, and the message that is answered.

    `told` is False where the answer was given before, so that nothing can be said with it. `spoken` on a call.
    """

    place: Place
    message_id: str
    told: bool = True

    @property
    def session_id(self) -> str:
        """Give the session's id."""
        return self.place.session_id


def apply(runtime: Runtime, on: On, reply: Reply) -> Reply:
    """Do what a reply asks for, and give the reply with what has to be said of that.

    An action nobody knows is logged and changes nothing.
    """
    said = []
    for action in reply.actions:
        do = ACTIONS.get(action.kind)
        if do is None:
            log.warning(
                "action_unknown",
                action=action.kind[:40],
                session_id=on.session_id,
                message=f"The responder may ask for {', '.join(ACTIONS)}.",
            )
            continue
        said.append(do(runtime, on, action.parameters) or "")
    return replace(reply, text="\n".join(filter(None, [reply.text, *said]))) if any(said) else reply


def follow(runtime: Runtime, place: Place, message_id: str, wanted: Sequence[Action], person: str) -> None:
    """Do what the answer to a stored message asks for beside its words, and note with the message that it is done."""
    if wanted:
        apply(runtime, On(place, message_id, told=False), Reply(actions=tuple(wanted)))
    if person:
        ask_for_person(runtime, place.session_id, person)
    answers.followed(message_id)


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


def _hand_over(runtime: Runtime, on: On, parameters: Any) -> None:
    """Leave the person to a person: nobody answers automatically any more, in later sessions neither."""
    ask_for_person(runtime, on.session_id, str(parameters.get("reason") or HANDED_OVER)[:200], bot_off=True)


def _close(runtime: Runtime, on: On, _parameters: Any) -> None:
    """Close the session: what its sender writes next opens another."""
    if triage.close(on.session_id, "responder", runtime.clock.now()):
        log.info("session_closed", session_id=on.session_id, reason="responder")


def _title(runtime: Runtime, on: On, parameters: Any) -> None:
    """Give the session a title."""
    if title := str(parameters.get("title") or "")[:200]:
        triage.describe(on.session_id, runtime.clock.now(), title=title)


def _tag(runtime: Runtime, on: On, parameters: Any) -> None:
    """Give the session a tag."""
    if tag := str(parameters.get("tag") or "")[:50]:
        triage.describe(on.session_id, runtime.clock.now(), tags=[tag])


def _flow(runtime: Runtime, on: On, parameters: Any) -> str:
    """Begin a flow, by its name or an intent it is listed under; gives its first question where that is to be said."""
    named, values = str(parameters.get("flow") or parameters.get("intent") or ""), parameters.get("values")
    flow = runtime.flows.get(named) or flows.by_intent(runtime.flows.values(), named)
    if flow is None:
        log.warning("flow_unknown", session_id=on.session_id, message=f"The flows are {', '.join(runtime.flows)}.")
        return ""
    spoken = on.place.communication_type == VOICE
    by = f"action:{on.message_id}"
    given = {str(name): str(value) for name, value in values.items()} if isinstance(values, Mapping) else {}
    wanted = Beginning(flow, run=by, by=by if on.told else "", values=given, spoken=spoken)
    state = flow_begin.begin(runtime, on.place, wanted)
    if state is None:
        log.info("flow_not_begun", flow=flow.name, session_id=on.session_id, message="Another one is under way.")
    return (spoken and state.spoken) or state.reply if state and on.told and state.advanced_by == by else ""


ACTIONS: dict[str, Callable[[Runtime, On, Any], str | None]] = {
    "hand_over": _hand_over,
    "close": _close,
    "title": _title,
    "tag": _tag,
    "flow": _flow,
}
