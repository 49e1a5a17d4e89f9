"""An import taken back: imports held off meanwhile, its sessions hidden and deleted, and all that came with them.

Sessions go as old ones do (`store.retention`): hidden first, so that what arrives begins a new one; looked at again
when nobody can be writing into them any more; then deleted. In whichever something was said since, it stays.
"""

from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo.errors import DuplicateKeyError

from gateway.store import groups, merges, regroupings, removal, retention, settling
from gateway.store.connection import collection
from gateway.store.documents import (
    ChannelDocument,
    ContactDocument,
    ImportDocument,
    MergeDocument,
    MessageDocument,
    OutboxDocument,
    RegroupingDocument,
    SessionDocument,
    SuppressionDocument,
)
from gateway.store.groups import Group
from gateway.store.importing import IMPORTED
from gateway.store.media import BUCKET

UNDONE = "undone"
BATCH = 1000
_ASIDE = ("keys", "slot", "closed_reason", "status", "open_keys")

Document = dict[str, Any]


def hold(import_id: str, now: datetime) -> None:
    """Keep imports from being begun, for one is to be taken back."""
    which = {"_id": ObjectId(import_id), "undone_at": {"$exists": False}}
    collection(ImportDocument).update_one(which, {"$set": {"undoing": now}})


def let_go(import_id: str) -> None:
    """Let imports be begun again; whoever began to take one back goes on with that first."""
    which = {"_id": ObjectId(import_id), "undoing_since": {"$exists": False}}
    collection(ImportDocument).update_one(which, {"$unset": {"undoing": ""}})


def begin(import_id: str, now: datetime, had: Mapping[str, int]) -> bool:
    """Note that an import is being taken back, and how much of it is here; False where that was noted before."""
    which = {"_id": ObjectId(import_id), "undoing_since": {"$exists": False}}
    change = {"$set": {"undoing_since": now, "undone": dict(had)}}
    return collection(ImportDocument).update_one(which, change).modified_count == 1


def end(import_id: str, now: datetime, left: Mapping[str, int], *, kept: int, apart: int) -> bool:
    """Note that an import is taken back, but for what is left of it; False where that was noted before.

    `apart` is how many merges of consolidations were undone for it.
    """
    told = {"undone_at": now, "undone.sessions_kept": kept} | ({"undone.taken_apart": apart} if apart else {})
    change: dict[str, Any] = {"$set": told, "$unset": {"undoing": ""}}
    change["$inc"] = {f"undone.{name}": -number for name, number in left.items()}
    which = {"_id": ObjectId(import_id), "undone_at": {"$exists": False}}
    return collection(ImportDocument).update_one(which, change).modified_count == 1


def being_undone() -> str | None:
    """Give the id of an import that is being taken back; None where none is."""
    found = collection(ImportDocument).find_one({"undoing": {"$exists": True}}, {"_id": 1})
    return str(found["_id"]) if found else None


def sessions_of(import_id: str) -> Iterator[list[ObjectId]]:
    """Page through the sessions that an import brought and that are not hidden."""
    yield from _pages(SessionDocument, {"import_id": ObjectId(import_id), "retired": {"$exists": False}})


def _pages(document: type[Any], wanted: Document) -> Iterator[list[ObjectId]]:
    after: Document = {}
    while page := list(collection(document).find(wanted | after, {"_id": 1}).sort("_id", 1).limit(BATCH)):
        yield [row["_id"] for row in page]
        after = {"_id": {"$gt": page[-1]["_id"]}}


def in_use(ids: Sequence[ObjectId], import_id: str) -> set[ObjectId]:
    """Tell in which of these sessions something is that the import did not bring, or that somebody split or merged."""
    within = {"$in": list(ids)}
    used = set(
        collection(MessageDocument).distinct(
            "session_id", {"session_id": within, "import_id": {"$ne": ObjectId(import_id)}}
        )
    )
    regrouped = {"$or": [{"earlier": within}, {"later": within}]}
    for row in collection(RegroupingDocument).find(regrouped, {"earlier": 1, "later": 1}):
        used |= {row.get("earlier"), row.get("later")}
    return used & set(ids)


def hide(ids: Sequence[ObjectId], now: datetime) -> None:
    """Take sessions out of the finder's sight, open ones too; what they are known by is put aside."""
    aside = {name: f"${name}" for name in _ASIDE}
    collection(SessionDocument).update_many(
        {"_id": {"$in": list(ids)}, "retired": {"$exists": False}},
        [
            {"$set": {"retired": {"at": now, "why": UNDONE, **aside}}},
            # No longer "idle", so that nothing that saw it before opens it again.
            {"$set": {"keys": [], "closed_reason": retention.REASON, "status": "closed"}},
            {"$unset": ["slot", "open_keys"]},
        ],
    )


def hidden(import_id: str, since: datetime | None, before: datetime) -> list[Document]:
    """Give a batch of sessions that were hidden between two moments and still have their messages, the first first."""
    when = {"$lte": before} | ({"$gte": since} if since else {})
    wanted: Document = {"retired": {"$exists": True}, "retired.at": when, "retired.emptied": {"$exists": False}}
    wanted |= {"retired.why": UNDONE, "import_id": ObjectId(import_id)}
    return list(collection(SessionDocument).find(wanted).sort("retired.at", 1).hint("retired").limit(BATCH))


def is_any_hidden(import_id: str) -> bool:
    """Tell whether a session of an import is on its way out."""
    wanted = {"retired": {"$exists": True}, "retired.why": UNDONE, "import_id": ObjectId(import_id)}
    return collection(SessionDocument).find_one(wanted, {"_id": 1}) is not None


