"""Two contacts are merged and parted: one person for whoever reads, and each with what was its own afterwards."""

import threading
from datetime import timedelta

import pytest

from gateway.conversation import merging, upkeep
from gateway.conversation.merging import CannotMerge, NoContact, NotForThem, merge, unmerge
from gateway.core.participant import participant
from gateway.store import contacts, people
from tests.conftest import Twilio
from tests.conversation.conftest import Person

ADA, BOB, EVE = "+15558675310", "+15558675399", "+15558675355"
LINE, OTHER_LINE = "+15017122661", "+15017122699"


class Scene:
    """Some people, each known by one number, and what the tests look at."""

    def __init__(self, app, clock, db):
        self.app, self.clock, self.db, self.runtime = app, clock, db, app.extensions["gateway"]
        twilio = Twilio(app.test_client())
        self.ada, self.bob, self.eve = (Person(twilio, clock, "sms", number) for number in (ADA, BOB, EVE))
        self.minute = 0

    def says(self, number, body="Hi", *, minute=None, ours=LINE):
        who = {ADA: self.ada, BOB: self.bob, EVE: self.eve}[number]
        self.minute = self.minute + 1 if minute is None else minute
        answer = Person(who.twilio, self.clock, "sms", number, ours).say(minutes=self.minute, body=body)
        assert answer.status_code == 200

    def id(self, number):
        return str(self.db.contacts.find_one({"phones": number})["_id"])

    def merge(self, one, other, **given):
        return merge(self.runtime, self.id(one), self.id(other), **({"by": "ada"} | given))

    def unmerge(self, number):
        return unmerge(self.runtime, self.id(number), by="bob")

    def out(self, number):
        return set(contacts.opted_out(self.id(number)))

    def sessions(self, number):
        person = people.get(self.id(number))
        return [row["id"] for row in people.sessions_of(person.members, None, limit=50)]

    def session(self, number=None):
        """Give the newest session, or the newest that a number has as its first key."""
        wanted = {"keys.0": {"$regex": f"{number[1:]}$"}} if number else {}
        return self.db.sessions.find_one(wanted, sort=[("first_message_at", -1), ("_id", -1)])


@pytest.fixture
def scene(make_app, clock, live_db):
    return Scene(make_app(), clock, live_db)


@pytest.fixture
def one_each(make_app, clock, live_db):
    """The same where everybody has one session over all channels."""
    return Scene(make_app(sessions={"scope": "contact"}), clock, live_db)


def test_two_contacts_are_one_person_with_all_sessions_and_numbers_of_both(scene):
    scene.says(ADA)
    scene.says(BOB)
    before = list(scene.db.messages.find())
    scene.merge(ADA, BOB)
    person = people.get(scene.id(BOB))
    assert person.id == scene.id(ADA)
    assert person.phones == (ADA, BOB)
    assert scene.sessions(ADA) == scene.sessions(BOB)
    assert len(scene.sessions(ADA)) == 2
    assert list(scene.db.messages.find()) == before
    assert [one["status"] for one in scene.db.sessions.find()] == ["active"] * 2
    (entry,) = scene.db.audit.find()
    assert (entry["action"], entry["by"]) == ("contacts_merged", "ada")
    assert entry["details"] | {"merge": ""} == {"merge": "", "contact": scene.id(ADA), "merged": scene.id(BOB)}


@pytest.mark.parametrize("number", [ADA, BOB])
def test_the_next_session_of_either_is_the_survivors(scene, number):
    scene.says(ADA)
    scene.says(BOB)
    scene.merge(ADA, BOB)
    scene.says(number, minute=60)
    assert str(scene.session()["contact_id"]) == scene.id(ADA)
    assert contacts.resolve(participant(number), scene.clock.now()).id == scene.id(ADA)
    assert scene.db.contacts.count_documents({}) == 2


