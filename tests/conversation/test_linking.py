"""An identifier that two contacts have makes them one person: by itself, whatever happens, and never twice."""

import re
import threading
from datetime import timedelta

import mongoengine
import pytest
from bson import ObjectId

from gateway.conversation import linking, merging, upkeep
from gateway.conversation.merging import unmerge
from gateway.store import audit, contacts, groups, merges, people, sessions
from gateway.store import linking as notes
from gateway.worker.chores import chores
from tests.conftest import TEN, Twilio, fixture
from tests.conversation.fleet import Webhook
from tests.conversation.test_crashes import _in_a_process_that_dies
from tests.conversation.test_races import make_fleet

__all__ = ["make_fleet"]

NUMBER, USER, LINE = "+15558675310", "whatsapp:US.13491208655302741918", "+15017122661"


class Scene:
    """Somebody known by a number and, as somebody else, by a WhatsApp user id."""

    def __init__(self, app, clock, db):
        self.app, self.clock, self.db, self.runtime = app, clock, db, app.extensions["gateway"]
        self.twilio, self.minute = Twilio(app.test_client()), 0

    def passes(self, minutes=1):
        self.minute += minutes
        self.clock.move_to(minutes=self.minute)

    def texts(self, body="By number", number=NUMBER):
        self.passes()
        return self.twilio.sms(body, From=number, To=LINE)

    def writes(self, body="By user id", number="", user=USER):
        """Write by WhatsApp: with the number, or without one as those do who hide it."""
        self.passes()
        form = fixture("whatsapp/text") | {"MessageSid": self.twilio.sid(), "Body": body, "To": f"whatsapp:{LINE}"}
        form |= {"From": f"whatsapp:{number}" if number else user, "ExternalUserId": user}
        form |= {"WaId": number[1:]} if number else {}
        return self.twilio.post("/webhooks/whatsapp", form)

    def known(self):
        """Give the contact of the number and that of the user id, as stored."""
        return self.db.contacts.find_one({"phones": NUMBER}), self.db.contacts.find_one({"external_ids": USER})

    def are_one(self):
        one, other = self.known()
        return groups.of(one).id == groups.of(other).id

    def two(self):
        """Meet both, some time apart."""
        assert self.texts().status_code == self.writes().status_code == 200
        assert not self.are_one()

    def both(self, body="By both"):
        """Write with both in one message, as a new session begins."""
        self.passes(60)
        answer = self.writes(body, number=NUMBER)
        assert answer.status_code == 200
        assert self.db.messages.find_one({"content": body, "direction": "inbound"})


@pytest.fixture(params=["channel", "contact"])
def scene(make_app, clock, live_db, request):
    return Scene(make_app(sessions={"scope": request.param}), clock, live_db)


@pytest.fixture
def plain(make_app, clock, live_db):
    return Scene(make_app(), clock, live_db)


def test_what_comes_in_one_message_makes_two_contacts_one_person(scene):
    scene.two()
    said = list(scene.db.messages.find())
    elder, younger = scene.known()
    scene.both()
    assert scene.are_one()
    person = people.get(str(younger["_id"]))
    assert person.id == str(elder["_id"])  # whose id is known longer
    assert person.identities == (NUMBER, USER)
    theirs = [row["id"] for row in people.sessions_of(person.members, None, limit=9)]
    assert len(theirs) == scene.db.sessions.count_documents({}) == 3
    assert scene.db.sessions.count_documents({"status": "active", "open_keys": {"$regex": f"{re.escape(USER)}$"}}) == 1
    # Messages stay as they were, and what was done is written down, with the reason and not with the number.
    assert [scene.db.messages.find_one({"_id": one["_id"]}) for one in said] == said
    (entry,) = scene.db.audit.find()
    assert (entry["by"], entry["action"], entry["details"]["reason"]) == ("gateway", "contacts_merged", "seen_together")
    assert NUMBER not in str(entry)
    assert notes.noted() == []
    scene.both("Once more")
    assert scene.db.merges.count_documents({}) == 1


def test_an_undone_merge_is_not_done_again_by_what_was_undone(scene):
    scene.two()
    mine = [str(one["_id"]) for one in scene.known()]
    before = [row["_id"] for row in scene.db.sessions.find({"contact_id": ObjectId(mine[1])})]
    scene.both()
    assert scene.are_one()
    unmerge(scene.runtime, mine[1], by="ada")
    for _ in range(2):
        scene.both("Both again")
        scene.writes("And once more", number=NUMBER)
        linking.link_noted(scene.runtime)
        upkeep.settle(scene.runtime)
        assert not scene.are_one()
    assert notes.noted() == []
    assert [row["_id"] for row in scene.db.sessions.find({"contact_id": ObjectId(mine[1])})] == before
    assert [one["action"] for one in scene.db.audit.find()] == ["contacts_merged", "contacts_unmerged"]
    # A person may merge them again.
    merging.merge(scene.runtime, *mine, by="ada")
    assert scene.are_one()


