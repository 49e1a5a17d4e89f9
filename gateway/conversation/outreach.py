"""Writing to a number rather than in a session: in whatever is open, or as the beginning of something new."""

from dataclasses import dataclass

from gateway.channels import CHANNELS
from gateway.conversation import actions, clearance, operators, outlook, send
from gateway.conversation.operators import CannotDo
from gateway.conversation.runtime import Runtime
from gateway.conversation.send import Draft, Queued
from gateway.conversation.ways import CannotSend, way_from
from gateway.core.messages import CHAT, SMS, WHATSAPP
from gateway.core.participant import address, chat_user, is_withheld
from gateway.store import audit, channels, finding, transcripts
from gateway.store.connection import deadline
from gateway.store.isolation import Channels
from gateway.store.outbox import Address

NO_SUCH_CHANNEL = "There is no such channel. `GET /api/v1/channels` lists those there are."


@dataclass(frozen=True, slots=True)
class _Line:
    communication_type: str
    channel_id: str
    to: Address


def write(
    runtime: Runtime, channel_id: str, number: str, draft: Draft, *, message_id: str, anew: bool = False
) -> Queued:
    """Write to a number from a channel: in their open session, else (or with `anew`) in a new one.

    CannotSend where it would not go out.
    """
    operators.check_draft(draft)
    line = _line(channel_id, number)
    if line.communication_type not in (SMS, WHATSAPP):
        name = CHANNELS[line.communication_type].name if line.communication_type in CHANNELS else "this channel"
        raise CannotSend(f"Nothing is written to a number by {name}. Choose a channel of type sms or whatsapp.")
    with deadline():
        _check_window(runtime, line, draft)
    queued = send.write(runtime, line.communication_type, line.to, draft, message_id=message_id, anew=anew)
    with deadline():
        actions.person_came(runtime, queued.session_id)
        if queued.fresh:
            action, now = "session_begun" if anew else "message_sent", runtime.clock.now()
            audit.note(now, draft.author, action, session_id=queued.session_id, message_id=message_id)
    return queued


def _check_window(runtime: Runtime, line: _Line, draft: Draft) -> None:
    """Refuse free text that WhatsApp would refuse, where no template is set up for it."""
    if line.communication_type != WHATSAPP or draft.content_sid:
        return
    keys = send.keys_of(runtime, line.communication_type, line.to)
    is_open = clearance.window_closes_at(keys, runtime.clock.now())
    if not is_open and not clearance.usual_template(runtime, line.channel_id):
        raise CannotSend(outlook.WINDOW_CLOSED)


def roll_over(runtime: Runtime, channel_id: str, number: str, by: str, *, among: Channels = None) -> list[str]:
    """Let whatever a number says next on a channel begin a new session; gives the sessions that were closed for it.

    In a chat it is a user id.

    Those are closed for good that are open, or that it would go on with; only on the channels `among`. Nothing is
    opened: a session begins with a message. CannotDo where the number is none.
    """
    try:
        line = _line(channel_id, number)
    except CannotSend as error:
        raise CannotDo(str(error)) from None
    with deadline():
        keys = send.keys_of(runtime, line.communication_type, line.to)
        newest, holder = finding.find_neighbours(keys, runtime.clock.now()).before, finding.find_holder(keys)
        ids = transcripts.visible({one.id for one in (newest, holder) if one}, among)
    return [one for one in sorted(ids) if operators.close(runtime, one, by)]


def _line(channel_id: str, number: str) -> _Line:
    """Read whom a number is, and from which line of ours they are written to."""
    with deadline():
        channel, ours = channels.by_id().get(channel_id), channels.numbers().get(channel_id, "")
    if channel is None or not ours:
        raise CannotSend(NO_SUCH_CHANNEL)
    if channel.communication_type == CHAT:
        return _Line(CHAT, channel.id, Address(chat_user(ours, number).identities[0], ours))
    to = way_from(channel.communication_type, number, ours, channel.account_sid)
    person = address(to.to)
    if is_withheld(person.identity) or not (person.number or person.prefix == WHATSAPP):
        raise CannotSend(f"{number[:60]!r} is no number. Write it with its country: +15558675310.")
    return _Line(channel.communication_type, channel.id, to)
