"""What comes before any responder: who is not answered, when nobody is, and what a sender may ask of the gateway."""

from dataclasses import dataclass, field
from datetime import datetime
from zoneinfo import ZoneInfo

from gateway.conversation.runtime import Runtime
from gateway.core.hours import is_open
from gateway.core.limits import lately
from gateway.core.messages import InboundMessage
from gateway.core.replies import Reply
from gateway.core.sessions import Rule, SessionView

HOURLY_LIMIT = "hourly_limit"
OUT_OF_HOURS = "out_of_hours"
HANDED_OVER = "handed_over"
RESENT = "resent"

# Parameters of a webhook that was replayed from what was stored (`conversation.resending`): when, and whether it is
# to be answered. Whoever wrote had an answer long ago.
RESENT_AT, RESENT_TO_BE_ANSWERED = "GatewayResentAt", "GatewayResentToBeAnswered"


@dataclass(frozen=True, slots=True)
class Ruling:
    """What is said instead of asking a responder, mostly nothing; `reason` is stored with the answer."""

    reason: str
    reply: Reply = field(default_factory=Reply)

    @property
    def person(self) -> str:
        """Give the reason for which a person is asked; empty where none is."""
        return self.reason if self.reason in (HOURLY_LIMIT, HANDED_OVER) else ""


def rule(runtime: Runtime, message: InboundMessage, session: SessionView, decided_by: str) -> Ruling | None:
    """Look for a reason not to ask a responder; None where there is none.

    Two machines that text one another cost money, so the number of answers is limited; a person is asked then.
    """
    reply = runtime.settings.reply
    if RESENT_AT in message.metadata and RESENT_TO_BE_ANSWERED not in message.metadata:
        return Ruling(RESENT)
    if decided_by == Rule.ASKED_FOR:
        return Ruling("new_session", _notice("new_session", runtime.settings.sessions.new_text))
    if session.bot_off:
        return Ruling(HANDED_OVER)
    if not runtime.blocked.isdisjoint(message.sender.identities):
        return Ruling("blocked")
    if _had_enough(runtime, session, message.received_at):
        return Ruling(HOURLY_LIMIT)
    if reply.hours and not is_open(reply.hours, message.received_at.astimezone(ZoneInfo(reply.timezone))):
        told = OUT_OF_HOURS in session.notices
        return Ruling(OUT_OF_HOURS, Reply() if told else _notice(OUT_OF_HOURS, reply.out_of_hours_text))
    return None


def rule_again(runtime: Runtime, session: SessionView | None, now: datetime) -> str | None:
    """Look for a reason that arose while a message waited for its answer; None where there is none."""
    if session is None:
        return None
    if session.bot_off:
        return HANDED_OVER
    return HOURLY_LIMIT if _had_enough(runtime, session, now) else None


def _had_enough(runtime: Runtime, session: SessionView, moment: datetime) -> bool:
    limit = runtime.settings.reply.hourly_limit
    return bool(limit) and sum(lately(session.automatic, moment).values()) >= limit


def _notice(name: str, text: str) -> Reply:
    return Reply(text, name, sender="system")


def asks_for_new_session(runtime: Runtime, message: InboundMessage) -> bool:
    """Tell whether a message is the word that starts a new session; off unless the settings name one."""
    words = runtime.settings.sessions.new_words
    if not words or message.call:
        return False
    return message.content.strip().strip(".!").casefold() in {word.casefold() for word in words}