def test_t10_undoing_gives_each_their_open_session_back(make_app, clock, live_db):
    scene = Scene(make_app(sessions={"scope": "contact", "idle_seconds": "never"}), clock, live_db)
    scene.two()
    number, user = (scene.db.sessions.find_one({"open_keys": one})["_id"] for one in (NUMBER, USER))
    scene.both()  # in the newer of their sessions, so that a worker merges them
    assert linking.link_noted(scene.runtime) == 1
    older = scene.db.sessions.find_one({"_id": number})
    assert (older["status"], older["closed_reason"]) == ("closed", "merged")
    assert set(scene.db.sessions.find_one({"_id": user})["open_keys"]) == {NUMBER, USER}
    unmerge(scene.runtime, str(scene.known()[1]["_id"]), by="ada")
    assert scene.db.sessions.find_one({"_id": number})["open_keys"] == [NUMBER]
    assert scene.db.sessions.find_one({"_id": user})["open_keys"] == [USER]


@pytest.mark.parametrize("stopped", ["texts", "writes"])
def test_i12_a_stop_of_either_holds_for_the_very_message_that_links_them(plain, monkeypatch, stopped):
    plain.two()
    getattr(plain, stopped)("STOP")
    monkeypatch.setattr(linking, "link_now", lambda *_: None)  # a worker has not come to it yet
    plain.both("Am I answered?")
    assert not plain.are_one()
    assert plain.db.sessions.find_one(sort=[("_id", -1)])["opted_out"] == [LINE]
    assert plain.db.messages.count_documents({"direction": "outbound"}) == 2
    for seconds, chore in chores(plain.runtime, threading.Event()):
        if seconds == 5:
            chore()
    assert plain.are_one()
    assert plain.db.sessions.count_documents({"opted_out": LINE}) == 3


def test_a_second_identity_in_the_middle_of_a_session_links_them_too(plain):
    plain.two()
    plain.passes(60)
    assert plain.twilio.whatsapp("By number", From=f"whatsapp:{NUMBER}", To=f"whatsapp:{LINE}").status_code == 200
    plain.writes("And by both", number=NUMBER)
    assert linking.link_noted(plain.runtime) == 1
    assert plain.are_one()


# What stands in the way


def test_while_somebody_merges_one_of_them_it_is_left_to_a_worker(plain, monkeypatch):
    monkeypatch.setattr(merging, "PATIENCE_SECONDS", 0)
    plain.two()
    busy = merges.Merge("held", "claimed", str(plain.known()[0]["_id"]), str(ObjectId()), "ada", TEN, owner="x")
    assert merges.claim(busy, plain.clock.now() + timedelta(hours=9))
    plain.both()
    assert not plain.are_one()
    assert linking.link_noted(plain.runtime) == 0
    merges.drop(busy)
    assert linking.link_noted(plain.runtime) == 1
    assert plain.are_one()
    assert linking.link_noted(plain.runtime) == 0


def test_during_a_call_it_is_left_to_a_worker(make_app, clock, live_db):
    scene = Scene(make_app(sessions={"scope": "contact"}, reply={"responder": "none"}), clock, live_db)
    call = scene.twilio.sid("CA")
    scene.twilio.call(CallSid=call, From=NUMBER, To=LINE)
    scene.writes()
    live_db.contacts.update_one({"phones": NUMBER}, {"$set": {"createdAt": TEN - timedelta(days=1)}})
    notes.note(str(scene.known()[0]["_id"]), [str(scene.known()[1]["_id"])], notes.SEEN_TOGETHER, clock.now())
    assert linking.link_noted(scene.runtime) == 0
    ended = {"CallSid": call, "From": NUMBER, "To": LINE, "CallStatus": "completed", "SequenceNumber": "0"}
    assert scene.twilio.post("/webhooks/voice/status", ended).status_code == 204
    assert linking.link_noted(scene.runtime) == 1
    assert scene.are_one()


