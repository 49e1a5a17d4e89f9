"""What goes along with conversations when all of them are taken: read one after the other, however many there are.

Contacts come so that whoever was merged into another comes after that one. Who is about to be forgotten stays out.
"""

import base64
from collections.abc import Iterator, Mapping
from itertools import islice
from typing import Any

from mongoengine import Document as Stored

from gateway.core import carried
from gateway.core.checking import tagged
from gateway.store import groups, removal, suppressions
from gateway.store.connection import collection, deadline
from gateway.store.documents import ChannelDocument, ContactDocument, MergeDocument, SuppressionDocument
from gateway.store.merges import DONE, UNDONE

BATCH_SECONDS = 30
_AT_ONCE = 200

Document = dict[str, Any]

# How a channel or contact came here, and what keeps workers apart, is of this database alone.
WITHOUT = {
    carried.CHANNEL: ("last_webhook_at", "import_id"),
    carried.CONTACT: ("import_id", "to_forget", "to_merge"),
    carried.MERGE: ("busy", "owner", "lease", "unsettled", "import_id"),
    carried.SUPPRESSION: ("import_id",),
}
# Whose moments are read as such where they stand; in all other lists and objects they are written so that they are.
_PLAIN = {carried.CONTACT: ("opted_out",)}


def documents() -> Iterator[tuple[str, Document]]:
    """Give channels, contacts, merges and the STOPs of the forgotten, each with its kind. StoreUnavailable may come."""
    for channel in _each(ChannelDocument, {}):
        yield carried.CHANNEL, _written(carried.CHANNEL, channel)
    for contact in _contacts():
        yield carried.CONTACT, _written(carried.CONTACT, contact)
    for merge in _each(MergeDocument, {"state": {"$in": [DONE, UNDONE]}}):
        yield carried.MERGE, _written(carried.MERGE, merge)
    for stop in _stops():
        yield carried.SUPPRESSION, _written(carried.SUPPRESSION, stop)


def _contacts() -> Iterator[Document]:
    with deadline(BATCH_SECONDS):
        going = [one["_id"] for one in collection(ContactDocument).find({"to_forget": {"$exists": True}}, {"_id": 1})]
        forgotten = set(groups.ids_of(going))
    for head in _each(ContactDocument, {}):
        if head["_id"] in forgotten or head.get("merged_into"):
            continue
        with deadline(BATCH_SECONDS):
            members = groups.below(head).members if head.get("absorbed") else (head,)
        yield from members


def _stops() -> Iterator[Document]:
    """Give the STOPs of the forgotten, each with the salt without which its hash means nothing."""
    with deadline(BATCH_SECONDS):
        salted = collection(SuppressionDocument).find_one({"_id": suppressions.SALT})
    if salted:
        for stop in _each(SuppressionDocument, {"_id": {"$ne": suppressions.SALT}}):
            yield stop | {"salt": salted["salt"]}


def _each(document: type[Stored], wanted: Mapping[str, Any]) -> Iterator[Document]:
    """Give documents by `_id`, each batch with its own time."""
    found = collection(document).find(dict(wanted), batch_size=_AT_ONCE).sort("_id", 1)
    with found:
        rows = None
        while rows is None or len(rows) == _AT_ONCE:
            with deadline(BATCH_SECONDS):
                rows = list(islice(found, _AT_ONCE))
            yield from rows


def _written(kind: str, document: Document) -> Document:
    """Leave out what is of this database alone, and mark the moments in lists and objects as such."""
    written: Document = {}
    for name, value in document.items():
        if name in WITHOUT[kind]:
            continue
        nested = isinstance(value, dict | list) and name not in _PLAIN.get(kind, ())
        written[name] = (
            tagged(value) if nested else base64.b64encode(value).decode() if isinstance(value, bytes) else value
        )
    return written


def pieces(message: Mapping[str, Any]) -> Iterator[Document]:
    """Give the files that are kept of a message, piece by piece."""
    named = {entry.get("file_id") for entry in message.get("media") or () if entry.get("stored")}
    for file in removal.files_of(message) if named else ():
        if file["_id"] in named:
            yield from _pieces(message, file)


def _pieces(message: Mapping[str, Any], file: Mapping[str, Any]) -> Iterator[Document]:
    size, piece_size = file["length"], file["chunkSize"]
    about = {
        "file_id": file["_id"],
        "message_id": message["_id"],
        "pieces": max(1, -(-size // piece_size)),
        "filename": file.get("filename") or "",
        "content_type": (file.get("metadata") or {}).get("content_type") or "",
        "size": size,
        "piece_size": piece_size,
    }
    if size == 0:
        yield about | {"number": 0, "data": ""}
    for chunk in removal.chunks_of(file):
        yield about | {"number": chunk["n"], "data": base64.b64encode(chunk["data"]).decode()}
