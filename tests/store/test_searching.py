"""Sessions by words: whose they are, however contacts were merged, and whether more match than were looked at."""

import mongoengine
import pytest
from bson import ObjectId

from gateway.store import connection, groups, listing, searching
from gateway.store.listing import Wanted
from gateway.store.searching import MOST_MATCHES
from tests.conftest import TEN

LINE = "sms:+15017122661"
SHOWN = {"communication_type": "sms", "status": "closed", "last_message_at": TEN}
ANY = Wanted()


@pytest.fixture(autouse=True)
def connected(make_settings):
    connection.connect(make_settings())
    connection.create_indexes()


def add(collection, count=1, **fields):
    rows = [{"_id": ObjectId(), **fields} for _ in range(count)]
    mongoengine.get_db()[collection].insert_many(rows)
    return rows[0]["_id"]


def found(word, channels=None):
    return set(searching.sessions_with([word], channels).sessions)


def test_words_are_looked_for_in_messages_titles_and_names():
    said, called = (add("sessions", title=title) for title in ("SMS", "From hopper"))
    add("messages", session_id=said, content="Hopper here")
    theirs = add("sessions", contact_id=add("contacts", name="Grace Hopper"))
    assert found("hopper") == {said, called, theirs}


def test_by_the_name_of_one_contact_the_sessions_of_all_that_are_the_same_person_are_found():
    ada, countess = add("contacts", name="Ada Lovelace"), add("contacts", name="The countess")
    sessions = {add("sessions", contact_id=one) for one in (ada, countess)}
    groups.link(str(countess), str(ada))
    assert found("lovelace") == found("countess") == sessions


def test_of_other_channels_nothing_is_found():
    contact = add("contacts", name="Grace Hopper")
    mine, _ = (add("sessions", channel_id=one, contact_id=contact) for one in (LINE, "sms:+15017122669"))
    assert found("hopper", [LINE]) == {mine}


@pytest.mark.parametrize(("count", "more"), [(MOST_MATCHES - 1, False), (MOST_MATCHES, True)])
@pytest.mark.parametrize("collection", ["messages", "sessions", "contacts"])
def test_as_many_as_are_looked_at_may_be_followed_by_more(collection, count, more):
    fields = {"messages": "content", "sessions": "title", "contacts": "name"}
    add(collection, count, **{fields[collection]: "hopper", "session_id": ObjectId()})
    assert searching.sessions_with(["hopper"], None).more == more


def test_as_many_as_are_looked_at_are_found():
    sessions = [{"_id": ObjectId(), "title": "hopper"} for _ in range(MOST_MATCHES)]
    mongoengine.get_db().sessions.insert_many(sessions)
    assert found("hopper") == {one["_id"] for one in sessions}


def test_people_who_were_merged_count_as_more_by_those_that_match():
    add("contacts", MOST_MATCHES - 2, name="hopper")
    ada, countess, lady = (add("contacts", name=name) for name in ("hopper", "hopper", "somebody else"))
    groups.link(str(countess), str(ada))
    groups.link(str(lady), str(ada))
    assert searching.sessions_with(["hopper"], None).more


def listed(typed, plain=ANY):
    wanted = searching.narrowed(plain, typed, None).wanted
    return {ObjectId(one["id"]) for one in listing.page(wanted, cursor=None, limit=9, channels=None).sessions}


def test_a_name_is_looked_for_among_those_that_are_wanted():
    one, other = (add("contacts", name="Grace Hopper") for _ in range(2))
    mine, theirs, loud = (add("sessions", contact_id=whose, **SHOWN) for whose in (one, other, add("contacts")))
    assert listed("hopper") == {mine, theirs}
    assert listed("hopper", Wanted(contact_ids=(str(one),))) == {mine}
    add("messages", session_id=loud, content="hopper")
    assert listed("hopper") == {mine, theirs, loud}
