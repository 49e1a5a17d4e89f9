"""Sessions by words: whose they are, however contacts were merged, and whether more match than were looked at."""

import mongoengine
import pytest
from bson import ObjectId

from gateway.store import connection, groups, searching
from gateway.store.searching import MOST_MATCHES

LINE = "sms:+15017122661"


@pytest.fixture(autouse=True)
def connected(make_settings):
    connection.connect(make_settings())
    connection.create_indexes()


def add(collection, count=1, **fields):
    rows = [{"_id": ObjectId(), **fields} for _ in range(count)]
    mongoengine.get_db()[collection].insert_many(rows)
    return rows[0]["_id"]


def found(word, channels=None):
    return set(searching.sessions_with([word], channels)[0])


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
    assert searching.sessions_with(["hopper"], None)[1] == more


def test_as_many_as_are_looked_at_are_found():
    sessions = [{"_id": ObjectId(), "title": "hopper"} for _ in range(MOST_MATCHES)]
    mongoengine.get_db().sessions.insert_many(sessions)
    assert found("hopper") == {one["_id"] for one in sessions}


def test_people_who_were_merged_count_as_more_by_those_that_match():
    add("contacts", MOST_MATCHES - 2, name="hopper")
    ada, countess, lady = (add("contacts", name=name) for name in ("hopper", "hopper", "somebody else"))
    groups.link(str(countess), str(ada))
    groups.link(str(lady), str(ada))
    assert searching.sessions_with(["hopper"], None)[1]
