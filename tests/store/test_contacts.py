"""Who is one contact, however many meet them at once and whatever they are known by."""

import contextlib
import random
import threading

import pytest
from bson import ObjectId

from gateway.core.participant import caller, chat_user, participant
from gateway.store import contacts, groups, held, linking, numbers, writing
from gateway.store import senders as many
from gateway.store.contacts import Sender
from gateway.store.migrations.m0003_identify_contacts import IDENTIFY_CONTACTS
from tests.conftest import TEN

LINE, BRAZIL, ARGENTINA = "+15017122661", "+551140001234", "+541143211234"
AT_ONCE = 64

# Messages of one person that come at the same moment: by whom, and on which line of ours.
ONE_PERSON = {
    "two spellings of a number": [(participant("+5511987654321"), LINE), (participant("whatsapp:+551187654321"), LINE)],
    "three spellings in Argentina": [
        (participant("+5491123456789"), LINE),
        (participant("+541123456789"), LINE),
        (participant("011 15-2345-6789"), ARGENTINA),
    ],
    "a number and a user id": [
        (participant("whatsapp:+15558675310", also="whatsapp:US.123"), LINE),
        (participant("whatsapp:US.123", also="whatsapp:+15558675310"), LINE),
    ],
    "a chat user and their address": [
        (chat_user("web", "alice", email="ada@example.com"), "web"),
        (chat_user("web", "tablet", email="Ada@Example.com"), "web"),
    ],
    "a number without its country": [(participant("2015550123"), LINE), (participant("+12015550123"), LINE)],
}


@pytest.fixture(autouse=True)
def connected(app):
    """An app, for its database."""


@pytest.mark.parametrize("within", [contextlib.nullcontext, writing.together])
@pytest.mark.parametrize("who", ONE_PERSON)
def test_64_simultaneous_first_contacts_of_one_person_make_one(db, who, within):
    met = [random.choice(ONE_PERSON[who]) for _ in range(AT_ONCE - len(ONE_PERSON[who]))] + ONE_PERSON[who]
    start, known, guard = threading.Barrier(AT_ONCE), [], threading.Lock()

    def meet(person, line):
        start.wait()
        with within():
            contact = contacts.resolve(person, TEN, line=line)
        with guard:
            known.append(contact.id)

    racers = [threading.Thread(target=meet, args=one) for one in met]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert len(known) == AT_ONCE
    assert len(set(known)) == 1
    (contact,) = db.contacts.find()
    written = {identity for person, _ in met for identity in person.identities}
    assert {*contact.get("phones", ()), *contact.get("external_ids", ())} == written  # kept as it came
    assert len(contact["identifiers"]) == len({form for one, line in met for form in numbers.forms(one, line).values()})


@pytest.fixture
def asked(monkeypatch):
    """Collect what is asked of MongoDB over a connection that is held: what, and what a write waits for, or a read."""
    collected, command = [], held._Held.command

    def collecting(self, found, given):
        name = next(iter(given))
        concern = given.get("writeConcern", {}).get("w") or given.get("readConcern", {}).get("level")
        collected.append((name, given[name], concern))
        return command(self, found, given)

    monkeypatch.setattr(held._Held, "command", collecting)
    return collected


BARRIER = ("update", "sessions", "majority")


def test_who_is_new_waits_with_the_message(asked):
    with writing.together():
        contacts.resolve(participant("+12015550123"), TEN)
        assert asked[0] == ("find", "contacts", "majority")
        assert asked[-1] == ("insert", "contacts", 1)
    assert asked[-1] == BARRIER


def test_i4_whom_somebody_else_just_made_is_waited_for(asked, monkeypatch):
    """A new primary may be without that contact, and with a session that names it."""
    person, known = participant("+12015550123"), contacts._known
    made = contacts.resolve(person, TEN)
    monkeypatch.setattr(contacts, "_known", lambda *given: known(*given) if BARRIER in asked else [])
    with writing.together():
        assert contacts.resolve(person, TEN).id == made.id
    assert asked[-3:] == [("insert", "contacts", 1), BARRIER, ("find", "contacts", "majority")]


