"""What was said with somebody before: the context that responders get, of the session or of the person."""

from collections.abc import Sequence
from datetime import timedelta

from gateway.conversation.runtime import Runtime
from gateway.core.identifiers import canonical
from gateway.core.replies import Said
from gateway.store import asked, finding, groups, histories
from gateway.store.asked import Asked


def history(runtime: Runtime, message: Asked, *, limit: int, without: Sequence[str]) -> tuple[Said, ...]:
    """Give up to `limit` messages before one that is to be answered, oldest first, leaving some out.

    Those of its session; where `reply.history` says `contact`, also those of the person's other sessions on all
    channels in the last `reply.history_days`. Never private notes, and never what was said by an identifier that
    many people write by.
    """
    here = asked.history(message.place.session_id, message.at, limit=limit, without=list(without))
    settings = runtime.settings.reply
    if not limit or settings.history != "contact" or _is_anybodys(runtime, message.place.session_id):
        return here
    group = groups.find(message.place.contact_id)
    if group is None or group.first("to_forget"):
        return here
    since = message.at - timedelta(days=settings.history_days)
    elsewhere = histories.elsewhere(
        group.ids,
        message.place.session_id,
        since=since,
        until=message.at,
        limit=limit,
        shared=runtime.settings.contacts.shared,
    )
    said = sorted((*here, *elsewhere), key=lambda one: (one.at, one.sender != "contact"))
    return tuple(said[-limit:])


def _is_anybodys(runtime: Runtime, session_id: str) -> bool:
    """Tell whether a session was found by what many people write by, so that nobody knows who this is."""
    shared = runtime.settings.contacts.shared
    session = finding.get(session_id) if shared else None
    return session is not None and any(canonical(key.rpartition("|")[2]) in shared for key in session.keys)
