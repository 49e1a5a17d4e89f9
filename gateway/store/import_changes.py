"""What an import changes of what was here before: noted before each change, so that it can be put back.

What an import brought itself needs no note: that goes as a whole. All of this may be repeated.
"""

from collections.abc import Collection, Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo import UpdateOne

from gateway.store import settling
from gateway.store.connection import collection
from gateway.store.documents import ContactDocument, ImportChangeDocument, SessionDocument
from gateway.store.groups import escaped

COUNTS, OPTED_OUT, CONTACT, CRM = "counts", "opted_out", "contact", "crm"
LISTS = ("phones", "external_ids", "emails", "identifiers")
TIMES = ("first_message_at", "last_message_at", "last_inbound_at")

_AT_ONCE = 200
_TRIES = 5

Document = dict[str, Any]


def note_counts(import_id: str, session_ids: Collection[str]) -> None:
    """Note what sessions count that were here before, and are to get messages."""
    ids = [ObjectId(one) for one in sorted(session_ids)]
    wanted = {"_id": {"$in": ids}, "import_id": {"$ne": ObjectId(import_id)}}
    sessions = collection(SessionDocument).find(wanted, dict.fromkeys((*TIMES, "message_count"), 1))
    found = {row.pop("_id"): row for row in sessions}
    if not found:
        return
    held = settling.totals(list(found))
    _put([
        _first(import_id, COUNTS, one, {"before": row | {"held": held.get(one, {}).get("messages", 0)}})
        for one, row in found.items()
    ])  # fmt: skip


def note_opted_out(import_id: str, contact_ids: Sequence[str], lines: Sequence[str], at: datetime) -> None:
    """Note that the first of some contacts, who are one person, is opted out of lines, and all their sessions."""
    import_of, ids = ObjectId(import_id), [ObjectId(one) for one in contact_ids]
    head = collection(ContactDocument).find_one({"_id": ids[0], "import_id": {"$ne": import_of}}, {"opted_out": 1})
    changes = []
    if head:
        absent = [] if "opted_out" in head else ["opted_out"]
        said = {f"lines.{escaped(line)}": at for line in lines}
        changes.append(_first(import_id, CONTACT, ids[0], {"absent": absent}, {"$set": said}))
    wanted = {"contact_id": {"$in": ids}, "import_id": {"$ne": import_of}}
    for session in collection(SessionDocument).find(wanted, {"opted_out": 1}):
        before = {"opted_out": session["opted_out"]} if "opted_out" in session else {}
        added = {
            "$addToSet": {
                "added.opted_out": {"$each": [one for one in lines if one not in before.get("opted_out", ())]}
            }
        }
        changes.append(_first(import_id, OPTED_OUT, session["_id"], {"before": before}, added))
    _put(changes)


def note_learned(import_id: str, contact: Mapping[str, Any], known: Mapping[str, str]) -> None:
    """Note what a contact is to be known by too: the lists, and what is added to each."""
    new = {name: value for name, value in known.items() if value not in (contact.get(name) or ())}
    if not new or contact.get("import_id") == ObjectId(import_id):
        return
    absent = [name for name in (*LISTS, "opted_out") if name not in contact]
    added = {f"added.{name}": value for name, value in new.items()}
    _put([_first(import_id, CONTACT, contact["_id"], {"absent": absent}, {"$addToSet": added})])


def note_crm(import_id: str, changes: Sequence[tuple[Mapping[str, Any], Mapping[str, Any]]]) -> None:
    """Note how contacts stand with CRMs, and how each is about to."""
    notes = []
    for contact, after in changes:
        if contact.get("import_id") != ObjectId(import_id):
            before = {"crm": contact["crm"]} if "crm" in contact else {}
            added = {"$addToSet": {"added.crm": dict(after)}}
            notes.append(_first(import_id, CRM, contact["_id"], {"before": before}, added))
    _put(notes)


def _first(
    import_id: str, kind: str, ref: ObjectId, fields: Mapping[str, Any], change: Mapping[str, Any] | None = None
) -> UpdateOne:
    """Note how something is, unless that was noted: the first note says how it was before."""
    run = ObjectId(import_id)
    noted = {"import_id": run, "kind": kind, "ref": ref, "at": run.generation_time, **fields}
    return UpdateOne({"_id": f"{import_id}:{kind}:{ref}"}, {"$setOnInsert": noted, **(change or {})}, upsert=True)


