"""Where a chat's page is: in a list of sessions, in a session that goes on, and back in what was said before."""

import re
from collections.abc import Sequence
from datetime import datetime

from gateway.api.problems import not_found
from gateway.core.times import epoch_ms, from_epoch_ms
from gateway.store import chats
from gateway.store.chats import Row, Said, Seen, Whose
from gateway.store.connection import deadline

# More digits would be no date any more.
_MOMENT = re.compile(r"[0-9]{1,14}")
_SESSION = re.compile(r"([0-9]{1,14})-([0-9a-f]{24})")


def after(row: Row) -> str:
    """Write where a list of sessions goes on."""
    return f"{epoch_ms(row['last_message_at'])}-{row['_id']}"


def session_cursor(cursor: str) -> tuple[datetime, str] | None:
    """Read where a list of sessions goes on; 404 where that is no page of it."""
    if not cursor:
        return None
    read = _SESSION.fullmatch(cursor)
    if read is None:
        raise not_found("page", cursor)
    return from_epoch_ms(int(read[1])), read[2]


def moment(place: str, sessions: Sequence[str], mine: Whose) -> datetime:
    """Read the moment before which somebody wants to read, or that of the message they name; else 404."""
    if _MOMENT.fullmatch(place):
        return from_epoch_ms(int(place))
    named = chats.find_message(place, sessions, mine.channels) if sessions else None
    if named is None:
        raise not_found("message", place)
    return named["createdAt"]  # type: ignore[no-any-return]


def read(place: str, session_id: str, mine: Whose) -> tuple[Seen, Row | None]:
    """Read what a page has seen of a session: a cursor, or all up to a message it names; else 404."""
    if seen := chats.read_cursor(place):
        return seen, None
    with deadline():
        named = chats.find_message(place, [session_id], mine.channels)
        if named is None:
            raise not_found("message", place)
        return chats.seen_before(session_id, named["createdAt"], mine.channels), named


def earlier_than(said: Said, mine: Whose) -> datetime | None:
    """Give the moment before which there is more, in this session or in one before it."""
    if said.earlier or not said.messages:
        return said.earlier
    first: datetime = said.messages[0]["createdAt"]
    return first if chats.began_before(mine, first) else None


def now(session_id: str, mine: Whose) -> tuple[bool, str | None]:
    """Tell whether an answer is being made in a session, and where it goes on if it is over."""
    with deadline():
        row, newest = chats.get(session_id, mine), chats.newest(mine)
        is_over = row is None or row.get("status") != "active"
        return chats.is_pending(session_id), newest if is_over and newest != session_id else None
