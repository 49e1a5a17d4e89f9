"""Everything taken from one gateway to another: it is there as it was, files and all, and twice is once."""

import hashlib
import io
import json
import random

import pytest
from bson import Binary, ObjectId

from gateway.conversation import contacts, export, forget, import_runs, importing, merging, origins, rehearsal, upkeep
from gateway.conversation.contacts import Changes
from gateway.conversation.export import Order
from gateway.conversation.import_runs import Hands
from gateway.conversation.rehearsal import Told
from gateway.conversation.staging import Options
from gateway.core.fetching import Fetched
from gateway.core.messages import CHAT
from gateway.core.participant import address
from gateway.store import carrying, channels, import_claims, imports, media, rejections, suppressions
from gateway.store.exporting import WITHOUT, Selected
from tests.conftest import TEN, fixture
from tests.conversation.test_importing import Killed, bring_in, converse, session, written

HERE_ONLY = {"sessions": {*WITHOUT["sessions"], "import_id"}, "messages": {*WITHOUT["messages"], "import_id"}} | {
    f"{kind}s": set(fields) for kind, fields in carrying.WITHOUT.items()
}


@pytest.fixture
def runtime(app):
    return app.extensions["gateway"]


def taken_along(runtime):
    """Everything as one file, without its first line, which says when it was made."""
    order = Order(Selected(None), "jsonl", "test", everything=True, media=True)
    return b"".join(export.export(runtime, order))


def body(file):
    return file.splitlines()[1:]


def stored(db):
    """All documents that travel, as stored, but for what is of one database alone."""
    return {
        name: [
            {field: value for field, value in row.items() if field not in fields}
            for row in db[name].find().sort("_id", 1)
        ]
        for name, fields in HERE_ONLY.items()
    } | {"files": [row | {"uploadDate": 0, "import_id": 0} for row in db["media.files"].find().sort("_id", 1)]}


def empty(db, runtime):
    for name in db.list_collection_names():
        db[name].delete_many({})
    runtime.channels.forget()


@pytest.fixture
def full(app, twilio, clock, db, runtime):
    """A database with a document of every sort, and of every sort one with all that it may have."""
    converse(app, twilio, clock)
    files(db, twilio)
    one, two, three = (str(row["_id"]) for row in db.contacts.find().sort("_id", 1).limit(3))
    contacts.change(runtime, one, Changes(name="Ünal", emails=["Ada@example.com"]), by="ada")
    merging.merge(runtime, one, two, by="ada")
    merging.merge(runtime, three, one, by="ada")
    other = contacts.create(runtime, Changes(phones=["+4915112345678"]), by="ada")
    again = contacts.create(runtime, Changes(emails=["b@example.com"], external_ids=["crm:7"]), by="ada")
    merging.merge(runtime, other, again, by="ada")
    merging.unmerge(runtime, again, by="bo")
    gone = contacts.create(runtime, Changes(phones=["+15558675399"]), by="ada")
    contacts.set_opt_out(runtime, gone, "+15017122661", out=True, by="ada")
    forget.forget(runtime, "+15558675399", wait=lambda seconds: None)
    leaving = contacts.create(runtime, Changes(phones=["+15558675398"]), by="ada")
    forget.ask(runtime, leaving, by="ada")
    crm = {"hubspot": {"contact_id": "7", "last_sync_at": TEN}}
    claims = [{"field": "email", "value": "c@example.com", "at": TEN, "session_id": "65f000000000000000000001"}]
    db.contacts.update_one({"_id": ObjectId(one)}, {"$set": {"crm": crm, "claims": claims}})
    site = runtime.channels.resolve(CHAT, address("web"), None)
    channels.set_once(site.id, "publishable_key", "pk_web_1")
    db.channels.update_one({"phone_number": "+15017122661"}, {"$set": {"idle_seconds": "never", "responder": "echo"}})
    flow = {"flow": "callback", "version": 2, "values": {"name": "Ada", "due": TEN}, "started_at": TEN}
    db.sessions.update_one({}, {"$set": {"context": {"flow": flow}, "tags": ["vip"], "assigned_to": "ada"}})
    details = {"tools_used": [{"name": "search", "at": TEN}], "token_count": 7, "processing_time_ms": 1.5}
    db.messages.update_one({"direction": "outbound"}, {"$set": details})
    db.messages.insert_one({
        "_id": "note:1", "session_id": db.sessions.find_one()["_id"], "direction": "outbound", "sender": "agent",
        "content": "call back", "createdAt": TEN, "storedAt": TEN, "metadata": {"private": True, "seen": TEN},
    })  # fmt: skip
    upkeep.settle(runtime)
    return taken_along(runtime)