def test_the_survivors_name_is_shown_everywhere_and_the_others_where_it_has_none(scene):
    scene.says(ADA)
    scene.says(BOB)
    contacts.rename(scene.id(BOB), "Bob")
    scene.merge(ADA, BOB)
    assert people.get(scene.id(ADA)).name == "Bob"
    contacts.rename(scene.id(ADA), "Ada")
    assert people.get(scene.id(BOB)).name == "Ada"
    scene.unmerge(BOB)
    assert (people.get(scene.id(ADA)).name, people.get(scene.id(BOB)).name) == ("Ada", "Bob")


# STOP (I12)


@pytest.mark.parametrize("stopped", [ADA, BOB])
def test_i12_a_stop_of_either_holds_for_both_and_is_given_back_to_whose_it_was(scene, stopped):
    scene.says(ADA)
    scene.says(BOB)
    scene.says(stopped, "STOP")
    scene.merge(ADA, BOB)
    assert scene.out(ADA) == scene.out(BOB) == {LINE}
    assert [one["opted_out"] for one in scene.db.sessions.find()] == [[LINE]] * 2
    scene.says(ADA, minute=60)
    assert scene.session()["opted_out"] == [LINE]
    scene.unmerge(ADA)
    other = BOB if stopped == ADA else ADA
    assert (scene.out(stopped), scene.out(other)) == ({LINE}, set())
    assert scene.session(stopped)["opted_out"] == [LINE]
    assert not scene.session(other).get("opted_out")


@pytest.mark.parametrize("stopped", [ADA, BOB])
def test_i12_a_stop_said_after_the_merge_is_that_numbers_when_they_are_parted(scene, stopped):
    scene.says(ADA)
    scene.says(BOB)
    scene.merge(ADA, BOB)
    scene.says(stopped, "STOP", minute=60)
    assert scene.out(ADA) == scene.out(BOB) == {LINE}
    assert all(one["opted_out"] == [LINE] for one in scene.db.sessions.find())
    scene.unmerge(BOB)
    assert (scene.out(stopped), scene.out(BOB if stopped == ADA else ADA)) == ({LINE}, set())


def test_i12_a_start_takes_back_the_stop_of_its_own_number_only(scene):
    scene.says(ADA, "STOP")
    scene.says(BOB, "STOP")
    scene.merge(ADA, BOB)
    scene.says(BOB, "START")
    assert scene.out(ADA) == scene.out(BOB) == {LINE}
    assert all(one["opted_out"] == [LINE] for one in scene.db.sessions.find())
    scene.says(ADA, "START")
    assert scene.out(ADA) == set()
    assert not any(one["opted_out"] for one in scene.db.sessions.find())


def test_i12_what_waits_for_one_is_canceled_where_the_other_is_out(make_app, clock, live_db):
    from gateway.conversation import send, ways

    scene = Scene(make_app(), clock, live_db)
    scene.says(ADA, "STOP")
    scene.says(BOB)
    send.send_text(scene.runtime, communication_type="sms", to=BOB, line=LINE, text="Hello", message_id="ag:1")
    scene.merge(ADA, BOB)
    assert live_db.outbox.find_one({"_id": "ag:1"})["state"] == "canceled"
    with pytest.raises(ways.CannotSend, match="opted out"):
        send.send_text(scene.runtime, communication_type="sms", to=BOB, line=LINE, text="Hello", message_id="ag:2")


def test_a_late_stop_yields_to_a_start_of_the_same_number_and_not_to_the_others(scene):
    scene.says(ADA)
    scene.says(BOB)
    scene.merge(ADA, BOB)
    scene.says(BOB, "START", minute=10)
    scene.says(ADA, "STOP", minute=5)
    assert scene.out(ADA) == {LINE}
    scene.unmerge(BOB)
    assert (scene.out(ADA), scene.out(BOB)) == ({LINE}, set())


# Undo


