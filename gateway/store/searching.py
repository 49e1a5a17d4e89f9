"""Sessions by what was said, what they are called, and whose they are: ids, for the listing to put in order."""

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

import pymongo
from bson import ObjectId
from pymongo.errors import PyMongoError

from gateway.core import searching as written
from gateway.store import groups, listing
from gateway.store.connection import collection
from gateway.store.documents import ContactDocument, MessageDocument, SessionDocument
from gateway.store.isolation import Channels, only
from gateway.store.listing import Wanted

# What matches best comes first (few other words, then the newest), so a search for a very common word ends here.
MOST_MATCHES = 100

# A search that MongoDB cannot answer in this time is one for words that nearly every message holds.
SECONDS = 0.6


class TooCommon(Exception):
    """The words are in too many messages to be searched."""


@dataclass(frozen=True, slots=True)
class Searched:
    """What the list is to show: None where the words are in too many messages. `more` matches were left out."""

    wanted: Wanted | None
    more: bool = False


@dataclass(frozen=True, slots=True)
class Found:
    """Sessions with some words; there may be `more`. `contacts` are whose they are, where only names have the words."""

    sessions: Sequence[ObjectId]
    more: bool
    contacts: Collection[ObjectId]


def narrowed(plain: Wanted, typed: str, channels: Channels) -> Searched:
    """Narrow what is wanted by what somebody typed; a number that nobody has is searched as words."""
    starts, words = written.number_starts(typed), written.words(typed)
    if not words or (starts and listing.exists(Wanted(number_starts=starts), channels)):
        return Searched(replace(plain, number_starts=starts))
    try:
        found = sessions_with(words, channels)
    except TooCommon:
        return Searched(None)
    # What one index holds together is read in half the time of as many ids.
    whose = plain.contact_ids or tuple(map(str, found.contacts))
    return Searched(replace(plain, among=found.sessions, contact_ids=whose), found.more)


def sessions_with(words: Sequence[str], channels: Channels) -> Found:
    """Find the sessions that hold all these words in a message, in their title or in their contact's name.

    TooCommon where that would take too long.
    """
    # In quotes all must be there; for a single word that is so, and MongoDB need not look at its message again.
    one = len(words) == 1 and words[0].isalnum()
    text = {"$text": {"$search": words[0] if one else " ".join(f'"{word}"' for word in words)}}
    try:
        with pymongo.timeout(SECONDS):
            said = _found(MessageDocument, text | only(channels), {"_id": 0, "session_id": 1})
            called = _found(SessionDocument, text | only(channels), {"_id": 1})
            named = _found(ContactDocument, text, groups.LINKS)
            mine = {"contact_id": {"$in": groups.ids_from(named)}} | only(channels)
            theirs = _found(SessionDocument, mine, {"contact_id": 1}) if named else []
    except PyMongoError as error:
        if error.timeout:
            raise TooCommon from None
        raise
    more = any(len(found) == MOST_MATCHES for found in (said, called, named, theirs))
    sessions = {row["session_id"] for row in said} | {row["_id"] for row in (*called, *theirs)}
    return Found(list(sessions), more, set() if said or called else {row["contact_id"] for row in theirs})


def _found(document: Any, wanted: dict[str, Any], fields: Mapping[str, int]) -> list[dict[str, Any]]:
    # In one batch: of its own accord MongoDB gives 101, and has to be asked for the others.
    return list(collection(document).find(wanted, fields, limit=MOST_MATCHES, batch_size=MOST_MATCHES))