def files(db, twilio):
    """A message with a file of several pieces and an empty one."""
    form = fixture("sms/mms_2media") | {"MessageSid": "MM" + "7" * 32, "From": "+15558675310"}
    twilio.post("/webhooks/sms", form)
    large = random.Random(7).randbytes(600_000)
    for file, content in zip(media.of(form["MessageSid"]).files, (large, b""), strict=True):
        assert media.keep(file, Fetched("image/jpeg", content, "photo.jpg"))


def test_everything_comes_back_exactly_and_twice_is_once(full, db, runtime, clock):
    before, lines = stored(db), [json.loads(line) for line in full.splitlines()]
    assert {name for line in lines for name in line} >= {
        "layout", "channel", "contact", "merge", "suppression", "session", "message", "file", "end",
    }  # fmt: skip
    assert len(before["merges"]) == 3
    stop = suppressions.lines_of(["+15558675399"])
    empty(db, runtime)
    clock.move_to(minutes=500)

    run = bring_in(runtime, full)

    assert (run.state, run.is_complete, run.tally.rejected, run.tally.problems) == ("done", True, 0, [])
    assert body(taken_along(runtime)) == body(full)
    going = [row for row in before["contacts"] if row.get("phones") == ["+15558675398"]]
    before["contacts"] = [row for row in before["contacts"] if row not in going]
    assert len(going) == 1
    assert stored(db) == before
    assert suppressions.lines_of(["+15558675399"]) == stop == ("+15017122661",)
    tally = run.tally
    assert (tally.contacts_created, tally.contacts_existing) == (len(before["contacts"]), 0)
    assert (tally.channels_created, tally.files_imported) == (len(before["channels"]), 2)
    files = media.of("MM" + "7" * 32).files
    assert [len(media.open_stored(file).read()) for file in files] == [600_000, 0]

    held = {
        name: list(db[name].find())
        for name in db.list_collection_names()
        if name not in ("imports", "audit", "jobs", "heartbeats")
    }
    run = bring_in(runtime, full)
    assert {name: list(db[name].find()) for name in held} == held
    tally = run.tally
    assert (tally.contacts_created, tally.channels_created, tally.files_imported, tally.rejected) == (0, 0, 0, 0)
    assert (tally.contacts_existing, tally.files_existing) == (len(before["contacts"]), 2)


def test_merged_contacts_are_parted_as_before(full, db, runtime):
    (merged,) = db.merges.find({"state": "done"}).sort("at", -1).limit(1)
    empty(db, runtime)
    bring_in(runtime, full)
    merging.unmerge(runtime, str(merged["absorbed"]), by="bo")
    assert "merged_into" not in db.contacts.find_one({"_id": merged["absorbed"]})


@pytest.mark.parametrize("where", ["put", "put_piece", "close", "put_messages"])
def test_whoever_is_killed_is_followed_by_somebody_who_goes_on(full, db, runtime, clock, monkeypatch, where):
    before = db.contacts.count_documents({"to_forget": None})
    empty(db, runtime)
    place = import_runs.imported.importing if where == "put_messages" else import_runs.imported.carried.store
    real = getattr(place, where)

    def killed(*given):
        real(*given)
        raise Killed

    run = importing.order(runtime, io.BytesIO(full), "file.jsonl", "key:test")
    with monkeypatch.context() as patch:
        patch.setattr(import_claims, "release", lambda run: None)
        patch.setattr(place, where, killed)
        with pytest.raises(Killed):
            importing.work_off(runtime, lambda seconds: False)
    clock.tick(100)
    importing.work_off(runtime, lambda seconds: False)
    done = imports.get(run.id)
    assert (done.state, done.tally.rejected, done.tally.problems) == ("done", 0, [])
    assert (done.tally.contacts_created, done.tally.contacts_existing, done.tally.files_imported) == (before, 0, 2)
    assert body(taken_along(runtime)) == body(full)


def contact(number, **more):
    return {"contact": {"_id": f"65f1{number:020x}", "name": f"No. {number}", "emails": [], "opted_out": {}} | more}


def test_who_is_here_already_stays_learns_and_keeps_every_stop(app, twilio, db, runtime):
    twilio.sms("Hello")
    known = db.contacts.find_one()
    stop = {"+15017122661": {"at": "2026-02-01T10:00:00Z", "message_id": None}}
    theirs = contact(1, phones=["+15558675310", "+15558675319"], emails=["a@example.com"], opted_out=stop)
    member = contact(2, phones=["+15558675318"], merged_into=theirs["contact"]["_id"])
    merge = {
        "_id": "m", "state": "done", "by": "ada", "at": "2026-02-01T10:00:00Z",
        "survivor": theirs["contact"]["_id"], "absorbed": member["contact"]["_id"],
    }  # fmt: skip
    file = written(theirs, member, {"merge": merge}, session(1, contact_id=theirs["contact"]["_id"]))
    run = bring_in(runtime, file)
    here = db.contacts.find_one({"_id": known["_id"]})
    assert (here["name"], here["phones"]) == (known["name"], ["+15558675310", "+15558675319"])
    assert (here["emails"], list(here["opted_out"])) == (["a@example.com"], ["+15017122661"])
    assert db.sessions.find_one({"contact_id": known["_id"], "channel_id": "sms:+15017122661"})
    assert db.contacts.count_documents({}) == 2
    assert "merged_into" not in db.contacts.find_one({"phones": "+15558675318"})
    assert (run.tally.contacts_created, run.tally.contacts_existing, run.tally.rejected) == (1, 1, 1)
    assert "Merge them if they are one" in run.tally.problems[0]