def test_undoing_leaves_each_with_their_sessions_those_opened_since_included(scene):
    scene.says(ADA)
    scene.says(BOB)
    scene.merge(ADA, BOB)
    for minute, number in ((60, BOB), (61, ADA), (120, BOB)):
        scene.says(number, minute=minute)
    scene.unmerge(BOB)
    for number in (ADA, BOB):
        contact = scene.db.contacts.find_one({"phones": number})
        theirs = list(scene.db.sessions.find({"contact_id": contact["_id"]}))
        assert all(one["keys"][0].endswith(number) for one in theirs)
        assert len(scene.sessions(number)) == len(theirs) == (3 if number == BOB else 2)
        ids = [one["_id"] for one in theirs]
        assert scene.db.messages.distinct("contact_id", {"session_id": {"$in": ids}}) == [contact["_id"]]
    assert [entry["action"] for entry in scene.db.audit.find()] == ["contacts_merged", "contacts_unmerged"]


def test_what_undoing_leaves_is_what_was_before(scene):
    scene.says(ADA, "STOP")
    scene.says(BOB)

    def picture():
        left_out = {"updatedAt", "opted_out"}
        return [
            [{k: v for k, v in one.items() if k not in left_out} for one in getattr(scene.db, name).find()]
            for name in ("sessions", "messages")
        ] + [[{k: v for k, v in one.items() if v != []} for one in scene.db.contacts.find()]]

    before = picture()
    scene.merge(BOB, ADA)
    assert picture() != before
    scene.unmerge(BOB)
    assert picture() == before


def test_a_second_number_learned_since_goes_with_the_one_it_came_with(scene):
    scene.says(ADA)
    scene.says(BOB)
    scene.merge(ADA, BOB)
    scene.clock.move_to(minutes=60)
    user = {"ExternalUserId": "US.123", "From": f"whatsapp:{BOB}", "WaId": BOB[1:]}
    scene.bob.twilio.whatsapp("Hi", **user)
    known = scene.db.contacts.find_one({"external_ids": {"$exists": True}})
    scene.unmerge(BOB)
    assert people.get(scene.id(BOB)).identities == (BOB, *(known or {}).get("external_ids", ()))
    assert people.get(scene.id(ADA)).identities == (ADA,)


def test_chains_come_apart_in_any_order(scene):
    for number in (ADA, BOB, EVE):
        scene.says(number)
    scene.says(EVE, "STOP")
    scene.merge(BOB, EVE)
    scene.merge(ADA, BOB)
    assert people.get(scene.id(EVE)).phones == (ADA, BOB, EVE)
    scene.says(EVE, minute=60)
    assert str(scene.session()["contact_id"]) == scene.id(ADA)
    assert scene.out(ADA) == {LINE}
    scene.unmerge(EVE)
    assert people.get(scene.id(EVE)).phones == (EVE,)
    assert len(scene.sessions(EVE)) == 2
    assert people.get(scene.id(BOB)).phones == (ADA, BOB)
    assert (scene.out(ADA), scene.out(EVE)) == (set(), {LINE})
    assert scene.unmerge(ADA).absorbed == scene.id(BOB)
    assert people.get(scene.id(BOB)).phones == (BOB,)


def test_a_merge_can_be_undone_and_done_again(scene):
    scene.says(ADA)
    scene.says(BOB)
    for _ in range(2):
        scene.merge(ADA, BOB)
        assert people.get(scene.id(BOB)).id == scene.id(ADA)
        assert scene.unmerge(BOB).state == "undone"
        assert scene.unmerge(BOB).state == "undone"
        assert people.get(scene.id(BOB)).id == scene.id(BOB)


# What is refused


def test_refused_with_a_reason(scene):
    scene.says(ADA)
    scene.says(BOB)
    with pytest.raises(CannotMerge, match="same contact"):
        scene.merge(ADA, ADA)
    with pytest.raises(CannotMerge, match="nothing to undo"):
        scene.unmerge(ADA)
    for nobody in ("f" * 24, "nonsense", ""):
        with pytest.raises(NoContact):
            merge(scene.runtime, scene.id(ADA), nobody, by="ada")
    with pytest.raises(NotForThem):
        scene.merge(ADA, BOB, channels=["sms:+15017122661"])
    done = scene.merge(ADA, BOB)
    assert scene.merge(ADA, BOB).id == done.id
    with pytest.raises(CannotMerge, match="same contact"):
        scene.merge(BOB, ADA)
    withheld = scene.db.contacts.insert_one({"phones": ["+266696687"]}).inserted_id
    with pytest.raises(CannotMerge, match="withhold"):
        merge(scene.runtime, scene.id(ADA), str(withheld), by="ada")
    assert scene.db.merges.count_documents({"busy": {"$exists": True}}) == 0


