"""Who looks after a session: read, unread, and whose it is."""

from datetime import datetime

from gateway.conversation.runtime import Runtime
from gateway.core.errors import GatewayError
from gateway.logs import log
from gateway.store import audit, listing, triage, users


class CannotAssign(GatewayError):
    """Somebody who does not exist, or may not see the session."""


def seen(runtime: Runtime, session_id: str, last_inbound_at: datetime | None) -> None:
    """Note that somebody read a session: it is read for everybody.

    What was simulated may lie in the future, and was read all the same.
    """
    now = runtime.clock.now()
    triage.seen(session_id, max(now, last_inbound_at or now))


def unseen(runtime: Runtime, session_id: str, *, by: str) -> None:
    """Mark a session as unread, so that it is looked at again."""
    if triage.unseen(session_id):
        audit.note(runtime.clock.now(), by, "session_marked_unread", session_id=session_id)


def assign(runtime: Runtime, session_id: str, name: str, *, by: str) -> None:
    """Leave a session to somebody who may see it, or to nobody. CannotAssign says why that cannot be."""
    found = listing.one(session_id, None)
    if found is None:
        raise CannotAssign("There is no such session any more.")
    if name and name not in users.who_see(found.get("channel_id")):
        raise CannotAssign("There is nobody of that name who may see this session.")
    now = runtime.clock.now()
    if triage.assign(session_id, name, now):
        audit.note(now, by, "session_assigned", session_id=session_id, to=name or None)
        log.info("session_assigned", session_id=session_id, by=by, to=name or None)