def amounts(import_id: str) -> dict[str, int]:
    """Count what is here that an import brought."""
    brought = {"sessions": SessionDocument, "messages": MessageDocument, "people": ContactDocument}
    which = {"import_id": ObjectId(import_id)}
    return {name: collection(document).count_documents(which) for name, document in brought.items()}


def give_back(session: Mapping[str, Any]) -> None:
    """Let a session be found again, as it was; closed where its sender has another open one by now."""
    sessions, which = collection(SessionDocument), {"_id": session["_id"], "retired.why": UNDONE}
    aside = {name: session["retired"][name] for name in _ASIDE if name in session["retired"]}
    gone = {"closed_reason": ""} if "closed_reason" not in aside else {}
    try:
        sessions.update_one(which, {"$set": aside, "$unset": {**gone, "retired": ""}})
    except DuplicateKeyError:
        kept = {name: one for name, one in aside.items() if name not in ("slot", "open_keys")}
        if aside.get("status") == "active":
            kept |= {"status": "closed", "closed_reason": IMPORTED, "closed_at": session["last_message_at"]}
        sessions.update_one(which, {"$set": kept, "$unset": {"retired": ""}})
    settling.recount([session["_id"]])


def forget_alerts(sessions: Sequence[Mapping[str, Any]]) -> None:
    """Delete what keeps people from being told of these sessions."""
    if not sessions:
        return
    for way in ("webhook", "email"):
        prefixes = [f"alert:{way}:{session['_id']}" for session in sessions]
        collection(OutboxDocument).delete_many(
            {"$or": [{"_id": {"$gte": f"{one}:", "$lt": f"{one};"}} for one in prefixes]}
        )


def forget_regroupings(ids: Sequence[ObjectId]) -> None:
    """Delete what is known of the regroupings of sessions that go."""
    regroupings.forget(ids)


def delete_messages(session_ids: Sequence[ObjectId], import_id: str) -> int:
    """Delete what an import put into sessions that were here before, with its files; gives how many messages."""
    deleted = 0
    wanted = {"session_id": {"$in": list(session_ids)}, "import_id": ObjectId(import_id)}
    while rows := list(collection(MessageDocument).find(wanted, {"media": 1}).limit(BATCH)):
        removal.delete_files(row["_id"] for row in rows if row.get("media"))
        deleted += removal.delete_messages([row["_id"] for row in rows])
    return deleted


def delete_files(import_id: str) -> int:
    """Delete the files that an import brought for messages that were here, or that nothing names; gives how many."""
    database, run = collection(MessageDocument).database, ObjectId(import_id)
    deleted = 0
    for file in list(database[f"{BUCKET}.files"].find({"import_id": run}, {"metadata.message_id": 1})):
        message = collection(MessageDocument).find_one({"_id": (file.get("metadata") or {}).get("message_id")})
        if message and message.get("import_id") == run:
            continue  # of a session that stays
        database[f"{BUCKET}.chunks"].delete_many({"files_id": file["_id"]})
        deleted += database[f"{BUCKET}.files"].delete_one({"_id": file["_id"]}).deleted_count
    return deleted


def contacts_of(import_id: str) -> Iterator[list[ObjectId]]:
    """Page through the people that an import brought."""
    yield from _pages(ContactDocument, {"import_id": ObjectId(import_id)})


def delete_contacts(ids: Sequence[ObjectId], import_id: str, ended: datetime) -> int:
    """Delete people that an import brought which ended at a moment, but for whoever is needed; gives how many went."""
    needed = _needed(ids, ObjectId(import_id), ended)
    gone = [one for one in ids if one not in needed]
    merges.forget(gone)
    return collection(ContactDocument).delete_many({"_id": {"$in": gone}}).deleted_count


def _needed(ids: Sequence[ObjectId], run: ObjectId, ended: datetime) -> set[ObjectId]:
    """Tell who has sessions that stay, said STOP here since, or was merged or parted here."""
    people = {ObjectId(one): group for one, group in groups.heads([str(one) for one in ids]).items()}
    everybody = {"$in": list({one: None for group in people.values() for one in group.ids})}
    used = set(collection(SessionDocument).distinct("contact_id", {"contact_id": everybody}))
    sides = {"$or": [{"survivor": everybody}, {"absorbed": everybody}], "import_id": {"$ne": run}}
    for merge in collection(MergeDocument).find(sides, {"survivor": 1, "absorbed": 1}):
        used |= {merge["survivor"], merge["absorbed"]}
    return {one for one, group in people.items() if _is_needed(group, run, ended) or not used.isdisjoint(group.ids)}


def _is_needed(group: Group, run: ObjectId, ended: datetime) -> bool:
    if any(one.get("import_id") != run for one in group.members):
        return True
    return any(word.get("at") and word["at"] > ended for word in group.opted_out.values())


def delete_rest(import_id: str) -> None:
    """Delete merges, STOPs of the forgotten and channels that an import brought and nothing needs."""
    run = ObjectId(import_id)
    for merge in list(collection(MergeDocument).find({"import_id": run}, {"survivor": 1, "absorbed": 1})):
        sides = {"_id": {"$in": [merge["survivor"], merge["absorbed"]]}}
        if not collection(ContactDocument).find_one(sides, {"_id": 1}):
            collection(MergeDocument).delete_one({"_id": merge["_id"]})
    collection(SuppressionDocument).delete_many({"import_id": run})
    # Whoever got a webhook has its id in memory, and files what comes next under it.
    for channel in list(collection(ChannelDocument).find({"import_id": run, "last_webhook_at": {"$exists": False}})):
        if not collection(SessionDocument).find_one({"channel_id": str(channel["_id"])}, {"_id": 1}):
            collection(ChannelDocument).delete_one({"_id": channel["_id"]})