@pytest.mark.parametrize(
    ("written", "lines", "number"),
    [
        ("(555) 867-5310", [LINE], "+15558675310"),
        ("+1 (555) 867-5310", [BRAZIL], "+15558675310"),
        ("0049 171 1234567", [LINE], "+491711234567"),
        ("0171 1234567", ["+49301234567"], "+491711234567"),
        ("11 98765-4321", [BRAZIL], "+5511987654321"),
        ("011 15-2345-6789", [ARGENTINA], "+5491123456789"),
        ("011 15-2345-6789", ["web", ARGENTINA], "+5491123456789"),
        ("12345", [LINE], None),
        ("867-5310", [LINE], None),
        ("(555) 867-5310", [], None),
        ("(555) 867-5310", ["12345"], None),
        ("anonymous", [LINE], None),
        ("+266696687", [LINE], None),
        ("ada@example.com", [LINE], None),
        ("", [LINE], None),
    ],
)
def test_what_people_type_is_read_in_the_country_of_our_line(written, lines, number):
    assert numbers.typed(written, lines) == number


def test_a_short_code_is_nobodys_phone_in_any_country():
    assert contacts.resolve(participant("12345"), TEN, line=LINE).identities == ("12345",)
    assert contacts.resolve(participant("+112345"), TEN, line=LINE).identities == ("+112345",)


def test_a_user_id_keeps_a_person_whose_number_changes_and_the_other_way_round(db):
    first = contacts.resolve(participant("whatsapp:+15558675310", also="whatsapp:US.1"), TEN)
    moved = contacts.resolve(participant("whatsapp:+15558675399", also="whatsapp:US.1"), TEN)
    again = contacts.resolve(participant("whatsapp:+15558675399", also="whatsapp:US.2"), TEN)
    assert first.id == moved.id == again.id
    assert contacts.resolve(participant("+15558675310"), TEN).id == first.id
    assert set(again.identities) < set(contacts.find(participant("whatsapp:US.2")).identities)
    assert db.contacts.count_documents({}) == 1


def test_a_forgotten_stop_holds_for_every_spelling(db):
    from gateway.store import suppressions

    suppressions.keep(["+5511987654321"], [LINE], TEN)
    assert contacts.resolve(participant("+551187654321"), TEN).opted_out == (LINE,)


def identify():
    """Migrate contacts; gives how many lacked something."""
    return IDENTIFY_CONTACTS.mend(IDENTIFY_CONTACTS.next({})).changed


def test_contacts_of_an_earlier_version_are_found_before_and_after_migrating(db):
    one, other, named = (
        db.contacts.insert_one(given).inserted_id
        for given in (
            {"phones": ["+5511987654321"], "emails": [], "createdAt": TEN},
            {"external_ids": ["chat:web:alice"], "emails": ["ada@example.com"], "createdAt": TEN},
            {"name": "Nobody", "emails": [], "createdAt": TEN},
        )
    )
    assert contacts.resolve(participant("+5511987654321"), TEN).id == str(one)
    assert contacts.find(chat_user("web", "phone", email="ada@example.com")).id == str(other)
    assert identify() == 1  # the first was met meanwhile
    assert identify() == 0
    assert contacts.resolve(participant("+551187654321"), TEN).id == str(one)
    assert contacts.resolve(chat_user("web", "phone", email="ada@example.com"), TEN).id == str(other)
    assert "identifiers" not in db.contacts.find_one({"_id": named})
    assert db.contacts.count_documents({}) == 3


def test_migrating_notes_two_spellings_of_one_number_to_be_merged(db):
    ids = [ObjectId(), ObjectId()]
    db.contacts.insert_many(
        {"_id": one, "phones": [phone], "createdAt": TEN}
        for one, phone in zip(ids, ("+5491123456789", "+541123456789"), strict=True)
    )
    identify()
    assert linking.noted() == [(str(ids[1]), str(ids[0]), linking.SAME_NUMBER)]
    # Until they are merged each is found by its own spelling.
    assert contacts.resolve(participant("+5491123456789"), TEN).id == str(ids[0])
    identify()
    assert len(linking.noted()) == 1


