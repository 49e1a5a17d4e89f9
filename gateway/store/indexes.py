"""What is to be done about indexes: which are missing, which are in their way, which nobody needs any more.

An index that is declared otherwise than it is here is dropped and made again, and so is one that somebody else made
for the same keys: MongoDB takes no second one, and queries know ours by their names. Of all others only those are
dropped that a gateway made, and not if a newer one did.
"""

import contextlib
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mongoengine import Document
from pymongo.errors import DuplicateKeyError, OperationFailure

from gateway import __version__
from gateway.core.errors import StoreRefused
from gateway.logs import log
from gateway.store.connection import INDEX_SECONDS, collection, create_indexes, deadline
from gateway.store.documents import DOCUMENTS, RETIRED, MigrationDocument

CREATE, REPLACE, DROP = "create", "replace", "drop"

READ_SECONDS = 30

_MADE = "indexes"
# The driver makes these for files.
_GRIDFS = frozenset({"filename_1_uploadDate_1", "files_id_1_n_1"})
_NOT_FOUND = frozenset({26, 27})  # NamespaceNotFound, IndexNotFound: somebody else was faster


@dataclass(frozen=True, slots=True)
class Change:
    """An index to be made, made again or dropped, and why. `in_the_way` is what goes for it."""

    collection: str
    index: str
    what: str
    why: str
    in_the_way: str = ""


@dataclass(frozen=True, slots=True)
class Foreign:
    """An index that no gateway made, on one of our collections."""

    collection: str
    index: str
    unique: bool


def plan() -> list[Change]:
    """Tell what `apply` would do."""
    return survey()[0]


def survey() -> tuple[list[Change], list[Foreign]]:
    """Tell what `apply` would do, and which indexes it leaves alone as somebody else's."""
    with deadline(READ_SECONDS):
        found = {document: collection(document).index_information() for document in DOCUMENTS}
        kept = collection(MigrationDocument).find_one({"_id": _MADE}) or {}
    changes = [change for document in DOCUMENTS for change in _wanted(document, found[document])]
    changes += [change for document in DOCUMENTS for change in _left(document, found[document], kept)]
    touched = {(one.collection, one.in_the_way or one.index) for one in changes}
    return changes, [
        one
        for document in DOCUMENTS
        for one in _foreign(document, found[document], kept)
        if (one.collection, one.index) not in touched
    ]


def _foreign(document: type[Document], found: Mapping[str, Any], kept: Mapping[str, Any]) -> Iterator[Foreign]:
    name = document._get_collection_name()
    made = (kept.get("made") or {}).get(name) or {}
    ours = {"_id_", *_GRIDFS, *made, *(spec["name"] for spec in document._meta["index_specs"])}
    for index, spec in found.items():
        if index not in ours:
            yield Foreign(name, index, bool(spec.get("unique")))


def _wanted(document: type[Document], found: Mapping[str, Any]) -> Iterator[Change]:
    name = document._get_collection_name()
    for spec in document._meta["index_specs"]:
        index = spec["name"]
        if index in found:
            if _shape(spec) != _shape(found[index]):
                yield Change(name, index, REPLACE, "it is declared otherwise now", index)
        elif other := next((other for other, one in found.items() if _collide(spec, one)), ""):
            yield Change(name, index, REPLACE, f"{other} is for the same keys, under a name that no query knows", other)
        else:
            yield Change(name, index, CREATE, "it is missing")


def _left(document: type[Document], found: Mapping[str, Any], kept: Mapping[str, Any]) -> Iterator[Change]:
    name = document._get_collection_name()
    declared = {spec["name"] for spec in document._meta["index_specs"]}
    reasons = {index: why for owner, index, why in RETIRED if owner is document}
    made = (kept.get("made") or {}).get(name) or {}
    reasons |= {
        index: "this version of the gateway does not need it" for index, version in made.items() if _is_ours(version)
    }
    for index in found:
        if index in reasons and index not in declared:
            yield Change(name, index, DROP, reasons[index])


