"""Writing to somebody on a website: from a program and from the console, where each sees what the other said."""

import pytest

from tests.api.chatting import Visitor
from tests.api.conftest import problem


@pytest.fixture
def alice(app, program):
    return Visitor(app.test_client(), program("write").key, {"user_id": "alice"})


@pytest.fixture
def session_id(alice, clock):
    told = alice.say()["session_id"]
    clock.tick(1)
    return told


def heard(alice, session_id):
    """Give what somebody who is no bot said, and what is known of it."""
    items = alice.get(f"/sessions/{session_id}/messages").json["items"]
    return [(one["content"], one["metadata"]) for one in items if one["metadata"]["sender"] == "agent"]


def test_a_program_writes_once_and_the_page_shows_it(writer, alice, session_id, db):
    said = {"text": "A program here", "media": ["https://example.com/map.png"]}
    sent = [
        writer.post(f"/sessions/{session_id}/messages", json=said, headers={"Idempotency-Key": "k"}) for _ in range(2)
    ]
    assert [one.status_code for one in sent] == [202, 202]
    assert sent[0].json == sent[1].json
    assert sent[0].json["session_id"] == session_id
    (told,) = sent[0].json["messages"]
    assert (told["status"], told["outbox"]) == ("delivered", None)
    ((content, metadata),) = heard(alice, session_id)
    assert content == "A program here"
    assert (metadata["status"], metadata["media"]) == ("delivered", ["https://example.com/map.png"])
    assert writer.get(f"/messages/{told['id']}").json["status_history"][0]["status"] == "delivered"
    assert writer.get(f"/sessions/{session_id}").json["message_count"] == 3
    assert db.outbox.count_documents({}) == 0


def test_a_chat_has_no_templates(writer, alice, session_id, db):
    template = {"content_sid": f"HX{'0' * 32}", "variables": {}}
    refused = writer.post(f"/sessions/{session_id}/messages", json={"template": template})
    assert "templates" in problem(refused, 409, "cannot_send")["detail"]
    assert heard(alice, session_id) == []
    assert db.messages.count_documents({"status": "delivered", "sender": "agent"}) == 0


def test_a_key_of_another_channel_writes_to_nobody(program, alice, session_id):
    for path in ("messages", "notes", "close", "take-over"):
        limited = program("admin", channels=["sms:+15017122661"])
        problem(limited.post(f"/sessions/{session_id}/{path}", json={"text": "Hi"}), 404, "not_found")
    assert heard(alice, session_id) == []


def test_who_is_taken_over_hears_the_person_alone(writer, alice, session_id, clock):
    assert writer.post(f"/sessions/{session_id}/take-over").json["bot_off"] is True
    told = alice.say("Anybody?", session=session_id)
    assert (told["http"], told["reply"]) == (202, "none")
    clock.tick(1)
    writer.post(f"/sessions/{session_id}/messages", json={"text": "Me"})
    assert [content for content, _ in heard(alice, session_id)] == ["Me"]
    writer.post(f"/sessions/{session_id}/hand-back")
    assert alice.say("And now?", session=session_id)["http"] == 200


def test_a_user_id_is_rolled_over_like_a_number_and_written_to_in_their_session_alone(writer, alice, session_id, clock):
    asked = {"channel_id": "chat:web", "number": "alice"}
    assert writer.post("/rollovers", json=asked | {"number": "bob"}).json == {"closed": []}
    assert writer.post("/rollovers", json=asked).json == {"closed": [session_id]}
    clock.tick(1)
    assert alice.say("Next", session=session_id)["session_state"] == "expired"
    refused = writer.post("/messages", json={"channel_id": "chat:web", "to": "alice", "text": "Hi"})
    assert "a number" in problem(refused, 409, "cannot_send")["detail"]


def test_a_program_ends_deletes_and_finds_a_chat(writer, alice, session_id):
    assert writer.get("/sessions?type=chat&q=alice").json["items"][0]["id"] == session_id
    writer.post(f"/sessions/{session_id}/close")
    assert alice.get(f"/sessions/{session_id}").json["is_active"] is False
    assert writer.delete(f"/sessions/{session_id}").status_code == 204
    assert alice.get("/sessions").json["items"] == []
    assert alice.history() == []
