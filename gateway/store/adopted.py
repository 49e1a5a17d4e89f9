"""What another application left in our own database: told from ours, kept aside under other names, and put back.

A backup is a collection beside the one it is of, `sessions_before_<import>`. Documents go there and back as bytes, and
one is deleted only while it is the same, byte for byte, in the backup.
"""

import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from typing import Any

from bson import CodecOptions, ObjectId
from bson.raw_bson import RawBSONDocument
from mongoengine import Document
from pymongo import DeleteOne, ReplaceOne
from pymongo.collection import Collection as MongoCollection
from pymongo.database import Database
from pymongo.errors import BulkWriteError, DuplicateKeyError, OperationFailure

from gateway.core.errors import GatewayError
from gateway.store.connection import DUPLICATE_KEY, collection
from gateway.store.documents import ChannelDocument, MessageDocument, SessionDocument
from gateway.store.foreign import Source

SESSIONS, MESSAGES, CHANNELS = "sessions", "messages", "channels"
KINDS = (SESSIONS, MESSAGES, CHANNELS)
AT_ONCE = 500

# What ours have and no other application has; of a session that was merged into another little more is left than that.
# A channel of theirs serves as it is; those that do not are mended.
THEIRS: dict[str, dict[str, Any]] = {
    SESSIONS: {name: {"$exists": False} for name in ("keys", "import_id", "merged_into")},
    MESSAGES: {"storedAt": {"$exists": False}, "import_id": {"$exists": False}},
    CHANNELS: {"import_id": {"$exists": False}},
}
_OURS: dict[str, type[Document]] = {SESSIONS: SessionDocument, MESSAGES: MessageDocument, CHANNELS: ChannelDocument}
_BACKUP = re.compile(r"(?:sessions|messages|channels)_before_([0-9a-f]{24})")
_RAW: CodecOptions[RawBSONDocument] = CodecOptions(document_class=RawBSONDocument, uuid_representation=4)
_HEX = re.compile("[0-9a-fA-F]{24}")
# A copy, what is imported beside it, and indexes: of each some more than what the documents take now.
_TIMES = 3

_ELSEWHERE = "Import it into another database: set MONGODB_URI to one, and leave --in-place away."

Raw = RawBSONDocument


class NotTheSame(GatewayError):
    """A document that cannot be kept as it is; nothing was deleted."""


def object_ids(ids: Collection[str]) -> list[ObjectId]:
    """Give the ids that rows have which were adopted: of another type than ours, and written the same."""
    return [ObjectId(one) for one in ids if _HEX.fullmatch(one)]


def _database() -> Database[dict[str, Any]]:
    return collection(SessionDocument).database


def _raw(name: str) -> MongoCollection[Raw]:
    return _database().get_collection(name, codec_options=_RAW)  # type: ignore[return-value]


def backup(kind: str, import_id: str) -> str:
    """Name the collection that keeps what an import found."""
    return f"{kind}_before_{import_id}"


def backups() -> dict[str, list[str]]:
    """List the collections that keep what imports found, by the import."""
    found: dict[str, list[str]] = {}
    for name in sorted(_database().list_collection_names()):
        if named := _BACKUP.fullmatch(name):
            found.setdefault(named[1], []).append(name)
    return found


def sources(uri: str, import_id: str = "") -> list[Source]:
    """Give theirs as they are to be read: where they lie, or from the backup of an import."""
    names = {kind: backup(kind, import_id) if import_id else kind for kind in KINDS}
    there = set(_database().list_collection_names())
    return [
        # A secondary may not have yet what was written a moment ago.
        Source(uri, name, _database()[name].count_documents(wanted), wanted, "primary")
        for kind, name in names.items()
        for wanted in (_wanted(kind, import_id),)
        if name in there
    ]


def _wanted(kind: str, import_id: str) -> dict[str, Any]:
    return {} if import_id else THEIRS[kind]


def amounts(import_id: str = "") -> dict[str, int]:
    """Count theirs where they lie, or in the backup of an import."""
    if import_id:
        return {kind: _database()[backup(kind, import_id)].count_documents({}) for kind in KINDS}
    return {kind: _database()[kind].count_documents(THEIRS[kind]) for kind in KINDS}


def written_since() -> int:
    """Count the sessions and messages here that another application wrote and no import brought in."""
    return sum(_database()[kind].count_documents(THEIRS[kind]) for kind in (SESSIONS, MESSAGES))


def still_theirs(kind: str, ids: Collection[str]) -> set[str]:
    """Tell which of these are here only as the other application wrote them."""
    also = object_ids(ids)
    found = _database()[kind].find({"_id": {"$in": [*ids, *also]}, **THEIRS[kind]}, {"_id": 1})
    return {str(row["_id"]) for row in found}


def obstacle() -> str:
    """Say what about their collections would spoil ours; empty where nothing does."""
    for kind in KINDS:
        options = next(iter(_database().list_collections(filter={"name": kind})), {})
        given = options.get("options") or {}
        if options.get("type", "collection") != "collection" or given.get("capped") or given.get("validator"):
            return f"The collection {kind} is a view, or has a fixed size or a validator. {_ELSEWHERE}"
        ours = {spec["name"] for spec in _OURS[kind]._meta["index_specs"]}
        for name, index in _database()[kind].index_information().items():
            if name in ours or name == "_id_":
                continue
            if index.get("unique") or "expireAfterSeconds" in index:
                what = "unique" if index.get("unique") else "there to delete documents by their age"
                drop = f"db.{kind}.dropIndex({name!r})"
                return f"The index {name} of {kind} is {what}, which ours are not made for. Drop it: {drop}."
    return ""


