"""Duplicates made one: of sessions that the replaced application made, and of contacts that were kept by e-mail."""

import json
from datetime import timedelta

import pytest
from bson import ObjectId

from gateway.conversation import contacts, importing, merging, origins, regroup, upkeep
from gateway.conversation.consolidating import consolidate
from gateway.conversation.consolidation import Dropped
from gateway.conversation.consolidation import Hands as Working
from gateway.conversation.contacts import Changes
from gateway.conversation.import_runs import Hands
from gateway.conversation.staging import Options
from gateway.store import duplicates, regrouped
from tests.conftest import TEN, Twilio
from tests.conversation.conftest import Person
from tests.conversation.test_regroup import whole

BY = "gateway import consolidate"
SENDER, OURS = "+15558675310", "+15017122661"


@pytest.fixture
def runtime(app):
    return app.extensions["gateway"]


@pytest.fixture
def ada(app, clock):
    return Person(Twilio(app.test_client()), clock, "sms")


def bring_in(runtime, folder, options=None, **tables):
    folder.mkdir()
    for name, rows in tables.items():
        (folder / f"{name}.jsonl").write_text("".join(json.dumps(row) + "\n" for row in rows))
    origin = origins.find([str(folder)], "", options or Options(), runtime.settings.mongodb_uri)
    run = importing.run_here(runtime, origin, "gateway import", Hands())
    assert (run.state, run.tally.rejected) == ("done", 0)
    return run


def at(**moment):
    return (TEN - timedelta(minutes=3) + timedelta(**moment)).isoformat()


def oid(number):
    return {"$oid": f"{number:024x}"}


def node_session(number, *, status="active", sender=SENDER, **more):
    began = {"$date": at(milliseconds=number)}
    return {
        "_id": oid(number), "channel_id": oid(0xC), "communication_type": "sms", "status": status, "createdAt": began,
        "title": f"SMS from {sender}", "__v": 0,
        "metadata": {"fromNumber": sender, "toNumber": OURS, "firstMessageAt": began},
    } | more  # fmt: skip


def node_message(number, of, *, named=True, **more):
    named_by = {"provider_sid": f"SM{number + 0xF0000:032x}"} if named else {}
    return {
        "_id": oid(0xA000 + number), "session_id": oid(of), "direction": "inbound", "sender": "contact",
        "content": f"Text {number}", "createdAt": {"$date": at(milliseconds=of)}, "__v": 0,
    } | named_by | more  # fmt: skip


CHANNEL = {"_id": oid(0xC), "name": "Front desk", "phone_number": OURS, "communication_type": "sms"}


def simultaneous(runtime, folder, sessions):
    """What the replaced application made of simultaneous first texts of one sender: many sessions, all open."""
    bring_in(
        runtime,
        folder,
        channels=[CHANNEL],
        sessions=[node_session(number) for number in range(1, sessions + 1)],
        messages=[node_message(number, of=min(number, sessions)) for number in range(1, sessions + 3)],
    )


@pytest.fixture
def sixty_two(runtime, tmp_path):
    simultaneous(runtime, tmp_path / "node", 62)


@pytest.fixture
def six(runtime, tmp_path):
    simultaneous(runtime, tmp_path / "node", 6)


def shown(db):
    return list(db.sessions.find({"merged_into": {"$exists": False}}))


def counts(report):
    return (
        report.people, report.contacts_merged, report.session_groups, report.sessions_merged,
        report.messages_removed, report.dropped, report.left,
    )  # fmt: skip


NOTHING = (0, 0, 0, 0, 0, [], [])


def test_sixty_two_sessions_of_one_conversation_become_one_and_come_apart_again(sixty_two, runtime, db, ada):
    before = whole(db)
    found = []
    tried = consolidate(runtime, BY, Working(tell=found.append), is_dry=True)
    assert whole(db) == before
    assert db.regroupings.count_documents({}) == 0
    assert db.imports.count_documents({"layout": "consolidation"}) == 0

    done = consolidate(runtime, BY)

    assert counts(done) == counts(tried) == (0, 0, 1, 61, 0, [], [])
    (session,) = shown(db)
    assert str(session["_id"]) == found[0].kept
    assert (session["message_count"], session["status"]) == (64, "active")
    assert db.messages.count_documents({"session_id": session["_id"]}) == 64
    assert db.audit.count_documents({"action": "session_merged", "by": BY, "session_id": session["_id"]}) == 61
    assert counts(consolidate(runtime, BY)) == NOTHING
    for merged in db.regroupings.find().sort("order", -1):
        regroup.undo(runtime, merged["_id"], by="ada")
    assert whole(db) == before
    assert counts(consolidate(runtime, BY)) == NOTHING, "what a person took apart stays so"


