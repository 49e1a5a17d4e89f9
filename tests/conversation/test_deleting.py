"""A deleted session: seen nowhere, closed for good, given back as it was, and gone for good after a while."""

from datetime import timedelta
from types import SimpleNamespace

import pytest

from gateway.conversation import deleting, forget, operators, regroup, retention
from gateway.conversation.operators import CannotDo
from gateway.conversation.regroup import NotThere
from gateway.store import audit, boundaries, capped, decisions, exporting, listing, messages, people, transcripts
from gateway.store.connection import collection
from gateway.store.documents import SessionDocument
from gateway.store.exporting import Selected
from gateway.store.listing import Wanted
from gateway.store.searching import sessions_with
from tests.conftest import TEN, Twilio
from tests.conversation.conftest import Person

LINE = "sms:+15017122661"


@pytest.fixture
def scene(make_app, clock, live_db):
    """Somebody who texted once, ten seconds ago, with nobody answering; `id` is the session of that."""
    app = make_app(reply={"responder": "none"})
    twilio = Twilio(app.test_client())
    person = Person(twilio, clock, "sms")
    person.say(body="zebra crossing", sid="SM" + "0" * 31 + "f")
    clock.tick(10)
    return SimpleNamespace(
        runtime=app.extensions["gateway"], twilio=twilio, person=person, clock=clock, db=live_db,
        id=str(live_db.sessions.find_one()["_id"]),
    )  # fmt: skip


def delete(scene, session_id=""):
    deleting.delete(scene.runtime, session_id or scene.id, "ada")


def newest(scene):
    return scene.db.sessions.find_one({}, sort=[("_id", -1)])


def test_a_deleted_session_is_seen_nowhere(scene):
    operators.tag(scene.runtime, scene.id, "vip", "ada")
    operators.add_note(scene.runtime, scene.id, "Careful", "ada", message_id="note:1")
    contact, message = str(newest(scene)["contact_id"]), "SM" + "0" * 31 + "f"
    assert listing.has_message(message, None)
    delete(scene)
    for channels in (None, [LINE]):
        for wanted in (Wanted(), Wanted("sms"), Wanted(status="closed"), Wanted(tag="vip"), Wanted(channel_id=LINE)):
            assert listing.page(wanted, cursor=None, limit=10, channels=channels).sessions == []
            assert capped.counts({"all": (wanted, channels)}) == {"all": 0}
        found = sessions_with(["zebra"], channels).sessions
        assert listing.page(Wanted(among=found), cursor=None, limit=10, channels=channels).sessions == []
        assert not listing.exists(Wanted(number_starts=("+1555",)), channels)
        assert listing.one(scene.id, channels) is None
        assert not listing.has_message(message, channels)
        assert people.sessions_of([contact], channels, limit=10) == []
        assert transcripts.visible({scene.id}, channels) == set()
        assert list(exporting.conversations(Selected(channels))) == []
        assert list(exporting.conversations(Selected(channels, session_id=scene.id))) == []
        assert boundaries.sessions([scene.id], channels) == {}
        for among in (decisions.Wanted(), decisions.Wanted(sessions=decisions.of_session(scene.id))):
            assert decisions.page(among, cursor="", limit=10, channels=channels).rows == []
    assert not operators.add_note(scene.runtime, scene.id, "Late", "ada", message_id="note:2")
    with pytest.raises(regroup.NotThere):
        regroup.split(scene.runtime, scene.id, message, by="ada")
    operators.reopen(scene.runtime, scene.id, "ada")
    assert "status" not in newest(scene)


def test_what_its_sender_says_next_begins_a_session_that_carries_on_what_holds_of_them(scene):
    operators.take_over(scene.runtime, scene.id, "ada")
    delete(scene)
    scene.person.say(seconds=20, body="next")
    said = messages.transcript(str(newest(scene)["_id"]), None, limit=10)
    assert [one["content"] for one in said] == ["next"]
    assert said[0]["decision"]["rule"] == "closed_for_good"
    assert newest(scene)["bot_off"]
    assert scene.db.messages.count_documents({"session_id": collection(SessionDocument).find_one()["_id"]}) == 1


@pytest.mark.parametrize("closed", [False, True])
@pytest.mark.parametrize("seconds", [5, -5, -1000])
def test_what_comes_late_is_not_lost_in_a_deleted_session(scene, seconds, closed):
    """Said before it was deleted (or even before it began), and stored afterwards, as from the spool."""
    if closed:
        operators.close(scene.runtime, scene.id, "ada")
        scene.clock.tick(60)
    delete(scene)
    scene.person.say(seconds=seconds, body="late")
    stored = scene.db.messages.find_one({"content": "late"})
    assert str(stored["session_id"]) != scene.id
    assert listing.one(str(stored["session_id"]), None)["message_count"] == 1