# Sessions where a contact has one in all (rule T10)


def test_t10_the_newer_session_stays_open_and_takes_what_either_writes(one_each):
    one_each.says(ADA)
    one_each.says(BOB)
    newer, older = one_each.session(BOB)["_id"], one_each.session(ADA)["_id"]
    one_each.merge(ADA, BOB)
    assert one_each.db.sessions.find_one({"_id": older})["closed_reason"] == "merged"
    assert one_each.db.sessions.find_one({"_id": newer})["open_keys"] == [BOB, ADA]
    one_each.says(ADA)
    one_each.says(BOB)
    found = {one["_id"]: one for one in one_each.db.sessions.find()}
    assert (found[newer]["status"], found[newer]["message_count"]) == ("active", 6)
    assert (found[older]["status"], found[older]["message_count"]) == ("closed", 2)


def test_t10_undoing_opens_the_older_one_again_unless_another_is_open(one_each):
    one_each.says(ADA)
    one_each.says(BOB)
    older = one_each.session(ADA)["_id"]
    one_each.merge(ADA, BOB)
    one_each.unmerge(ADA)
    again = one_each.db.sessions.find_one({"_id": older})
    assert (again["status"], again["open_keys"], again.get("closed_reason")) == ("active", [ADA], None)
    one_each.says(ADA)
    assert one_each.session(ADA)["_id"] == older
    assert all(
        one["keys"] == one["open_keys"] == [key]
        for one, key in zip(one_each.db.sessions.find().sort("first_message_at", 1), (ADA, BOB), strict=True)
    )
    one_each.merge(ADA, BOB)
    one_each.says(ADA, minute=60)
    shared = one_each.session()
    assert shared["open_keys"] == [ADA, BOB]
    one_each.unmerge(BOB)
    assert one_each.db.sessions.find_one({"_id": older})["status"] == "closed"
    assert one_each.session()["open_keys"] == [ADA]


def test_i2_one_session_is_open_whichever_of_their_numbers_writes_first(one_each):
    one_each.says(ADA)
    one_each.says(BOB, minute=60)
    one_each.merge(ADA, BOB)
    for number, minute in ((ADA, 61), (BOB, 62), (BOB, 200), (ADA, 201), (ADA, 400), (BOB, 800)):
        one_each.says(number, minute=minute)
        (only,) = one_each.db.sessions.find({"open_keys": {"$exists": True}})
        assert only["_id"] == one_each.session()["_id"]
    assert [one["message_count"] for one in one_each.db.sessions.find().sort("first_message_at", 1)] == [2, 6, 4, 2, 2]


def test_i7_a_call_in_the_older_one_is_waited_for(one_each):
    one_each.says(BOB)
    one_each.ada.twilio.call(From=ADA, CallSid="CA1")
    one_each.says(BOB)
    one_each.says(EVE, minute=2)
    with pytest.raises(CannotMerge, match="call is on"):
        one_each.merge(ADA, EVE)


# Races


@pytest.mark.parametrize("circle", [False, True])
def test_merges_at_once_leave_one_person_and_no_circle(scene, circle):
    for number in (ADA, BOB, EVE):
        scene.says(number)
    pairs = [(ADA, BOB), (BOB, EVE), (EVE, ADA)] if circle else [(ADA, BOB), (BOB, ADA), (ADA, BOB)]
    ids = {number: scene.id(number) for number in (ADA, BOB, EVE)}
    refused = []

    def run(one, other):
        try:
            merge(scene.runtime, ids[one], ids[other], by="ada")
        except CannotMerge as error:
            refused.append(str(error))

    threads = [threading.Thread(target=run, args=pair) for pair in pairs]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    merged = {ADA, BOB, EVE} if circle else {ADA, BOB}
    assert len({people.get(ids[number]).id for number in merged}) == 1
    assert len(refused) in ({1} if circle else {1, 2})
    assert scene.db.merges.count_documents({"state": "done"}) == len(merged) - 1
    assert scene.db.merges.count_documents({}) == len(merged) - 1


