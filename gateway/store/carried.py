"""What an import writes beside sessions and messages: each once, however often it is tried, and over nothing here.

Everything carries the id of its import, so that whoever repeats a batch after a crash knows its own.
"""

import contextlib
import hashlib
from collections.abc import Collection, Mapping, Sequence
from datetime import datetime
from typing import Any

from bson import Binary, ObjectId
from mongoengine import Document as Stored
from pymongo import ASCENDING
from pymongo.errors import DuplicateKeyError

from gateway.core import carried
from gateway.core.imported import CarriedRow, PieceRow
from gateway.store import groups, import_changes, suppressions
from gateway.store.adopted import object_ids
from gateway.store.connection import collection, insert_new
from gateway.store.documents import (
    ChannelDocument,
    ContactDocument,
    MergeDocument,
    MessageDocument,
    SuppressionDocument,
)
from gateway.store.groups import IDENTIFIERS
from gateway.store.media import BUCKET

_KINDS: dict[str, type[Stored]] = {
    carried.CHANNEL: ChannelDocument,
    carried.CONTACT: ContactDocument,
    carried.MERGE: MergeDocument,
}
_IDS = {
    carried.CHANNEL: (),
    carried.CONTACT: ("_id", "merged_into"),
    carried.MERGE: ("survivor", "absorbed"),
}

_NEVER_EMPTY = ("phones", "external_ids", "identifiers")

# What is unique of a contact, where it is there: the same of two contacts is one person.
UNIQUE = (*IDENTIFIERS, "identifiers")


def here(kind: str, ids: Collection[str], import_id: str | None = None) -> dict[str, bool]:
    """Tell which of these are here, and whether this import brought them."""
    also = object_ids(ids)
    found = collection(_KINDS[kind]).find({"_id": {"$in": [*ids, *also]}}, {"import_id": 1})
    return {str(row["_id"]): str(row.get("import_id")) == import_id for row in found}


def put(rows: Sequence[CarriedRow], import_id: str) -> list[CarriedRow]:
    """Store documents of one kind; gives those that were not: something of them is somebody else's here."""
    if not rows:
        return []
    document = _KINDS[rows[0].kind]
    taken = insert_new(document, [_stored(row) | {"import_id": ObjectId(import_id)} for row in rows])
    return [rows[index] for index in taken]


def _stored(row: CarriedRow) -> dict[str, Any]:
    ids = {name: ObjectId(row.document[name]) for name in _IDS[row.kind] if row.document.get(name)}
    stored = dict(row.document) | ids
    if row.kind == carried.CONTACT:
        if absorbed := stored.get("absorbed"):
            stored["absorbed"] = [ObjectId(one) for one in absorbed]
        # An empty list would be in their unique indexes as null.
        return {name: one for name, one in stored.items() if one != [] or name not in _NEVER_EMPTY}
    if closed := stored.get("closed"):
        stored["closed"] = [one | {name: ObjectId(one[name]) for name in ("session_id", "into")} for one in closed]
    return stored


def holders(rows: Sequence[CarriedRow]) -> dict[tuple[str, str], str]:
    """Tell who has what these contacts are known by: the contact's id, by the list and what is in it."""
    wanted = {name: {one for row in rows for one in row.document.get(name) or ()} for name in UNIQUE}
    known = [{name: {"$in": sorted(values)}} for name, values in wanted.items() if values]
    found = collection(ContactDocument).find({"$or": known}, dict.fromkeys(UNIQUE, 1)) if known else ()
    return {
        (name, one): str(contact["_id"])
        for contact in found
        for name in UNIQUE
        for one in contact.get(name) or ()
        if one in wanted[name]
    }


def learn(contact_id: str, document: Mapping[str, Any], import_id: str) -> None:
    """Give a contact what it is known by elsewhere; what another has stays there."""
    mine = collection(ContactDocument).find_one({"_id": ObjectId(contact_id)}) or {"_id": ObjectId(contact_id)}
    for name in UNIQUE:
        for value in document.get(name) or ():
            import_changes.note_learned(import_id, mine, {name: value})
            try:
                collection(ContactDocument).update_one({"_id": ObjectId(contact_id)}, {"$addToSet": {name: value}})
            except DuplicateKeyError:
                continue