def test_whoever_writes_next_goes_on_in_the_one_session(six, runtime, db, ada):
    consolidate(runtime, BY)
    ada.say(minutes=1)
    (session,) = shown(db)
    assert session["message_count"] == 8 + 2


def test_what_comes_in_meanwhile_is_filed_once_and_counted(six, runtime, db, ada, clock, monkeypatch):
    absorb, said = regrouped.absorb, []

    def absorbing(*arguments):
        if len(said) < 3:
            said.append(ada.say(seconds=len(said)))
        absorb(*arguments)

    monkeypatch.setattr(regrouped, "absorb", absorbing)
    done = consolidate(runtime, BY)
    assert (done.sessions_merged, done.left, len(said)) == (5, [], 3)
    clock.move_to(minutes=2)
    upkeep.settle(runtime)
    (session,) = shown(db)
    assert session["message_count"] == db.messages.count_documents({}) == 8 + 6
    assert db.messages.count_documents({"session_id": session["_id"]}) == 8 + 6
    assert counts(consolidate(runtime, BY)) == NOTHING


@pytest.mark.parametrize("steps", [0, 3])
def test_one_that_is_killed_is_gone_on_with(six, runtime, db, clock, monkeypatch, steps):
    relink, done = regrouped.relink, []

    def dying(*arguments):
        done.append(arguments)
        if len(done) > steps:
            raise KeyboardInterrupt
        relink(*arguments)

    with monkeypatch.context() as patched, pytest.raises(KeyboardInterrupt):
        patched.setattr(regrouped, "relink", dying)
        consolidate(runtime, BY)
    clock.move_to(minutes=1)
    assert consolidate(runtime, BY).sessions_merged == 5, "the run goes on, and tells of all of it"
    assert db.imports.count_documents({"layout": "consolidation"}) == 1
    assert [one["message_count"] for one in shown(db)] == [8]
    assert counts(consolidate(runtime, BY)) == NOTHING


def test_sessions_that_are_no_duplicates_stay(runtime, db, ada, tmp_path):
    ada.say(minutes=0)
    closed = {"status": "closed", "closed_reason": "operator", "closed_at": {"$date": at(milliseconds=50)}}
    bring_in(
        runtime,
        tmp_path / "node",
        channels=[CHANNEL],
        sessions=[
            node_session(1, sender="+15550000001"),
            node_session(2, sender="+15550000002"),
            node_session(3, sender="+15550000003", createdAt={"$date": at(hours=-9)}),
            node_session(4, sender="+15550000003"),
            node_session(5, sender="+15550000005", **closed),
            node_session(60, sender="+15550000005"),
            node_session(7, sender=SENDER),
        ],
        messages=[
            node_message(number, of=number, **more)
            for number, more in (
                (1, {}), (2, {}), (3, {"createdAt": {"$date": at(hours=-9)}}), (4, {}), (5, {}), (60, {}), (7, {}),
            )
        ],
    )  # fmt: skip
    assert counts(consolidate(runtime, BY, is_dry=True)) == NOTHING
    assert counts(consolidate(runtime, BY)) == NOTHING


def test_sessions_that_the_rules_made_stay_whatever_the_threshold_is_by_now(runtime, db, tmp_path):
    rethread = Options(rethread=True, threshold_ms=60_000)
    moments = enumerate((-3, -1, -0.5, -0.1), 1)
    rows = [node_message(number, of=1, createdAt={"$date": at(minutes=minute)}) for number, minute in moments]
    bring_in(runtime, tmp_path / "node", rethread, channels=[CHANNEL], sessions=[node_session(1)], messages=rows)
    assert db.sessions.count_documents({}) == 2
    assert counts(consolidate(runtime, BY)) == NOTHING


def test_the_open_one_stays_open_wherever_it_began(runtime, db, tmp_path):
    bring_in(
        runtime,
        tmp_path / "node",
        channels=[CHANNEL],
        sessions=[node_session(1), node_session(2, status="closed")],
        messages=[node_message(1, of=1), node_message(2, of=2)],
    )
    before = whole(db)
    consolidate(runtime, BY)
    (session,) = shown(db)
    assert (session["status"], session["message_count"]) == ("active", 2)
    regroup.undo(runtime, db.regroupings.find_one()["_id"], by="ada")
    assert whole(db) == before


