"""Many senders found or made at once: what it comes to is what one by one would."""

from bson import ObjectId

from gateway.core.participant import caller, participant
from gateway.store import contacts, senders, suppressions
from gateway.store.contacts import Sender
from tests.conftest import TEN

LINE, RUN = "+15017122661", "65f000000000000000000001"


def everybody(*numbers):
    return {number: Sender(participant(number), LINE) for number in numbers}


def test_who_is_new_is_made_as_one_by_one_would_be(db):
    here = contacts.resolve(participant("+15558675310"), TEN, line=LINE)
    suppressions.keep(["+15558675311"], [LINE], TEN)
    asked = everybody("+15558675310", "+15558675311", "2015550123", "whatsapp:US.7", "+15558675399")
    nobody = Sender(caller("anonymous", "CA1"), LINE)

    made = senders.make([*asked.values(), nobody], TEN, shared={"+15558675399"}, import_id=RUN)

    assert set(made) == {asked[one] for one in ("+15558675311", "2015550123", "whatsapp:US.7")}
    assert made[asked["+15558675311"]].opted_out == (LINE,)
    stored = list(db.contacts.find())
    assert len(stored) == 4
    assert {row["_id"] for row in stored if row.get("import_id") == ObjectId(RUN)} == {
        ObjectId(one.id) for one in made.values()
    }
    for sender, contact in made.items():
        assert contacts.resolve(sender.person, TEN, line=LINE, import_id=RUN) == contact
    assert list(db.contacts.find()) == stored, "nothing is learned: everything is known"
    assert here.id not in {one.id for one in made.values()}


def test_two_spellings_of_one_number_are_one_contact(db):
    spelt = everybody("+5511987654321", "+551187654321")
    made = senders.make(spelt.values(), TEN, shared=(), import_id=RUN)
    assert len(made) == 1
    alone = [contacts.resolve(one.person, TEN, line=LINE) for one in spelt.values()]
    assert {one.id for one in alone} == {one.id for one in made.values()}
    assert db.contacts.count_documents({}) == 1


def test_who_writes_on_two_channels_has_the_name_that_came_on_one_of_them(db):
    people = [f"+1555867{number:04}" for number in range(20)]
    bare = [Sender(participant(one), LINE) for one in people]
    named = [Sender(participant(f"whatsapp:{one}", name="Ada"), LINE) for one in people]
    assert len(senders.make([*bare, *named], TEN, shared=())) == 40
    assert [row["name"] for row in db.contacts.find()] == ["Ada"] * 20


def test_whoever_was_met_meanwhile_is_left_out(db, monkeypatch):
    asked = everybody("+15558675310", "+15558675311")
    faster = contacts.resolve(participant("+15558675310"), TEN, line=LINE)
    monkeypatch.setattr(senders, "unknown", set)
    made = senders.make(asked.values(), TEN, shared=(), import_id=RUN)
    assert set(made) == {asked["+15558675311"]}
    assert contacts.resolve(participant("+15558675310"), TEN, line=LINE).id == faster.id
    assert db.contacts.count_documents({}) == 2


def test_whom_only_imports_brought_is_told_from_who_was_here(db):
    asked = everybody("+15558675310", "+15558675311", "+15558675312")
    here, brought, _ = asked.values()
    contacts.resolve(here.person, TEN, line=LINE)
    contacts.resolve(brought.person, TEN, line=LINE, import_id=RUN)
    assert senders.known_otherwise(asked.values()) == {here}
    assert senders.unknown(asked.values()) == {asked["+15558675312"]}