def room() -> tuple[int, int | None]:
    """Say how many bytes a backup and the import beside it take, and how many are free; None where nobody knows."""
    there, needed = set(_database().list_collection_names()), 0
    for kind in there.intersection(KINDS):
        found = _database().command("collStats", kind)
        needed += _TIMES * int(found["storageSize"] + found["totalIndexSize"])
    try:
        disk = _database().command("dbStats")
    except OperationFailure:
        return needed, None
    return needed, int(disk["fsTotalSize"] - disk["fsUsedSize"]) if disk.get("fsTotalSize") else None


def pages(kind: str, import_id: str = "") -> Iterator[list[Raw]]:
    """Page through theirs where they lie, or through the backup of an import, in the order of their ids."""
    # Their ids may be of several types: a comparison would stay within one, the bounds of the index do not.
    found, after = _raw(backup(kind, import_id) if import_id else kind), list[Any]()
    wanted = _wanted(kind, import_id)
    while True:
        asked = found.find(wanted, limit=AT_ONCE).sort("_id", 1)
        page = list((asked.min([("_id", after[0])]) if after else asked).hint([("_id", 1)]))
        if not page:
            return
        yield page
        after, wanted = [page[-1]["_id"]], wanted | {"_id": {"$ne": page[-1]["_id"]}}


def keep(kind: str, import_id: str, page: Sequence[Raw]) -> None:
    """Put documents into the backup; a newer state of one takes the place of the older."""
    there = [page[number] for number in _insert(backup(kind, import_id), page)]
    if there:
        changes = [ReplaceOne[Raw]({"_id": one["_id"]}, one) for one in there]
        _raw(backup(kind, import_id)).bulk_write(changes, ordered=False)


def _insert(name: str, page: Sequence[Raw]) -> list[int]:
    """Insert documents; gives the positions of those that others are in the way of."""
    if not page:
        return []
    try:
        _raw(name).insert_many(page, ordered=False)
    except BulkWriteError as error:
        failures = error.details["writeErrors"]
        unconfirmed = not failures or error.details["writeConcernErrors"]
        if unconfirmed or any(failure["code"] != DUPLICATE_KEY for failure in failures):
            raise
        return [failure["index"] for failure in failures]
    return []


def kept(kind: str, import_id: str, page: Sequence[Raw]) -> list[Raw]:
    """Give those of some documents that the backup has just so."""
    held = {one.raw for one in _raw(backup(kind, import_id)).find({"_id": {"$in": [one["_id"] for one in page]}})}
    return [one for one in page if one.raw in held]


def keep_latest(kind: str, import_id: str, page: Sequence[Raw]) -> int:
    """Put into the backup what is not there just so; gives how many that were. NotTheSame where it cannot be done."""
    same = {one.raw for one in kept(kind, import_id, page)}
    late = [one for one in page if one.raw not in same]
    keep(kind, import_id, late)
    if len(kept(kind, import_id, late)) < len(late):
        raise NotTheSame(f"A document of {kind} cannot be kept byte for byte. {_ELSEWHERE}")
    return len(late)


def take_out(kind: str, page: Sequence[Raw]) -> int:
    """Delete documents of theirs that are in the backup, unless they changed since they were read."""
    gone = [DeleteOne(_just_so(one)) for one in page]
    return _raw(kind).bulk_write(gone, ordered=False).deleted_count if gone else 0


def _just_so(one: Raw) -> dict[str, Any]:
    return {"_id": one["_id"], "$expr": {"$eq": ["$$ROOT", {"$literal": one}]}}


def mend_channel(one: Raw, import_id: str, fields: Mapping[str, Any]) -> bool:
    """Let a channel of theirs be one of ours, unless it changed meanwhile; False where there is one like it."""
    try:
        _raw(CHANNELS).update_one(_just_so(one), {"$set": {**fields, "import_id": ObjectId(import_id)}})
    except DuplicateKeyError:
        return False
    return True


def brought(import_id: str) -> set[str]:
    """Give the ids, here and there, of the sessions of an import that are still here."""
    wanted = {"import_id": ObjectId(import_id)}
    ids: set[str] = set()
    for row in collection(SessionDocument).find(wanted, {"metadata.importedId": 1}):
        ids |= {str(row["_id"]), str((row.get("metadata") or {}).get("importedId") or "")}
    return ids - {""}


def put_back(kind: str, page: Sequence[Raw]) -> int:
    """Put documents back where they lay; gives how many could not be, for another has taken their place."""
    taken = [page[number] for number in _insert(kind, page)]
    here = {one.raw for one in _raw(kind).find({"_id": {"$in": [one["_id"] for one in taken]}})} if taken else ()
    return sum(one.raw not in here for one in taken)


def drop(import_id: str) -> None:
    """Delete the backup of an import."""
    for kind in KINDS:
        _database().drop_collection(backup(kind, import_id))