def _is_ours(version: str) -> bool:
    """Tell whether a version is this one or an older one: what a newer one made, it needs."""
    return _numbers(version) <= _numbers(__version__)


def _numbers(version: str) -> list[int]:
    return [int(part) for part in re.findall(r"\d+", version)]


def _shape(spec: Mapping[str, Any]) -> tuple[Any, ...]:
    """Give what makes an index what it is, declared or as MongoDB tells it."""
    return (*_keys(spec), bool(spec.get("unique")), spec.get("expireAfterSeconds"))


def _keys(spec: Mapping[str, Any]) -> tuple[Any, ...]:
    """Give keys and filter; the words of a text index are told by its weights."""
    keys = spec.get("fields") or spec["key"]
    words = sorted(spec.get("weights") or [name for name, kind in keys if kind == "text"])
    plain = [(name, kind) for name, kind in keys if not name.startswith("_fts") and kind != "text"]
    return plain, words, dict(spec.get("partialFilterExpression") or {})


def _collide(spec: Mapping[str, Any], other: Mapping[str, Any]) -> bool:
    """Tell whether MongoDB would refuse an index because of another: the same keys, or a second text index."""
    ours, theirs = _keys(spec), _keys(other)
    return ours == theirs or bool(ours[1] and theirs[1])


def apply(changes: Sequence[Change]) -> None:
    """Make and drop indexes, and write down which are ours; StoreRefused where documents are against a unique one.

    Safe to run twice, twice at once, and while serving.
    """
    with deadline(INDEX_SECONDS):
        for change in changes:
            if change.what == REPLACE:
                _drop(change.collection, change.in_the_way)
    if any(change.what != DROP for change in changes):
        _create()
    with deadline(INDEX_SECONDS):
        for change in changes:
            if change.what == DROP:
                _drop(change.collection, change.index)
        declared = {
            f"made.{document._get_collection_name()}.{spec['name']}": __version__
            for document in DOCUMENTS
            for spec in document._meta["index_specs"]
        }
        collection(MigrationDocument).update_one({"_id": _MADE}, {"$set": declared}, upsert=True)


def make_first() -> None:
    """Make the indexes of what holds nothing yet, before anything is stored there.

    One open session per sender is a unique index, so a new database must have it before its first message, whoever
    forgot to migrate. What holds something already is left to `apply`, which may take long and be refused: then it is
    said which unique indexes are missing.
    """
    lacking = []
    for document in DOCUMENTS:
        unique = {spec["name"] for spec in document._meta["index_specs"] if spec.get("unique")}
        if missing := unique.difference(collection(document).index_information() if unique else ()):
            lacking.append((document, missing))
    empty = [document for document in DOCUMENTS if lacking and collection(document).find_one({}, {"_id": 1}) is None]
    for document in empty:
        with contextlib.suppress(OperationFailure):  # it holds something meanwhile
            document.ensure_indexes()
    names = [
        f"{document._get_collection_name()}.{name}"
        for document, missing in lacking
        for name in sorted(missing.difference(collection(document).index_information()))
    ]
    if names:
        log.error(
            "indexes_missing",
            message=f"Without {', '.join(names)} there may be two of what must be one. Run `gateway migrate`.",
        )


def _drop(name: str, index: str) -> None:
    database = collection(MigrationDocument).database
    try:
        database[name].drop_index(index)
    except OperationFailure as error:
        if error.code not in _NOT_FOUND:
            raise


def _create() -> None:
    try:
        create_indexes()
    except DuplicateKeyError as error:
        # What is twice there is somebody's number or address, so only the index is named.
        told = re.search(r"collection: \S+?\.(\S+) index: (\S+)", str(error))
        index = ".".join(told.groups()) if told else "an index"
        raise StoreRefused(
            f"{index} cannot be made: it is unique, and some documents have the same value. "
            "Make them differ, or make them one; then run this again."
        ) from None
