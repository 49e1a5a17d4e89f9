"""Chats are read over indexes, however many sessions and messages there are."""

from datetime import timedelta

import pytest
from bson import ObjectId

from gateway.core.participant import chat_user
from gateway.store import chats, contacts
from tests.conftest import TEN

ALICE = chat_user("web", "alice", email="ada@example.com")


@pytest.fixture
def mine(db):
    """Somebody with a contact, among many sessions of others."""
    contact = contacts.resolve(ALICE, TEN)
    rows = [
        {
            "keys": [f"chat|web|chat:web:{number}"],
            "channel_id": "chat:web",
            "communication_type": "chat",
            "status": "active",
            "first_message_at": TEN,
            "last_message_at": TEN + timedelta(seconds=number),
        }
        for number in range(500)
    ]
    rows[7] |= {"keys": ["chat|web|chat:web:alice"]}
    rows[8] |= {"contact_id": ObjectId(contact.id)}
    db.sessions.insert_many(rows)
    db.messages.insert_many(
        {"_id": f"{row['_id']}:{number}", "session_id": row["_id"], "channel_id": "chat:web",
         "communication_type": "chat", "direction": "inbound", "createdAt": TEN + timedelta(seconds=number)}
        for row in rows[:20] for number in range(20)
    )  # fmt: skip
    return chats.whose(ALICE, "web", "chat:web", None)


def looked_at(db, collection, query, **more):
    command = {"find": collection, "filter": query} | more
    stats = db.command("explain", command, verbosity="executionStats")["executionStats"]
    return stats["totalDocsExamined"]


def test_somebodys_sessions_are_found_by_their_keys_and_contact(db, mine):
    assert len(chats.ids_of(mine)) == 2
    newest_first = {"last_message_at": -1, "_id": -1}
    on_the_site = chats.whose(ALICE, "web", "chat:web", frozenset({"chat:web"}))
    for theirs in (mine, on_the_site):
        assert looked_at(db, "sessions", theirs.matching(), sort=newest_first) <= 4
    one = chats.ids_of(mine)[0]
    assert looked_at(db, "sessions", {"_id": ObjectId(one)} | mine.matching()) == 1


def test_a_page_of_messages_reads_little_more_than_itself(db, mine):
    ids = chats.ids_of(mine)
    query = chats._messages(ids, None) | {"createdAt": {"$lt": TEN + timedelta(seconds=15)}}
    assert looked_at(db, "messages", query, sort={"createdAt": -1}, limit=5) <= 12
    said = chats.said(ids, None, limit=5, before=TEN + timedelta(seconds=15))
    assert len(said.messages) == 6  # two of the same moment are never torn apart
    assert said.earlier == said.messages[0]["createdAt"]


def test_a_look_for_news_reads_the_last_moments_alone(db, mine):
    (session_id, *_) = chats.ids_of(mine)
    since = {"createdAt": {"$gt": TEN + timedelta(seconds=17)}}
    assert looked_at(db, "messages", chats._messages([session_id], None) | since, sort={"createdAt": 1}) == 2


def test_whoever_is_limited_to_other_channels_finds_nothing(mine):
    limited = chats.whose(ALICE, "web", "chat:web", frozenset({"sms:+1"}))
    assert chats.ids_of(limited) == []
    assert chats.find(chats.ids_of(mine)[0], limited) is None