def test_who_somebody_is_is_looked_up_over_indexes(db):
    db.contacts.insert_many({"phones": [f"+1555{n:07}"], "identifiers": [f"+1555{n:07}"]} for n in range(300))
    person = participant("whatsapp:+15550000007", also="whatsapp:US.7")
    forms = numbers.forms(person, LINE)
    wanted = {"$or": [{"identifiers": {"$in": list(forms.values())}}, *contacts._known_by(person)]}
    command = {"explain": {"find": "contacts", "filter": wanted}, "verbosity": "executionStats"}
    stats = db.command(command)["executionStats"]
    assert (stats["nReturned"], stats["totalDocsExamined"]) in {(1, 1), (1, 2)}
    plan = str(db.contacts.find({"to_merge": {"$exists": True}}).sort("to_merge.at", 1).hint("to_merge").explain())
    assert "COLLSCAN" not in plan
    found = groups.of(db.contacts.find_one({"phones": "+15550000007"}))
    assert contacts.find(person).id == found.id


def test_many_are_found_at_once_as_each_would_be_alone(db):
    home = contacts.resolve(participant("+5511987654321"), TEN, line=LINE)
    contacts.record_opt_out([home.id], [LINE], out=True, message_id=None, at=TEN)
    contacts.resolve(participant("+12015550123"), TEN, line=LINE)
    desk = contacts.resolve(participant("+15558675310"), TEN, line=LINE)
    one = contacts.resolve(participant("whatsapp:US.7"), TEN, line=LINE)
    senders = {
        name: Sender(person, LINE)
        for name, person in {
            "known": participant("+5511987654321"),
            "known, another spelling": participant("+551187654321"),
            "known, without the country": participant("2015550123"),
            "nobody yet": participant("+15558675399"),
            "shared": participant("+15558675310"),
            "two": participant("whatsapp:US.7", also="whatsapp:+15558675310"),
            "withheld": caller("anonymous", "CA1"),
        }.items()
    }
    before = list(db.contacts.find())

    found = many.known(senders.values(), {"+15558675310"})

    assert list(db.contacts.find()) == before, "nothing is made or learned"
    assert found == {senders["known"]: contacts.resolve(participant("+5511987654321"), TEN, line=LINE)}
    assert found[senders["known"]].opted_out == (LINE,)
    assert {desk.id, one.id}.isdisjoint({known.id for known in found.values()})
    assert many.known([], ()) == {}


@pytest.mark.parametrize("within", [contextlib.nullcontext, writing.together])
def test_somebody_without_a_name_takes_the_first_that_comes(db, within):
    for name in (None, "Ada", "Countess"):
        with within():
            contacts.resolve(participant("+15558675310", name=name), TEN)
    assert [one["name"] for one in db.contacts.find()] == ["Ada"]


def test_the_name_of_a_merged_contact_is_a_name(db):
    mine = contacts.resolve(participant("+15558675310"), TEN)
    other = contacts.resolve(participant("+15558675311", name="Ada"), TEN)
    db.contacts.update_one({"_id": ObjectId(other.id)}, {"$set": {"merged_into": ObjectId(mine.id)}})
    db.contacts.update_one({"_id": ObjectId(mine.id)}, {"$set": {"absorbed": [ObjectId(other.id)]}})
    contacts.resolve(participant("+15558675310", name="Countess"), TEN)
    assert [one["name"] for one in db.contacts.find().sort("_id")] == [None, "Ada"]


def test_a_name_that_was_given_meanwhile_stays(db, monkeypatch):
    contacts.resolve(participant("+15558675310"), TEN)
    distinct = groups.distinct

    def given_meanwhile(found):
        db.contacts.update_one({}, {"$set": {"name": "Ada"}})
        return distinct(found)

    monkeypatch.setattr(groups, "distinct", given_meanwhile)
    contacts.resolve(participant("+15558675310", name="Countess"), TEN)
    assert db.contacts.find_one()["name"] == "Ada"


def test_an_import_names_nobody_who_is_here_already(db):
    contacts.resolve(participant("+15558675310"), TEN)
    contacts.resolve(participant("+15558675310", name="Ada"), TEN, import_id=str(ObjectId()))
    assert db.contacts.find_one()["name"] is None
