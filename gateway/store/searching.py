"""Sessions by what was said, what they are called, and whose they are: ids, for the listing to put in order."""

from collections.abc import Sequence
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
MOST_MATCHES = 200

# A search that MongoDB cannot answer in this time is one for words that nearly every message holds.
SECONDS = 0.6


class TooCommon(Exception):
    """The words are in too many messages to be searched."""


@dataclass(frozen=True, slots=True)
class Searched:
    """What the list is to show: None where the words are in too many messages. `more` matches were left out."""

    wanted: Wanted | None
    more: bool = False


def narrowed(plain: Wanted, typed: str, channels: Channels) -> Searched:
    """Narrow what is wanted by what somebody typed; a number that nobody has is searched as words."""
    starts, words = written.number_starts(typed), written.words(typed)
    if not words or (starts and listing.exists(Wanted(number_starts=starts), channels)):
        return Searched(replace(plain, number_starts=starts))
    try:
        found, more = sessions_with(words, channels)
    except TooCommon:
        return Searched(None)
    return Searched(replace(plain, among=found), more)


def sessions_with(words: Sequence[str], channels: Channels) -> tuple[list[ObjectId], bool]:
    """Give the sessions that hold all these words in a message, in their title or in their contact's name.

    Also whether there may be more than were looked at. TooCommon where that would take too long.
    """
    # In quotes all must be there; for a single word that is so, and MongoDB need not look at its message again.
    one = len(words) == 1 and words[0].isalnum()
    text = {"$text": {"$search": words[0] if one else " ".join(f'"{word}"' for word in words)}}
    try:
        with pymongo.timeout(SECONDS):
            said = _found(MessageDocument, text | only(channels), "session_id")
            called = _found(SessionDocument, text | only(channels), "_id")
            people = groups.ids_of(_found(ContactDocument, text, "_id"))
            theirs = _found(SessionDocument, {"contact_id": {"$in": people}} | only(channels), "_id") if people else []
    except PyMongoError as error:
        if error.timeout:
            raise TooCommon from None
        raise
    more = any(len(found) == MOST_MATCHES for found in (said, called, people, theirs))
    return list({*said, *called, *theirs}), more


def _found(document: Any, wanted: dict[str, Any], field: str) -> list[ObjectId]:
    found = collection(document).find(wanted, {field: 1}).limit(MOST_MATCHES)
    return [row[field] for row in found]