@pytest.mark.parametrize("along", [True, False], ids=["along", "alone"])
def test_a_message_on_its_way_while_its_session_is_deleted_is_filed_again(scene, monkeypatch, along):
    from gateway.conversation import group_commit
    from gateway.store import finding

    real, done = finding.find_neighbours, []

    def found(keys, moment):
        sessions = real(keys, moment)
        if not done:
            done.append(True)
            delete(scene)
        return sessions

    monkeypatch.setattr(group_commit, "_may", lambda *_: along)
    monkeypatch.setattr(finding, "find_neighbours", found)
    scene.person.say(seconds=10, body="racing")
    stored = scene.db.messages.find_one({"content": "racing"})
    assert str(stored["session_id"]) != scene.id
    assert listing.one(str(stored["session_id"]), None)["message_count"] == 1


def test_a_restored_session_is_as_an_operator_closed_it(scene):
    delete(scene)
    scene.clock.tick(1)
    deleting.restore(scene.runtime, scene.id, "bea")
    found = listing.one(scene.id, None)
    assert (found["status"], found["closed_reason"]) == ("closed", "operator")
    assert found["closed_at"] == TEN + timedelta(seconds=10)
    assert "deleted" not in found
    assert [entry["action"] for entry in audit.of_session(scene.id)] == ["session_restored", "session_deleted"]
    operators.reopen(scene.runtime, scene.id, "bea")
    scene.person.say(seconds=20, body="again")
    assert listing.one(scene.id, None)["message_count"] == 2


def test_an_archived_session_comes_back_archived(scene):
    operators.archive(scene.runtime, scene.id, "ada")
    scene.clock.tick(60)
    delete(scene)
    deleting.restore(scene.runtime, scene.id, "ada")
    found = listing.one(scene.id, None)
    assert (found["status"], found["closed_at"]) == ("archived", TEN + timedelta(seconds=10))


def test_a_session_on_other_channels_or_not_deleted_is_not_restored(scene):
    for channels in (None, ["sms:+15550000000"]):
        with pytest.raises(NotThere):
            deleting.restore(scene.runtime, scene.id, "ada", channels=channels)
    delete(scene)
    with pytest.raises(NotThere):
        deleting.restore(scene.runtime, scene.id, "ada", channels=["sms:+15550000000"])


def test_a_session_with_a_call_on_is_not_deleted(scene):
    scene.twilio.call(CallSid="CA" + "1" * 32)
    call = str(newest(scene)["_id"])
    with pytest.raises(CannotDo, match="call"):
        delete(scene, call)
    assert listing.one(call, None)


def test_a_session_that_is_being_split_is_not_deleted(scene):
    scene.db.regroupings.insert_one({"_id": "one", "busy": [newest(scene)["_id"]]})
    with pytest.raises(CannotDo, match="splitting"):
        delete(scene)
    assert listing.one(scene.id, None)


def test_it_is_removed_when_its_days_are_over_and_not_before(scene):
    delete(scene)
    scene.person.say(minutes=30, body="next")
    scene.clock.tick(29 * 86_400)
    retention.clean_by_settings(scene.runtime, scene.clock.tick)
    deleting.restore(scene.runtime, scene.id, "ada")
    delete(scene)
    scene.clock.tick(30 * 86_400 + 1)
    retention.clean_by_settings(scene.runtime, scene.clock.tick)
    assert [one["content"] for one in scene.db.messages.find()] == ["next"]
    assert scene.db.sessions.find_one()["previous_session_id"] is None
    with pytest.raises(NotThere):
        deleting.restore(scene.runtime, scene.id, "ada")


def test_who_is_forgotten_is_forgotten_in_deleted_sessions_too(scene):
    delete(scene)
    forget.forget(scene.runtime, scene.person.number, wait=scene.clock.tick)
    assert scene.db.messages.count_documents({}) == 0


def test_what_is_to_be_removed_is_found_by_its_index(scene):
    delete(scene)
    wanted = {"deleted": {"$exists": True}, "deleted.at": {"$lte": TEN}, "retired": {"$exists": False}}
    plan = str(collection(SessionDocument).find(wanted).explain()["queryPlanner"]["winningPlan"])
    assert "'indexName': 'deleted'" in plan
