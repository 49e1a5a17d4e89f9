"""Who an import says people are: at a CRM, and by the e-mail address a program called them by."""

from datetime import datetime, timedelta

import pytest
from bson import ObjectId

from gateway.conversation import contacts, origins, rehearsal, undoing
from gateway.conversation.consolidating import consolidate
from gateway.conversation.contacts import Changes
from gateway.conversation.rehearsal import Told
from gateway.conversation.staging import Options
from tests.conftest import TEN
from tests.conversation.test_consolidating import BY, CHANNEL, at, bring_in, node_message, node_session
from tests.conversation.test_undoing import snapshot

ADA, BO = "+15558675310", "+15558675311"
OLD, NEW = "2025-01-01T00:00:00+00:00", "2025-06-01T00:00:00+00:00"


@pytest.fixture
def runtime(app):
    return app.extensions["gateway"]


def undo(runtime, clock, run):
    return undoing.undo(runtime, run.id, "ada", undoing.Hands(lambda seconds: clock.tick(seconds + 0.1)))


def sessions(runtime, folder, *given):
    """Import a session of a message each, with what it says of a CRM."""
    rows = [node_session(number, sender=ADA, status="closed", **more) for number, more in enumerate(given, 1)]
    said = [node_message(number, of=number) for number in range(1, len(rows) + 1)]
    return bring_in(runtime, folder, channels=[CHANNEL], sessions=rows, messages=said)


def known(db):
    (contact,) = db.contacts.find()
    return contact["crm"]


HUBSPOT = {"hubspot": {"contact_id": "151", "last_sync_at": datetime.fromisoformat(OLD)}}


@pytest.mark.parametrize(
    "said",
    [
        {"hubspot_contact_id": "151", "last_synced_at": OLD},
        {"hubspotContactId": 151, "hubspotLastSyncedAt": {"$date": OLD}},
        {"crm_id": "151", "crm_synced_at": OLD},
        {"crmContactId": "151", "lastSyncAt": OLD, "crm_provider": "HubSpot"},
        {"crm": {"hubspot": {"contact_id": "151", "last_sync_at": OLD}}},
        {"crm": {"provider": "hubspot", "id": "151", "syncedAt": OLD}},
        {"hubspot": {"id": "151", "lastSyncedAt": OLD}},
        {"user": {"hubspotContactId": "151", "last_synced_at": OLD, "plan": "gold"}},
        {"metadata": {"fromNumber": ADA, "toNumber": "+15017122661", "hubspotContactId": "151", "lastSyncedAt": OLD}},
    ],
    ids=lambda said: next(iter(said)),
)
def test_every_spelling_of_a_crm_id_is_carried_to_the_contact(runtime, db, tmp_path, said):
    sessions(runtime, tmp_path / "node", said)
    assert known(db) == HUBSPOT
    session = db.sessions.find_one()
    assert "crm" not in session
    assert session["metadata"].get("user") == ({"plan": "gold"} if "user" in said else None)


def test_what_is_no_id_stays_where_it_was(runtime, db, tmp_path):
    sessions(runtime, tmp_path / "node", {"crm_id": "not an id", "last_synced_at": "whenever"})
    assert known(db) == {}
    metadata = db.sessions.find_one()["metadata"]
    assert (metadata["crm_id"], metadata["last_synced_at"]) == ("not an id", "whenever")


def test_of_two_the_newest_wins_and_the_other_is_reported(runtime, db, tmp_path):
    given = [("7", OLD), ("8", NEW), ("9", ""), ("8", OLD)]
    run = sessions(runtime, tmp_path / "node", *({"crm_id": crm_id, "last_synced_at": when} for crm_id, when in given))
    assert known(db) == {"hubspot": {"contact_id": "8", "last_sync_at": datetime.fromisoformat(NEW)}}
    told = [problem for problem in run.tally.problems if "hubspot" in problem]
    assert [problem.rpartition(" ")[2] for problem in told] == ["7.", "9."]