def test_messages_that_come_while_they_are_merged_and_parted_find_a_contact_and_none_is_made(one_each):
    one_each.says(ADA)
    one_each.says(BOB)
    ids, stop = (one_each.id(ADA), one_each.id(BOB)), threading.Event()

    def talk(number):
        twilio = Twilio(one_each.app.test_client())
        while not stop.is_set():
            assert twilio.sms("Hi", From=number, MessageSid=f"{number}{twilio.sid()}").status_code == 200

    threads = [threading.Thread(target=talk, args=(number,)) for number in (ADA, BOB)]
    for thread in threads:
        thread.start()
    for _ in range(4):
        merge(one_each.runtime, ids[0], ids[1], by="ada")
        unmerge(one_each.runtime, ids[1], by="ada")
    merge(one_each.runtime, ids[0], ids[1], by="ada")
    stop.set()
    for thread in threads:
        thread.join()
    one_each.clock.tick(30)
    upkeep.settle(one_each.runtime)
    one_each.says(ADA)
    assert one_each.db.contacts.count_documents({}) == 2
    assert one_each.db.sessions.count_documents({"open_keys": {"$exists": True}}) == 1
    assert all(
        one["message_count"] == one_each.db.messages.count_documents({"session_id": one["_id"]})
        for one in one_each.db.sessions.find()
    )


def test_a_session_opened_by_somebody_who_looked_before_the_undoing_is_given_back(scene):
    scene.says(ADA)
    scene.says(BOB)
    scene.merge(ADA, BOB)
    scene.unmerge(BOB)
    scene.clock.tick(1)
    scene.says(BOB, minute=60)
    late = scene.session()
    scene.db.sessions.update_one(
        {"_id": late["_id"]}, {"$set": {"contact_id": scene.db.contacts.find_one({"phones": ADA})["_id"]}}
    )
    upkeep.settle(scene.runtime)
    assert str(scene.session()["contact_id"]) == scene.id(BOB)
    scene.clock.tick(3600)
    upkeep.settle(scene.runtime)
    assert scene.db.merges.count_documents({"unsettled": {"$exists": True}}) == 0


def test_what_is_read_of_a_contact_uses_indexes(scene):
    scene.says(ADA)
    plans = [
        scene.db.contacts.find({"merged_into": {"$in": [scene.session()["contact_id"]]}}),
        scene.db.contacts.find({"emails": "ada@example.com"}),
        scene.db.sessions.find({"open_keys": {"$in": [ADA]}}),
        scene.db.merges.find({"busy": {"$exists": True}, "lease": {"$lte": scene.clock.now()}}),
        scene.db.merges.find({"unsettled": {"$exists": True}, "busy": {"$exists": False}}),
    ]
    for plan in plans:
        assert "COLLSCAN" not in str(plan.explain()["queryPlanner"]["winningPlan"])


def test_the_lease_of_a_merge_that_is_done_by_another_process_is_respected(scene, monkeypatch):
    monkeypatch.setattr(merging, "PATIENCE_SECONDS", 0.2)
    scene.says(ADA)
    scene.says(BOB)
    lease = scene.clock.now() + timedelta(seconds=40)
    held = [scene.db.contacts.find_one({"phones": ADA})["_id"]]
    scene.db.merges.insert_one(
        {
            "_id": "x",
            "state": "claimed",
            "survivor": held[0],
            "absorbed": held[0],
            "by": "",
            "at": lease,
            "busy": held,
            "lease": lease,
        }
    )
    with pytest.raises(CannotMerge, match="right now"):
        scene.merge(ADA, BOB)
    scene.clock.tick(60)
    assert scene.merge(ADA, BOB).state == "done"
