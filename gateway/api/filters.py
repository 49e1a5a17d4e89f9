"""What the filters of the list ask of MongoDB."""

from dataclasses import replace

from gateway.api.problems import Refused
from gateway.api.schemas.filters import SessionFilters
from gateway.core.searching import number_starts
from gateway.store import groups, listing, searching
from gateway.store.isolation import Channels
from gateway.store.listing import Wanted

NOBODY = "nobody"


def wanted(query: SessionFilters, channels: Channels) -> tuple[Wanted, bool]:
    """Turn what is asked for into what is asked of MongoDB; Refused where the words are in too many messages.

    Also whether there may be more than were looked at. What a key may not know of chooses nothing, and is not repeated
    to it.
    """
    contacts, starts = _contacts(query, channels), number_starts(query.number) if query.number else ()
    is_hidden = bool(query.channel) and channels is not None and query.channel not in channels
    if is_hidden or (query.contact and not contacts) or (query.number and not starts):
        return Wanted(among=()), False
    plain = Wanted(
        communication_type=query.type or "",
        status=query.status or "",
        channel_id=query.channel,
        since=query.since,
        until=query.until,
        failed=query.failed,
        needs_person=query.needs_person,
        tag=query.tag,
        assigned_to="" if query.assigned == NOBODY else query.assigned,
        unassigned=query.assigned == NOBODY,
        contact_ids=contacts,
    )
    if not query.q.strip():
        return replace(plain, number_starts=starts), False
    found = searching.narrowed(plain, query.q, channels)
    if found.wanted is None:
        detail = "query.q: nearly every message holds these words. Add another one."
        raise Refused(409, "too_common", detail, field="query.q")
    return (replace(found.wanted, number_starts=starts) if starts else found.wanted), found.more


def _contacts(query: SessionFilters, channels: Channels) -> tuple[str, ...]:
    """Give the ids a person's sessions are kept under; none where no session of theirs is on these channels."""
    person = groups.find(query.contact or None)
    ids = tuple(map(str, person.ids)) if person else ()
    return ids if ids and listing.exists(Wanted(contact_ids=ids), channels) else ()