def test_what_was_known_before_is_as_it_was_after_an_undo(runtime, db, clock, tmp_path):
    person = contacts.create(runtime, Changes(phones=[ADA], name="Ada"), by="ada")
    state = {"contact_id": "5", "last_sync_at": TEN - timedelta(days=900), "told": "abc", "url": "https://crm"}
    db.contacts.update_one({"_id": ObjectId(person)}, {"$set": {"crm": {"hubspot": state}}})
    before = snapshot(db)
    run = sessions(runtime, tmp_path / "node", {"crm_id": "7", "last_synced_at": OLD}, {"crm_id": "8"})
    assert known(db) == {"hubspot": {"contact_id": "7", "last_sync_at": datetime.fromisoformat(OLD)}}
    undo(runtime, clock, run)
    assert snapshot(db) == before
    run = sessions(runtime, tmp_path / "again", {"crm_id": "7", "last_synced_at": OLD})
    db.contacts.update_one({"_id": ObjectId(person)}, {"$set": {"crm.hubspot.told": "since"}})
    undo(runtime, clock, run)
    assert known(db)["hubspot"]["told"] == "since", "what a worker told the CRM since stays"


def chat(user_id, number=1):
    said = {"id": number, "content": f"Hi {number}", "message_type": "user", "created_at": at()}
    return {"user_id": user_id, "session_name": f"Chat {number}", "is_active": False, "created_at": at()} | {
        "messages": [said]
    }


def test_a_user_who_is_called_by_an_e_mail_is_whoever_has_it(runtime, db, clock, tmp_path):
    ada = contacts.create(runtime, Changes(emails=["ada@example.com"], name="Ada"), by="ada")
    before = snapshot(db)
    rows = [chat("Ada@Example.com"), chat("ada@example.com", 2), chat("bo@example.com", 3), chat("BO@example.com", 4)]
    folder = tmp_path / "embedded"
    run = bring_in(runtime, folder, chat_sessions=rows)
    assert run.people == 2
    assert {str(row["contact_id"]) for row in db.sessions.find({"title": {"$in": ["Chat 1", "Chat 2"]}})} == {ada}
    assert len({row["contact_id"] for row in db.sessions.find({"title": {"$in": ["Chat 3", "Chat 4"]}})}) == 1
    assert db.contacts.count_documents({}) == 2
    assert consolidate(runtime, BY, is_dry=True).people == 0
    undo(runtime, clock, run)
    assert snapshot(db) == before
    origin = origins.find([str(folder)], "", Options(), runtime.settings.mongodb_uri)
    tried = rehearsal.rehearse(runtime, origin, Told())
    assert (tried.people, tried.people_new) == (2, 1)


def test_whoever_is_here_under_that_name_and_was_not_imported_is_believed_nothing(runtime, db, tmp_path):
    user = "chat:imported:ada@example.com"
    db.contacts.insert_one({"external_ids": [user], "createdAt": TEN, "crm": {}})
    bring_in(runtime, tmp_path / "embedded", chat_sessions=[chat("ada@example.com")])
    visitor = db.contacts.find_one({"external_ids": user})
    assert db.sessions.find_one()["contact_id"] == visitor["_id"]
    assert "email:ada@example.com" not in visitor.get("identifiers", ())
    assert "emails" not in visitor


def test_an_e_mail_that_many_write_by_links_nobody(make_app, live_db, tmp_path):
    runtime = make_app(contacts={"shared": ["desk@example.com"]}).extensions["gateway"]
    desk = contacts.create(runtime, Changes(emails=["desk@example.com"]), by="ada")
    bring_in(runtime, tmp_path / "embedded", chat_sessions=[chat("desk@example.com")])
    assert str(live_db.sessions.find_one()["contact_id"]) != desk


def test_hundreds_are_known_at_crms_and_by_e_mail_with_few_queries(runtime, db, tmp_path):
    def asked():
        return db.client.admin.command("serverStatus")["opcounters"]["query"]

    many = range(1, 301)
    spoke = [node_message(number, of=number) for number in many]
    for name, first, synced in (("node", 0, OLD), ("again", 500, NEW)):
        told = [{"hubspot_contact_id": str(first + number), "last_synced_at": synced} for number in many]
        rows = [
            node_session(n, sender=f"+1555{n:07}", status="closed", **one) for n, one in zip(many, told, strict=True)
        ]
        before = asked()
        run = bring_in(runtime, tmp_path / name, channels=[CHANNEL], sessions=rows, messages=spoke)
        assert asked() - before < 100
        assert {row["crm"]["hubspot"]["contact_id"] for row in db.contacts.find()} == {
            one["hubspot_contact_id"] for one in told
        }
    assert len(run.tally.problems) == 100, "no more are named"
    before = asked()
    bring_in(runtime, tmp_path / "embedded", chat_sessions=[chat(f"user{number}@example.com") for number in many])
    assert asked() - before < 100
    assert db.contacts.count_documents({"emails.0": {"$exists": True}}) == 300