def contacts_here(ids: Collection[str]) -> set[str]:
    """Tell which of these contacts are here."""
    wanted = {"_id": {"$in": [ObjectId(one) for one in sorted(ids)]}}
    return {str(row["_id"]) for row in collection(ContactDocument).find(wanted, {"_id": 1})}


def said_stop(document: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    """Give the lines that a contact said STOP to here before it was forgotten, as they are kept."""
    identities = [one for name in ("phones", "external_ids") for one in document.get(name) or ()]
    return {groups.escaped(line): {"at": None, "message_id": None} for line in suppressions.lines_of(identities)}


def put_suppression(row: CarriedRow, import_id: str) -> bool:
    """Store the STOP of somebody who was forgotten; False where it means nothing here, for the salt is another."""
    stops, salt = collection(SuppressionDocument), row.document["salt"]
    stops.update_one({"_id": suppressions.SALT}, {"$setOnInsert": {"salt": salt}}, upsert=True)
    kept = stops.find_one({"_id": suppressions.SALT})
    if kept is None or kept["salt"] != salt:
        return False
    stop = {"lines": row.document["lines"], "at": row.document["at"], "import_id": ObjectId(import_id)}
    stops.update_one({"_id": row.id}, {"$setOnInsert": stop}, upsert=True)
    return True


def named(pieces: Sequence[PieceRow]) -> set[str]:
    """Give the ids of the files that messages here say are kept of them."""
    wanted = {"_id": {"$in": sorted({piece.message_id for piece in pieces})}}
    found = collection(MessageDocument).find(wanted, {"media": 1})
    return {str(entry.get("file_id")) for row in found for entry in row.get("media") or () if entry.get("stored")}


def whole(pieces: Sequence[PieceRow], import_id: str | None = None) -> dict[str, bool]:
    """Tell which of these files are here, and whether this import brought them."""
    files = collection(MessageDocument).database[f"{BUCKET}.files"]
    found = files.find({"_id": {"$in": sorted({one.file_id for one in pieces})}}, {"import_id": 1})
    return {row["_id"]: str(row.get("import_id")) == import_id for row in found}


def take_files() -> None:
    """Make the index by which a piece is stored once, as GridFS does with its first file: that may be one of these."""
    chunks = collection(MessageDocument).database[f"{BUCKET}.chunks"]
    chunks.create_index([("files_id", ASCENDING), ("n", ASCENDING)], unique=True)


def put_piece(piece: PieceRow) -> None:
    """Store a piece of a file; one that is here already, from an attempt before, stays as it is. Nothing has none."""
    if piece.size:
        stored = {"files_id": piece.file_id, "n": piece.number, "data": Binary(piece.content)}
        with contextlib.suppress(DuplicateKeyError):
            collection(MessageDocument).database[f"{BUCKET}.chunks"].insert_one(stored)


def close(piece: PieceRow, sha256: str, import_id: str, now: datetime) -> bool:
    """Let a file be there whose last piece this is; False where it is not whole, and then none of it stays."""
    database = collection(MessageDocument).database
    found, size, digest = (
        database[f"{BUCKET}.chunks"].find({"files_id": piece.file_id}).sort("n", 1),
        0,
        hashlib.sha256(),
    )
    for number, chunk in enumerate(found):
        size += len(chunk["data"]) if chunk["n"] == number else 0
        digest.update(chunk["data"])
    if size != piece.size or (sha256 and digest.hexdigest() != sha256):
        database[f"{BUCKET}.chunks"].delete_many({"files_id": piece.file_id})
        return False
    file = {
        "_id": piece.file_id,
        "length": piece.size,
        "chunkSize": piece.piece_size,
        "uploadDate": now,
        "filename": piece.filename,
        "metadata": {"content_type": piece.content_type, "message_id": piece.message_id},
        "import_id": ObjectId(import_id),
    }
    with contextlib.suppress(DuplicateKeyError):
        database[f"{BUCKET}.files"].insert_one(file)
    return True


def hash_of(piece: PieceRow) -> str:
    """Give the hash that a message keeps of a file of its own; empty where it keeps none."""
    row = collection(MessageDocument).find_one({"_id": piece.message_id}, {"media": 1}) or {}
    kept = [entry for entry in row.get("media") or () if entry.get("file_id") == piece.file_id]
    return str(kept[0].get("sha256") or "") if kept else ""
