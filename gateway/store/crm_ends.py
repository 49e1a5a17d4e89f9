"""Which contacts have something to be told to a CRM: sessions that ended, what came to ended ones, and merges.

Read from MongoDB's changes, so that neither webhooks nor whoever closes a session do anything for it. What was old
when it was stored was brought from elsewhere: nobody's news, and told only where somebody asks for it.
"""

import contextlib
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from gateway.core.times import MILLISECOND
from gateway.store import merges, occurrences, streams
from gateway.store.connection import collection, deadline
from gateway.store.documents import NOT_PRIVATE, MergeDocument, MessageDocument, SessionDocument
from gateway.store.occurrences import HISTORY

_SESSIONS, _MESSAGES, _MERGES = (
    one._get_collection_name() for one in (SessionDocument, MessageDocument, MergeDocument)
)
_PIPELINE: list[dict[str, Any]] = [
    {
        "$match": {
            "$or": [
                {"ns.coll": _SESSIONS, "operationType": "insert", "fullDocument.status": "closed"},
                {"ns.coll": _SESSIONS, "operationType": "update", "updateDescription.updatedFields.status": "closed"},
                {"ns.coll": _MESSAGES, "operationType": "insert"},
                {
                    "ns.coll": _MERGES,
                    "operationType": "update",
                    "updateDescription.updatedFields.state": {"$in": [merges.DONE, merges.UNDONE]},
                },
            ]
        }
    },
    {"$project": {"documentKey": 1, "ns.coll": 1, "operationType": 1, "clusterTime": 1}},
]
_WHOSE = {"contact_id": 1}


@dataclass(frozen=True, slots=True)
class Ended:
    """The sessions of contacts that are to be told of, the contacts that were merged or parted, and the place after."""

    sessions: Mapping[str, Sequence[str]] = field(default_factory=dict)
    merged: frozenset[str] = frozenset()
    place: Mapping[str, Any] = field(default_factory=dict)
    until: datetime | None = None


@contextlib.contextmanager
def follow(place: Mapping[str, Any] | None, since: datetime) -> Iterator[Iterator[Ended]]:
    """Give what ends from a place on; empty ones while nothing does. Raises what `streams.follow` does."""
    with streams.follow(_PIPELINE, place, since) as gathered:
        yield (_ended(some) for some in gathered)


def _ended(some: streams.Gathered) -> Ended:
    ids: dict[tuple[str, str], list[Any]] = {}
    for change in some.changes:
        ids.setdefault((change["ns"]["coll"], change["operationType"]), []).append(change["documentKey"]["_id"])
    if not ids:
        return Ended(place=some.place, until=some.until)
    news = some.changes[0]["clusterTime"].as_datetime() - HISTORY
    brought, closed = ids.get((_SESSIONS, "insert")), ids.get((_SESSIONS, "update"))
    late, merged = ids.get((_MESSAGES, "insert")), ids.get((_MERGES, "update"))
    sessions: dict[str, list[str]] = {}
    with deadline():
        for wanted in (
            {"_id": {"$in": closed}} if closed else None,
            {"_id": {"$in": brought}, "last_message_at": {"$gte": news}} if brought else None,
            {"_id": {"$in": _of_messages(late, news)}, "status": "closed"} if late else None,
        ):
            for contact_id, found in (_by_contact(wanted) if wanted else {}).items():
                sessions.setdefault(contact_id, []).extend(found)
        return Ended(sessions, _merged(merged) if merged else frozenset(), some.place, some.until)


def _of_messages(message_ids: Sequence[Any], news: datetime) -> list[Any]:
    """Find the sessions of messages that are news."""
    said = {"_id": {"$in": list(message_ids)}, "createdAt": {"$gte": news}, **NOT_PRIVATE}
    return list({row["session_id"] for row in collection(MessageDocument).find(said, {"session_id": 1})})


def _by_contact(wanted: Mapping[str, Any]) -> dict[str, list[str]]:
    found: dict[str, list[str]] = {}
    for row in collection(SessionDocument).find(wanted, _WHOSE):
        if row.get("contact_id"):
            found.setdefault(str(row["contact_id"]), []).append(str(row["_id"]))
    return found


def _merged(merge_ids: Sequence[str]) -> frozenset[str]:
    found = collection(MergeDocument).find({"_id": {"$in": list(merge_ids)}}, {"survivor": 1, "absorbed": 1})
    return frozenset(str(row[side]) for row in found for side in ("survivor", "absorbed"))


def closed_since(since: datetime) -> Iterator[Mapping[str, Sequence[str]]]:
    """Find the sessions that were closed, or came to something more, since a moment; reads all sessions once."""
    wanted = {"status": "closed", "updatedAt": {"$gte": since}, "last_message_at": {"$gte": since - HISTORY}}
    found = collection(SessionDocument).find(wanted, _WHOSE, batch_size=streams.MOST_GATHERED)
    some: dict[str, list[str]] = {}
    for row in found:
        if row.get("contact_id"):
            some.setdefault(str(row["contact_id"]), []).append(str(row["_id"]))
        if len(some) >= streams.MOST_GATHERED:
            yield some
            some = {}
    yield some


def stored(since: datetime, until: datetime) -> tuple[Mapping[str, Sequence[str]], datetime]:
    """Find the sessions to which messages were stored in a time, open or not; also up to when these are all."""
    rows = occurrences.stored(since, until, streams.MOST_GATHERED)
    if not rows:
        return {}, until
    sessions = list({row["session_id"] for row in rows if not occurrences.is_history(row, row["storedAt"])})
    return _by_contact({"_id": {"$in": sessions}}), rows[-1]["storedAt"] + MILLISECOND
