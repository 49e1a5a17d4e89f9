"""Duplicates that are here: contacts with something in common, and sessions of a sender one after the other.

Each is one walk along an index, however many there are; what is noted on the way is on disk.
"""

import contextlib
import sqlite3
from collections.abc import Collection, Iterator, Mapping, Sequence
from itertools import groupby, islice
from operator import itemgetter
from typing import Any

from bson import MaxKey, ObjectId

from gateway.core import duplicates
from gateway.core.duplicates import Stretch
from gateway.store.connection import collection, deadline
from gateway.store.documents import NOT_DELETED, ContactDocument, MessageDocument, RegroupingDocument, SessionDocument
from gateway.store.groups import IDENTIFIERS
from gateway.store.regroupings import MERGE, UNDONE

BATCH_SECONDS = 60
_AT_ONCE = 1000

_SEEN = {
    "keys": 1,
    "channel_id": 1,
    "communication_type": 1,
    "first_message_at": 1,
    "last_message_at": 1,
    "createdAt": 1,
    "status": 1,
    "closed_reason": 1,
    "live": 1,
    "live_until": 1,
    "opening": 1,
}
# Sessions without a key come before any text.
_FIRST: list[Any] = [("keys", ""), ("first_message_at", MaxKey())]
_HERE: dict[str, Any] = {"merged_into": {"$exists": False}, "retired": {"$exists": False}} | NOT_DELETED


def contacts(shared: Collection[str]) -> Iterator[list[str]]:
    """Give the ids of contacts that have something in common, lot by lot; `shared` are forms that mean nothing.

    The unique index keeps one spelling apart from none, so it is those who have another that are looked for.
    """
    with contextlib.closing(sqlite3.connect("")) as aside:
        aside.execute("CREATE TABLE known (form TEXT, contact TEXT)")
        for rows in _contacts():
            known = ((form, str(row["_id"])) for row in rows for form in _unsaid(row) if form not in shared)
            aside.executemany("INSERT INTO known VALUES (?, ?)", known)
        found = aside.execute("SELECT form, contact FROM known ORDER BY form, contact")
        lots = groupby(found, key=itemgetter(0))
        while some := {form: {contact for _, contact in rows} for form, rows in islice(lots, _AT_ONCE)}:
            for form, contact in _owners(list(some)):
                some[form].add(contact)
            yield from (sorted(lot) for lot in some.values() if len(lot) > 1)


def _contacts() -> Iterator[list[dict[str, Any]]]:
    fields = dict.fromkeys((*IDENTIFIERS, "identifiers", "import_id"), 1)
    last: dict[str, Any] = {}
    while True:
        with deadline(BATCH_SECONDS):
            rows = list(collection(ContactDocument).find(last, fields).sort("_id", 1).hint("_id_").limit(_AT_ONCE))
        if not rows:
            return
        yield rows
        last = {"_id": {"$gt": rows[-1]["_id"]}}


def _unsaid(contact: Mapping[str, Any]) -> set[str]:
    written = [contact.get(field) or () for field in IDENTIFIERS]
    phones, external_ids, addresses = written
    known = duplicates.forms(phones, external_ids, addresses, is_imported="import_id" in contact)
    return known - set(contact.get("identifiers") or ())


def _owners(forms: Sequence[str]) -> Iterator[tuple[str, str]]:
    wanted = set(forms)
    with deadline(BATCH_SECONDS):
        found = collection(ContactDocument).find({"identifiers": {"$in": sorted(wanted)}}, {"identifiers": 1})
        rows = list(found)
    for row in rows:
        yield from ((form, str(row["_id"])) for form in row["identifiers"] if form in wanted)


def senders() -> Iterator[list[Stretch]]:
    """Give the sessions of each sender, as they are one after the other; of most there are few.

    A session that is found by several keys comes with those of the first.
    """
    walk = collection(SessionDocument).find(_HERE, _SEEN, batch_size=_AT_ONCE)
    walk = walk.hint("sender_timeline").min(_FIRST)
    with contextlib.closing(walk):
        for _, rows in groupby(_each(walk), key=lambda row: min(row["keys"])):
            yield [_stretch(row) for row in rows]


def _each(walk: Any) -> Iterator[dict[str, Any]]:
    rows = None
    while rows is None or len(rows) == _AT_ONCE:
        with deadline(BATCH_SECONDS):
            rows = list(islice(walk, _AT_ONCE))
        yield from rows


def _stretch(row: Mapping[str, Any]) -> Stretch:
    first = row.get("first_message_at") or row["createdAt"]
    return Stretch(
        id=str(row["_id"]),
        channel_id=row.get("channel_id") or "",
        communication_type=row.get("communication_type") or "",
        first=first,
        last=row.get("last_message_at") or first,
        status=row.get("status") or "",
        closed_reason=row.get("closed_reason"),
        live_until=row.get("live_until") if row.get("live") else None,
        is_ours="opening" in row,
    )


def stretches(session_ids: Sequence[str]) -> list[Stretch]:
    """Give some sessions as they are now; those that are gone, or in another one, are left out."""
    wanted = {"_id": {"$in": [ObjectId(one) for one in session_ids]}}
    return [_stretch(row) for row in collection(SessionDocument).find(wanted | _HERE, _SEEN)]


def explained(session_ids: Sequence[str]) -> set[str]:
    """Tell which of some sessions begin with a message that was filed by the rules: these stay as they are."""
    wanted = {"session_id": {"$in": [ObjectId(one) for one in session_ids]}}
    first = {"$top": {"sortBy": {"createdAt": 1, "_id": 1}, "output": "$decision.kind"}}
    steps: list[dict[str, Any]] = [
        {"$match": wanted},
        {"$group": {"_id": "$session_id", "kind": first}},
        {"$match": {"kind": _OPENED}},
    ]
    return {str(row["_id"]) for row in collection(MessageDocument).aggregate(steps)}


_OPENED = {"$in": ["created", "rolled_over"]}


def taken_out(session_ids: Sequence[str]) -> set[str]:
    """Tell which of some sessions were merged once and taken out again: what a person undid is not done again."""
    wanted = {"later": {"$in": [ObjectId(one) for one in session_ids]}, "kind": MERGE, "state": UNDONE}
    return {str(row["later"]) for row in collection(RegroupingDocument).find(wanted, {"later": 1})}


def amount() -> int:
    """Give about how many sessions there are."""
    return collection(SessionDocument).estimated_document_count()
