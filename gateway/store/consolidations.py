"""What a consolidation made one, noted before each step: who or what went into what, and how far that is.

Kept with what imports change (`import_changes`), for it is taken back the same way.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from bson import ObjectId
from pymongo import UpdateOne

from gateway.store import import_changes, imports, repeated
from gateway.store.connection import collection
from gateway.store.documents import (
    ContactDocument,
    ImportChangeDocument,
    ImportDocument,
    MergeDocument,
    MessageDocument,
    RegroupingDocument,
    SessionDocument,
)
from gateway.store.imports import Import

# What a run of it is called in the list of imports, where files have their layout.
LAYOUT = "consolidation"
# Where a run is, as files are at their path: so there is one at a time.
PLACE = "gateway:consolidation"

PEOPLE, SESSIONS = "people", "sessions"
AMOUNTS = ("people", "contacts_merged", "session_groups", "sessions_merged", "messages_removed")
BEGUN, PLANNED, DONE = "begun", "planned", "done"

# A field in a field, as it is noted: with a dot it would be a path.
_FIRST = "metadata/firstMessageAt"
_TIMES = (*import_changes.TIMES, "updatedAt")

Document = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Note:
    """One contact or session that goes `into` another; `removed` of the messages are put aside, once it is planned.

    `imports` brought something of either. `dropped` is what a contact was at its CRM, where the other is another one.
    """

    run_id: str
    kind: str
    id: str
    into: str
    state: str = BEGUN
    removed: int = 0
    imports: tuple[str, ...] = ()
    dropped: tuple[Mapping[str, str], ...] = ()

    @property
    def mark(self) -> str:
        """Give the id of its merge: always the same one, so that it is done once."""
        return mark(self.run_id, self.id)

    @property
    def key(self) -> str:
        """Give the id it is kept under."""
        return f"{self.run_id}:{self.kind}:{self.id}"


def mark(run_id: str, gone: str) -> str:
    """Give the id that the merge of a contact or session has in a run."""
    return f"{run_id}:{gone}"


def is_mark(merge_id: object) -> bool:
    """Tell whether a merge was made by a consolidation."""
    run, colon, _ = str(merge_id).partition(":")
    return bool(colon) and ObjectId.is_valid(run)


def begin(note: Note) -> None:
    """Note what is about to be done, and how the sessions are; what was noted before stays."""
    run = ObjectId(note.run_id)
    fields = {"import_id": run, "kind": note.kind, "ref": ObjectId(note.into), "at": run.generation_time}
    fields |= {"state": BEGUN, "imports": [ObjectId(one) for one in note.imports], "dropped": list(note.dropped)}
    if note.kind == SESSIONS:
        fields["before"] = {"gone": _times(note.id), "into": _times(note.into)}
    collection(ImportChangeDocument).update_one({"_id": note.key}, {"$setOnInsert": fields}, upsert=True)


def _times(session_id: str) -> Document:
    found = collection(SessionDocument).find_one({"_id": ObjectId(session_id)}) or {}
    times = {name: found[name] for name in _TIMES if name in found}
    first = (found.get("metadata") or {}).get("firstMessageAt")
    return {"message_count": found.get("message_count"), "times": times | ({_FIRST: first} if first else {})}


def restore_times(notes: Sequence[Note]) -> None:
    """Let sessions that are apart again say of their times what they did, where nothing came since."""
    found = collection(ImportChangeDocument).find({"_id": {"$in": [one.key for one in notes]}}, {"before": 1})
    before = {row["_id"]: row.get("before") or {} for row in found}
    updates = []
    for note in notes:
        for side, session_id in (("gone", note.id), ("into", note.into)):
            if was := before.get(note.key, {}).get(side):
                which = {"_id": ObjectId(session_id), "message_count": was["message_count"]}
                times = {name.replace("/", "."): at for name, at in was["times"].items()}
                gone = [name for name in (*_TIMES, _FIRST.replace("/", ".")) if name not in times]
                change = {"$set": times} | ({"$unset": dict.fromkeys(gone, "")} if gone else {})
                updates.append(UpdateOne(which | {"merged_into": {"$exists": False}}, change))
    if updates:
        collection(SessionDocument).bulk_write(updates)


def advance(note: Note, state: str, **fields: Any) -> None:
    """Note how far it is."""
    collection(ImportChangeDocument).update_one({"_id": note.key}, {"$set": {"state": state, **fields}})


def drop(notes: Iterable[Note]) -> None:
    """Forget notes of what was not done, or is undone."""
    collection(ImportChangeDocument).delete_many({"_id": {"$in": [one.key for one in notes]}})


def of(run_id: str, kind: str) -> Iterator[list[Note]]:
    """Page through what a run made one, of a kind."""
    for page in import_changes.of(run_id, kind):
        yield [_note(run_id, row) for row in page]


def _note(run_id: str, row: Mapping[str, Any]) -> Note:
    return Note(
        run_id,
        row["kind"],
        row["_id"].rpartition(":")[2],
        str(row["ref"]),
        row["state"],
        row.get("removed") or 0,
        tuple(str(one) for one in row.get("imports") or ()),
        tuple(row.get("dropped") or ()),
    )


def amounts(run_id: str) -> dict[str, int]:
    """Count what a run made one, and how many messages it put aside."""
    among = {"_id": {"$gt": f"{run_id}:", "$lt": f"{run_id};"}, "state": DONE}
    group = {"_id": {"kind": "$kind", "into": "$ref"}, "gone": {"$sum": 1}, "removed": {"$sum": "$removed"}}
    kinds = {"_id": "$_id.kind", "groups": {"$sum": 1}, "gone": {"$sum": "$gone"}, "removed": {"$sum": "$removed"}}
    rows = collection(ImportChangeDocument).aggregate([{"$match": among}, {"$group": group}, {"$group": kinds}])
    found = {row["_id"]: row for row in rows}
    people, sessions = found.get(PEOPLE, {}), found.get(SESSIONS, {})
    counted = [(people, "groups"), (people, "gone"), (sessions, "groups"), (sessions, "gone"), (sessions, "removed")]
    return {name: row.get(what, 0) for name, (row, what) in zip(AMOUNTS, counted, strict=True)}


def runs() -> list[Import]:
    """Give the consolidations of which something may still hold, the oldest first."""
    wanted = {"layout": LAYOUT, "undone_at": {"$exists": False}}
    found = collection(ImportDocument).find(wanted, {"_id": 1}).sort("_id", 1).hint("_id_")
    return [run for run in (imports.get(str(row["_id"])) for row in list(found)) if run]


def brought_by(session_ids: Sequence[str]) -> tuple[str, ...]:
    """Tell which imports brought something of these sessions: themselves, or a message in them."""
    ids = {"$in": [ObjectId(one) for one in session_ids]}
    found = set(collection(MessageDocument).distinct("import_id", {"session_id": ids}))
    found |= {row.get("import_id") for row in collection(SessionDocument).find({"_id": ids}, {"import_id": 1})}
    return tuple(sorted(str(one) for one in found if one))


def in_order(notes: Sequence[Note]) -> list[Note]:
    """Put notes in the order in which they are to be undone: what was merged last comes first."""
    order: dict[str, Any] = {}
    ids = [one.mark for one in notes]
    for start in range(0, len(ids), 500):
        some = {"_id": {"$in": ids[start : start + 500]}}
        order |= {row["_id"]: row.get("order") or 0 for row in collection(RegroupingDocument).find(some, {"order": 1})}
        order |= {row["_id"]: row["at"].timestamp() for row in collection(MergeDocument).find(some, {"at": 1})}
    return sorted(notes, key=lambda one: (one.kind != SESSIONS, -order.get(one.mark, 0), one.id))


def forget_merges(marks: Sequence[str]) -> None:
    """Delete what is known of merges that are undone: the database is as if they had never been."""
    undone = {"_id": {"$in": list(marks)}, "state": "undone"}
    collection(RegroupingDocument).delete_many(undone)
    collection(MergeDocument).delete_many(undone)


def tidy(notes: Sequence[Note]) -> None:
    """Take away the empty lists that undone merges leave behind."""
    people = {"$in": [ObjectId(one.into) for one in notes if one.kind == PEOPLE]}
    sessions = {"$in": [ObjectId(id_) for one in notes if one.kind == SESSIONS for id_ in (one.id, one.into)]}
    collection(ContactDocument).update_many({"_id": people, "absorbed": []}, {"$unset": {"absorbed": ""}})
    collection(MessageDocument).update_many({"session_id": sessions, "moved": []}, {"$unset": {"moved": ""}})


def is_in(note: Note) -> bool:
    """Tell whether what went into another is still there."""
    document = ContactDocument if note.kind == PEOPLE else SessionDocument
    found = collection(document).find_one({"_id": ObjectId(note.id)}, {"merged_into": 1}) or {}
    return str(found.get("merged_into")) == note.into


def drop_run(run_id: str) -> None:
    """Forget a run that found nothing to do."""
    collection(ImportDocument).delete_one({"_id": ObjectId(run_id)})


def lines(run_id: str) -> Iterator[Document]:
    """Give what a run made one: what went into what, the messages put aside, and what a CRM knew it by."""
    for kind in (PEOPLE, SESSIONS):
        for page in of(run_id, kind):
            for note in page:
                said = {"messages": repeated.aside(run_id, note.mark, note.into)} if note.removed else {}
                dropped = {"dropped": list(note.dropped)} if note.dropped else {}
                yield {"what": kind, "merged": note.id, "kept": note.into, **said, **dropped}
