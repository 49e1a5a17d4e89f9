"""Chats in the console: who they are with, what they say of themselves, and an answer that reaches their page."""

import pytest

from gateway.store import api_keys
from tests.api.chatting import Visitor
from tests.conftest import TEN


@pytest.fixture
def alice(app):
    key = api_keys.add("site", ["write"], TEN, by="a test")[1]
    named = {"user_id": "4711", "email": "ada@example.com", "name": "Ada Example"}
    return Visitor(app.test_client(), key, named)


def test_a_chat_shows_who_it_is_with_and_where(console, alice):
    session_id = alice.say("Are you open?", metadata={"page": "/hours"})["session_id"]
    page = console.page(f"/admin/sessions/{session_id}")
    assert "Chat with Ada Example" in page
    assert "On the site" in page
    assert '<bdi>4711</bdi> <span class="muted">on web</span>' in page
    assert "mailto:ada@example.com" in page
    assert "email:ada" not in page
    assert "Sent along" in page
    assert "To <bdi>4711</bdi> from <bdi>web</bdi>" in page
    assert "4711" in console.page("/admin/?type=chat")


def test_an_answer_from_the_console_is_delivered_to_the_page(console, alice, clock, db):
    session_id = alice.say()["session_id"]
    path = f"/admin/sessions/{session_id}"
    clock.tick(5)
    written = console.post(f"{path}/messages", form_on=path, nonce="a" * 32, text="A person here", kind="reply")
    assert written.status_code == 302
    del alice.named["name"]
    assert alice.history()[-1] == "A person here"
    assert db.messages.find_one({"content": "A person here"})["status"] == "delivered"
    assert db.outbox.count_documents({}) == 0
    assert "delivered" in console.page(path)


def test_an_address_nobody_proved_is_shown_as_what_it_is(make_app, console):
    app = make_app(chat={"legacy_auth": True})
    told = Visitor(app.test_client(), named={"user_id": "guest", "email": "bob@example.org"}).say("Hello")
    page = console.page(f"/admin/sessions/{told['session_id']}")
    assert "Says their e-mail is" in page
    assert "(not proved)" in page


def test_a_visitor_has_a_short_name(alice, console):
    told = alice.say(user_id="visitor-5f0c2a91b3d44e17", email=None, name=None)
    assert "Chat with visitor 5f0c2a" in console.page(f"/admin/sessions/{told['session_id']}")


def test_a_chats_channel_has_no_pace(console, alice):
    alice.say()
    page = console.page("/admin/operations/channels/chat:web")
    assert "Idle threshold" in page
    assert "Segments a second" not in page