def test_a_stop_of_somebody_forgotten_here_holds_for_who_comes_in(db, runtime):
    suppressions.keep(["+15558675310"], ["+15017122661"], TEN)
    bring_in(runtime, written(contact(1, phones=["+15558675310"])))
    assert list(db.contacts.find_one()["opted_out"]) == ["+15017122661"]


def piece(**more):
    return {
        "file": {
            "file_id": "SM1/0/a", "message_id": "SM1", "number": 0, "pieces": 1, "filename": "a", "size": 3,
            "content_type": "image/png", "piece_size": 261120, "data": "YWJj",
        } | more
    }  # fmt: skip


def stop(hashed):
    return {"suppression": {"_id": hashed, "lines": ["+1"], "at": "2026-02-01T10:00:00Z", "salt": "AAAA"}}


@pytest.mark.parametrize(
    ("row", "reason"),
    [
        (piece(data="?"), "no text in Base64"),
        (piece(number=1), "It is piece 1 of 1"),
        (piece(piece_size=1 << 40), "is no number from 0 to"),
        (piece(message_id="SM2", file_id="SM2/0/a"), "Message SM2 is not here, or does not name this file"),
        (piece(file_id="SM1/0/other"), "does not name this file"),
        (piece(size=4), "not whole"),
        (piece(data="YWJk"), "not the one that its message names"),
        (contact(1, phones="+1"), "phones: '+1' is no list"),
        (contact(1, _id="x"), "'x' is no id"),
        (contact(1, opted_out={"+1": {"at": "soon"}}), "opted_out: 'soon' is no ISO 8601 time"),
        (contact(1, crm={"$where": 1}), "'$where' is no name of a field"),
        (contact(1, crm={"at": {"$date": "soon"}}), "'soon' is no ISO 8601 time"),
        ({"channel": {"_id": "a", "phone_number": "+1", "communication_type": "fax"}}, "'fax' is none of"),
        ({"merge": {"_id": "m", "state": "busy"}}, "It has no survivor"),
        (stop("salt"), "no hash of 64"),
        (stop("a" * 64), "have a salt of their own"),
        ({"user": {"name": "eve"}}, "neither a session nor a message"),
    ],
)  # fmt: skip
def test_what_does_not_fit_is_rejected_with_a_reason_and_leaves_nothing(db, runtime, row, reason):
    kept = hashlib.sha256(b"abc").hexdigest()
    db.suppressions.insert_one({"_id": "salt", "salt": Binary(b"ours")})
    db.messages.insert_one({"_id": "SM1", "media": [{"stored": True, "file_id": "SM1/0/a", "sha256": kept}]})
    run = bring_in(runtime, written(row))
    (rejected,) = rejections.of(run.id)
    assert reason in rejected.reason
    for name in ("contacts", "channels", "merges", "users", "media.files", "media.chunks"):
        assert db[name].count_documents({}) == 0
    assert db.suppressions.count_documents({}) == 1


def test_a_limited_export_has_sessions_and_messages_alone(full, db, runtime):
    order = Order(Selected(frozenset({"sms:+15017122661"})), "jsonl", "key:limited")
    lines = [json.loads(line) for line in b"".join(export.export(runtime, order)).splitlines()]
    assert {name for line in lines[1:] for name in line} == {"session", "message", "end"}


def test_a_dry_run_foresees_what_moves_and_writes_nothing(full, db, runtime, tmp_path):
    path = tmp_path / "everything.jsonl"
    path.write_bytes(full)
    source = origins.find([str(path)], "", Options(), runtime.settings.mongodb_uri)
    here = rehearsal.rehearse(runtime, source, Told()).tally
    assert (here.channels_created, here.contacts_created, here.files_imported, here.messages_imported) == (0, 0, 0, 0)
    empty(db, runtime)
    foreseen = rehearsal.rehearse(runtime, source, Told()).tally
    assert not db.contacts.count_documents({}) + db.channels.count_documents({}) + db["media.files"].count_documents({})
    assert foreseen == importing.run_here(runtime, source, "gateway import", Hands()).tally
    moved = (foreseen.channels_created, foreseen.contacts_created, foreseen.files_imported)
    assert moved == (here.channels_existing, here.contacts_existing, here.files_existing)