def _put(changes: Sequence[UpdateOne]) -> None:
    if changes:
        collection(ImportChangeDocument).bulk_write(list(changes))


def of(import_id: str, kind: str) -> Iterator[list[Document]]:
    """Page through what an import changed of a kind."""
    after, end = f"{import_id}:{kind}:", f"{import_id}:{kind};"
    while True:
        wanted = {"_id": {"$gt": after, "$lt": end}}
        page = list(collection(ImportChangeDocument).find(wanted).sort("_id", 1).limit(_AT_ONCE))
        if not page:
            return
        yield page
        after = page[-1]["_id"]


def done(changes: Sequence[Mapping[str, Any]]) -> None:
    """Forget notes of what is as it was."""
    collection(ImportChangeDocument).delete_many({"_id": {"$in": [one["_id"] for one in changes]}})


def forget(refs: Sequence[ObjectId]) -> None:
    """Delete what is noted of contacts or sessions that are forgotten."""
    collection(ImportChangeDocument).delete_many({"ref": {"$in": list(refs)}})


def restore_counts(changes: Sequence[Mapping[str, Any]]) -> None:
    """Let sessions count again what they did, and what came since; the imported messages are gone by now."""
    left = settling.totals([one["ref"] for one in changes])
    updates = []
    for one in changes:
        before, now = one["before"], left.get(one["ref"], {})
        is_same = now.get("messages", 0) == before["held"]
        count = before.get("message_count") if is_same else now["messages"] if now else 0
        fields = {"message_count": count} | {name: _time(name, before, now) for name in TIMES}
        keep = {name: value for name, value in fields.items() if value is not None or name in before}
        gone = {name: "" for name in fields if name not in keep}
        updates.append(UpdateOne({"_id": one["ref"]}, {"$set": keep} | ({"$unset": gone} if gone else {})))
    collection(SessionDocument).bulk_write(updates)


def _time(name: str, before: Mapping[str, Any], now: Mapping[str, Any]) -> datetime | None:
    times = [one for one in (before.get(name), now.get(name)) if one]
    return (min if name == "first_message_at" else max)(times) if times else None


def restore_contact(change: Mapping[str, Any]) -> None:
    """Take back what a contact learned, and the STOPs that are still those of the import."""
    contacts, ref, absent = collection(ContactDocument), change["ref"], change["absent"]
    for line, at in (change.get("lines") or {}).items():
        word = f"opted_out.{line}"
        contacts.update_one({"_id": ref, f"{word}.at": at, f"{word}.message_id": None}, {"$unset": {word: ""}})
    if "opted_out" in absent:
        contacts.update_one({"_id": ref, "opted_out": {}}, {"$unset": {"opted_out": ""}})
    for name, added in (change.get("added") or {}).items():
        for _ in range(_TRIES):
            known = (contacts.find_one({"_id": ref}, {name: 1}) or {}).get(name)
            if not known:
                break
            left = [one for one in known if one not in added]
            # An empty list would be in the unique indexes as null.
            update = {"$set": {name: left}} if left or name not in absent else {"$unset": {name: ""}}
            if contacts.update_one({"_id": ref, name: known}, update).matched_count:
                break


def restore_crm(change: Mapping[str, Any]) -> None:
    """Let a contact stand with CRMs as it did, unless it was synchronised since."""
    which = {"_id": change["ref"], "crm": {"$in": change["added"]["crm"]}}
    before = change["before"]
    update = {"$set": before} if before else {"$unset": {"crm": ""}}
    collection(ContactDocument).update_one(which, update)


def restore_opted_out(change: Mapping[str, Any], held: Collection[str]) -> None:
    """Take an opt-out off a session again, but for the lines that its contact is out of by its own word."""
    sessions, ref = collection(SessionDocument), change["ref"]
    gone = [one for one in (change.get("added") or {}).get("opted_out") or () if one not in held]
    if gone:
        sessions.update_one({"_id": ref}, {"$pullAll": {"opted_out": gone}})
    if "opted_out" not in change["before"]:
        sessions.update_one({"_id": ref, "opted_out": []}, {"$unset": {"opted_out": ""}})