@pytest.mark.parametrize(
    "step",
    [
        (notes, "note", "before"),
        (notes, "note", "after"),
        (sessions, "open_session", "after"),
        (merges, "claim", "after"),
        (groups, "link", "after"),
        (audit, "note_once", "after"),
        (notes, "done", "before"),
        (notes, "done", "after"),
    ],
    ids=lambda step: f"{step[2]} {step[1]}",
)
def test_after_kill_9_at_each_step_they_become_one(make_app, clock, live_db, step):
    scene = Scene(make_app(), clock, live_db)
    scene.two()
    scene.passes(60)

    def doomed(app):
        twilio = Twilio(app.test_client())
        form = {"MessageSid": "SMboth", "From": f"whatsapp:{NUMBER}", "ExternalUserId": USER, "WaId": NUMBER[1:]}
        twilio.whatsapp("By both", **form, To=f"whatsapp:{LINE}")

    assert _in_a_process_that_dies(make_app, step, doomed), "the step is never reached"
    scene.runtime = make_app().extensions["gateway"]
    clock.tick(41)
    doomed(make_app())  # Twilio delivers it again
    upkeep.settle(scene.runtime)
    linking.link_noted(scene.runtime)
    assert scene.are_one()
    assert live_db.messages.count_documents({"_id": "SMboth"}) == 1
    assert live_db.audit.count_documents({"action": "contacts_merged"}) == 1
    assert notes.noted() == []
    assert live_db.merges.count_documents({"busy": {"$exists": True}}) == 0


# What many people write by


@pytest.mark.parametrize("scope", ["channel", "contact"])
def test_what_many_people_write_by_links_nobody(make_app, clock, live_db, scope):
    app = make_app(sessions={"scope": scope}, contacts={"shared": f"office@example.com, {NUMBER}"})
    scene = Scene(app, clock, live_db)
    scene.two()
    scene.both()
    scene.writes("A colleague", number=NUMBER, user="whatsapp:US.2")
    assert linking.link_noted(scene.runtime) == 0
    assert live_db.merges.count_documents({}) == 0
    assert live_db.sessions.count_documents({"contact_id": None}) == 0
    scene.passes(60)
    scene.writes("A colleague again", number=NUMBER, user="whatsapp:US.2")
    assert sorted(one["identifiers"] for one in live_db.contacts.find()) == [[NUMBER], [USER], ["whatsapp:US.2"]]


def test_withheld_callers_are_nobody(plain):
    for _ in range(2):
        plain.passes(60)
        plain.twilio.call(From="+266696687", To=LINE)
    assert plain.db.contacts.count_documents({}) == 0
    assert notes.noted() == []


# Real processes


def test_simultaneous_webhooks_of_one_person_make_one_contact_and_one_merge(make_fleet, clock):
    fleet = make_fleet(reply={"responder": "none"})
    db = mongoengine.get_db()

    def form(sid, sender, user=""):
        known = {"MessageSid": sid, "From": sender, "To": f"whatsapp:{LINE}", "Body": sid, "WaId": ""}
        known |= {"ExternalUserId": user} if user else {}
        return {name: value for name, value in (fixture("whatsapp/text") | known).items() if value}

    for number in range(4):
        tail = f"{number}1234567"
        spelt = [f"whatsapp:+55119{8}{tail}"[:23], f"whatsapp:+5511{8}{tail}"[:22]]
        webhooks = [
            Webhook("/webhooks/whatsapp", form(f"SM{number}-{n}", spelt[n % 2]), TEN + timedelta(days=number))
            for n in range(64)
        ]
        assert {status for status, _ in fleet.deliver(webhooks)} == {200}
    assert db.contacts.count_documents({}) == 4
    assert {len(one["phones"]) for one in db.contacts.find()} == {2}
    # Two people until both are in one message, of which there are 64 in sessions of their own.
    later = TEN + timedelta(days=9)
    fleet.deliver([Webhook("/webhooks/whatsapp", form("SMa", f"whatsapp:{NUMBER}"), later)])
    fleet.deliver([Webhook("/webhooks/whatsapp", form("SMb", USER, USER), later)])
    both = [
        Webhook("/webhooks/whatsapp", form(f"SMc{n}", f"whatsapp:{NUMBER}", USER), later + timedelta(days=1))
        for n in range(64)
    ]
    assert {status for status, _ in fleet.deliver(both)} == {200}
    assert contacts.find(_person(NUMBER)).id == contacts.find(_person(USER)).id
    assert db.audit.count_documents({"action": "contacts_merged"}) == 1
    assert db.merges.count_documents({"busy": {"$exists": True}}) == 0


def _person(raw):
    from gateway.core.participant import participant

    return participant(raw)