def test_a_call_that_is_on_is_left_alone(runtime, db, tmp_path):
    bring_in(
        runtime,
        tmp_path / "node",
        channels=[CHANNEL],
        sessions=[node_session(1), node_session(2)],
        messages=[node_message(1, of=1), node_message(2, of=2)],
    )
    call = {"live": ["CA1"], "live_until": TEN + timedelta(minutes=5)}
    db.sessions.update_one({"_id": ObjectId(f"{2:024x}")}, {"$set": call})
    assert counts(consolidate(runtime, BY)) == NOTHING


def test_contacts_that_were_kept_by_e_mail_become_one_person_and_come_apart_again(runtime, db):
    known = contacts.create(runtime, Changes(emails=["ada@example.com"], name="Ada"), by="ada")
    # As an import of an earlier version made them.
    users = {name: str(ObjectId()) for name in ("Ada@Example.com", "ada@example.com", "bo@example.com")}
    for name, one in users.items():
        user = f"chat:imported:{name}"
        brought = {"external_ids": [user], "identifiers": [user], "import_id": ObjectId(), "createdAt": TEN, "crm": {}}
        db.contacts.insert_one({"_id": ObjectId(one), **brought})
    first, last = users["Ada@Example.com"], users["ada@example.com"]
    for contact, remote, day in ((known, "7", 1), (first, "8", 3), (last, "8", 2)):
        synced = {"contact_id": remote, "last_sync_at": TEN - timedelta(days=9) + timedelta(days=day)}
        db.contacts.update_one({"_id": ObjectId(contact)}, {"$set": {"crm": {"hubspot": synced}}})
    before = list(db.contacts.find())

    tried = consolidate(runtime, BY, is_dry=True)
    assert list(db.contacts.find()) == before
    done = consolidate(runtime, BY)

    assert counts(done) == counts(tried) == (1, 2, 0, 0, 0, [Dropped("hubspot", known, "7", "8")], [])
    assert {str(row["merged_into"]) for row in db.contacts.find({"merged_into": {"$exists": True}})} == {first}
    assert {(row["reason"], row["by"]) for row in db.merges.find()} == {("consolidated", BY)}
    assert counts(consolidate(runtime, BY)) == NOTHING
    merging.unmerge(runtime, first, by="ada")
    merging.unmerge(runtime, first, by="ada")
    kept = [{name: value for name, value in row.items() if name != "absorbed"} for row in db.contacts.find()]
    assert kept == before
    assert counts(consolidate(runtime, BY)) == NOTHING, "whom a person parted stays so"


def test_contacts_of_one_person_by_a_spelling_or_a_note_are_one_and_shared_ones_are_not(make_app, live_db):
    db = live_db
    runtime = make_app(contacts={"shared": ["desk@example.com"]}).extensions["gateway"]
    ids = [ObjectId() for _ in range(7)]
    people = [
        {"phones": ["+5511987654321"], "identifiers": ["+5511987654321"]},
        {"phones": ["+551187654321"]},
        {"emails": ["Eve@example.com"], "identifiers": ["email:Eve@example.com"]},
        {"emails": ["EVE@example.com"], "identifiers": ["email:EVE@example.com"]},
        {"emails": ["Desk@example.com"], "identifiers": ["email:Desk@example.com"]},
        {"emails": ["desk@example.com"], "identifiers": ["email:desk@example.com"]},
        # Whoever visits a site may say they are anybody.
        {"external_ids": ["chat:web:eve@example.com"], "identifiers": ["chat:web:eve@example.com"]},
    ]
    db.contacts.insert_many({"_id": one, "createdAt": TEN, **row} for one, row in zip(ids, people, strict=True))
    note = {"with": ids[2], "reason": "seen_together", "at": TEN}
    db.contacts.update_one({"_id": ids[0]}, {"$set": {"to_merge": [note]}})
    assert counts(consolidate(runtime, BY))[:2] == (1, 3)
    assert {row["_id"] for row in db.contacts.find({"merged_into": {"$exists": False}})} == {ids[0], *ids[4:]}


def test_walks_use_indexes_and_go_through_more_than_a_batch(six, runtime, db, monkeypatch):
    monkeypatch.setattr(duplicates, "_AT_ONCE", 4)
    assert [len(sender) for sender in duplicates.senders()] == [6]
    walk = {"find": "sessions", "hint": "sender_timeline", "min": dict(duplicates._FIRST)}
    plan = json.dumps(db.command("explain", walk)["queryPlanner"]["winningPlan"], default=str)
    assert "IXSCAN" in plan
    assert "SORT" not in plan
    assert consolidate(runtime, BY).sessions_merged == 5
