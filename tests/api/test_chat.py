"""Conversations from a website: the same sessions, decisions and answers as everywhere."""

import threading

import mongoengine
import pytest

from gateway.conversation import deleting, operators, outlook, regroup, send
from gateway.core.participant import address
from gateway.store import api_keys, channels
from tests.api.chatting import Visitor
from tests.api.conftest import problem
from tests.conftest import TEN

UNKNOWN = "0123456789abcdef01234567"


@pytest.fixture
def key(app):
    return api_keys.add("site", ["write"], TEN, by="a test")[1]


@pytest.fixture
def site(app, key):
    """The server of a website, which speaks for any of its users."""
    return lambda user_id="alice", **named: Visitor(app.test_client(), key, {"user_id": user_id} | named)


@pytest.fixture
def alice(site):
    return site()


def test_a_first_message_opens_a_session_and_gets_the_answer(alice, db):
    told = alice.say("Are you open?")
    assert (told["http"], told["content"], told["message_type"]) == (200, "Are you open?", "assistant")
    assert (told["session_state"], told["metadata"]["sender"]) == ("created", "ai")
    assert told["in_reply_to"] == told["user_message"]["id"]
    assert told["user_message"]["metadata"]["decision"]["kind"] == "created"
    session = db.sessions.find_one()
    assert (session["communication_type"], session["channel_id"]) == ("chat", "chat:web")
    assert (session["title"], session["status"], session["message_count"]) == ("Chat with alice", "active", 2)
    assert session["metadata"]["fromNumber"] is None
    assert str(session["_id"]) == told["session_id"]


def test_what_is_stored_is_delivered(alice, db):
    alice.say()
    answer = db.messages.find_one({"direction": "outbound"})
    assert (answer["status"], answer["status_history"][0]["status"]) == ("delivered", "delivered")
    assert "segments" not in answer["metadata"]
    assert db.outbox.count_documents({}) == 0


def test_the_idle_threshold_decides_whatever_session_is_named(alice, clock):
    first = alice.say()
    clock.tick(300)
    reused = alice.say(session=first["session_id"])
    assert (reused["session_id"], reused["session_state"]) == (first["session_id"], "reused")
    clock.tick(300.001)
    expired = alice.say(session=first["session_id"])
    assert expired["session_id"] != first["session_id"]
    assert expired["session_state"] == "expired"
    assert expired["user_message"]["metadata"]["decision"]["kind"] == "rolled_over"


def test_a_chat_has_a_threshold_of_its_own(make_app, clock):
    app = make_app(sessions={"idle_seconds_by_type": {"chat": 60}})
    alice = Visitor(app.test_client(), api_keys.add("site", ["write"], TEN, by="a test")[1], {"user_id": "alice"})
    first = alice.say()
    clock.tick(61)
    assert alice.say()["session_id"] != first["session_id"]


@pytest.mark.parametrize("named", ["new", UNKNOWN, "7b0a-of-an-old-front-end"])
def test_an_unknown_session_goes_through_the_finder(alice, clock, named):
    first = alice.say(session=named)
    clock.tick(60)
    second = alice.say(session=named)
    assert (first["session_state"], second["session_state"]) == ("created", "reused")
    assert first["session_id"] == second["session_id"]


def test_a_session_from_before_a_restart_goes_on(alice, make_app, key, clock):
    first = alice.say("Before")
    clock.tick(100)
    again = Visitor(make_app().test_client(), key, {"user_id": "alice"})
    told = again.say("After", session=first["session_id"])
    assert (told["session_id"], told["session_state"]) == (first["session_id"], "restored")
    assert again.history() == ["Before", "Before", "After", "After"]


def test_a_session_that_idleness_closed_goes_on_while_it_is_in_time(alice, clock, db):
    first = alice.say()
    closed = {"status": "closed", "closed_reason": "idle", "closed_at": TEN}
    db.sessions.update_one({}, {"$set": closed, "$unset": {"open_keys": ""}})
    clock.tick(200)
    told = alice.say(session=first["session_id"])
    assert (told["session_id"], told["session_state"]) == (first["session_id"], "reused")
    assert db.sessions.find_one()["status"] == "active"


def test_what_a_person_closed_is_over(alice, clock):
    first = alice.say()
    assert not alice.put(f"/sessions/{first['session_id']}", is_active=False).json["is_active"]
    clock.tick(1)
    told = alice.say(session=first["session_id"])
    assert told["session_state"] == "expired"
    assert told["session_id"] != first["session_id"]
    assert problem(alice.put(f"/sessions/{first['session_id']}", is_active=True), 409, "conflict")


def test_messages_are_told_apart_by_id_and_never_by_text(alice, db):
    first, second = alice.say("yes", id="1"), alice.say("yes", id="2")
    assert first["in_reply_to"] != second["in_reply_to"]
    again = alice.say("yes", id="2")
    assert {name: again[name] for name in ("id", "content", "in_reply_to", "session_id")} == {
        name: second[name] for name in ("id", "content", "in_reply_to", "session_id")
    }
    assert db.messages.count_documents({}) == 4
    assert db.sessions.find_one()["message_count"] == 4
    assert again["user_message"]["metadata"]["client_id"] == "2"


def test_the_ids_of_two_users_have_nothing_to_do_with_each_other(site, db):
    assert site("alice").say("mine", id="1")["content"] == "mine"
    assert site("bob").say("his", id="1")["content"] == "his"
    assert db.sessions.count_documents({}) == 2


def test_64_first_messages_at_once_are_one_session(make_app, key):
    app = make_app(reply={"responder": "echo", "hourly_limit": 0})
    db = mongoengine.get_db()
    start = threading.Barrier(16)

    def write(number):
        client = app.test_client()
        start.wait()
        for more in range(4):
            Visitor(client, key, {"user_id": "alice"}).say(f"{number} {more}", id=f"{number}-{more}")

    racers = [threading.Thread(target=write, args=(number,)) for number in range(16)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert db.sessions.count_documents({}) == 1
    assert db.sessions.find_one()["message_count"] == db.messages.count_documents({}) == 128
    assert db.contacts.count_documents({}) == 1


def test_one_message_sent_many_times_at_once_is_one(app, key, db):
    start, told = threading.Barrier(8), []

    def write():
        client = app.test_client()
        start.wait()
        told.append(Visitor(client, key, {"user_id": "alice"}).say("once", id="1")["id"])

    racers = [threading.Thread(target=write) for _ in range(8)]
    for racer in racers:
        racer.start()
    for racer in racers:
        racer.join()
    assert len(set(told)) == 1
    assert db.messages.count_documents({}) == 2


def test_a_proved_address_is_one_person_on_two_devices(site, db, clock):
    first = site("phone", email="ada@example.com").say("From the phone")
    clock.tick(400)
    site("laptop").say("Who I am is not known here yet")
    clock.tick(400)
    laptop = site("laptop", email="Ada@example.com")
    assert laptop.say("From the laptop")["session_id"] != first["session_id"]
    assert db.contacts.count_documents({"merged_into": {"$exists": True}}) == 1  # two, until both had the address
    tablet = site("tablet", email="ada@example.com")
    clock.tick(10)
    assert tablet.say("Hi")["session_state"] == "reused"
    assert "From the phone" in tablet.history()
    assert "From the laptop" in tablet.history()
    assert "Who I am is not known here yet" in tablet.history()


def test_two_devices_with_a_proved_address_share_a_contact(site, db):
    site("phone", email="ada@example.com").say("From the phone")
    site("laptop", email="ada@example.com").say("From the laptop")
    (contact,) = db.contacts.find()
    assert contact["emails"] == ["ada@example.com"]
    assert set(contact["external_ids"]) == {"chat:web:phone", "chat:web:laptop", "email:ada@example.com"}
    assert db.sessions.count_documents({}) == 1
    # Neither says the address any more, and both see all of it.
    assert len(site("phone").history()) == len(site("laptop").history()) == 4


def test_earlier_pages_go_over_all_sessions(alice, clock):
    said = []
    for number in range(6):
        alice.say(f"message {number}")
        said += [f"message {number}"] * 2
        clock.tick(200 if number % 2 else 400)
    last = alice.get("/sessions").json["items"][0]
    whole = alice.get(f"/sessions/{last['id']}").json
    assert whole["earlier"]
    before = alice.get("/history", before=whole["earlier"], limit=3).json
    pages = [[message["content"] for message in whole["messages"]]]
    while True:
        pages.insert(0, [message["content"] for message in before["items"]])
        if not before["next_cursor"]:
            break
        before = alice.get("/history", before=before["next_cursor"], limit=3).json
    assert [text for page in pages for text in page] == said
    assert all(len(page) <= 4 for page in pages)
    assert alice.history(before=whole["messages"][0]["id"]) == said[: -len(whole["messages"])]


def test_a_session_can_be_had_before_anything_is_said(alice, clock, db):
    opened = alice.post("/sessions", session_name="Delivery", context={"order": 7})
    assert (opened.status_code, opened.json["session_state"]) == (201, "created")
    assert opened.headers["Location"].endswith(opened.json["id"])
    assert (opened.json["session_name"], opened.json["context"]) == ("Delivery", {"order": 7})
    clock.tick(100)
    again = alice.post("/sessions")
    assert (again.status_code, again.json["session_state"], again.json["id"]) == (200, "reused", opened.json["id"])
    told = alice.say(session=opened.json["id"])
    assert (told["session_id"], told["session_state"]) == (opened.json["id"], "reused")
    another = alice.post("/sessions", new=True)
    assert another.status_code == 201
    assert another.json["id"] != opened.json["id"]
    assert db.sessions.count_documents({"status": "active"}) == 1


def test_an_empty_session_waits_a_day_for_its_first_message(alice, clock, db):
    from gateway.store import settling

    alice.post("/sessions")
    settling.drop_empty(TEN.replace(hour=12))
    assert db.sessions.count_documents({}) == 1
    settling.drop_empty(TEN.replace(day=3))
    assert db.sessions.count_documents({}) == 0


def test_a_session_is_named_and_described(alice, db):
    session_id = alice.say()["session_id"]
    db.sessions.update_one({}, {"$set": {"context": {"flow": {"name": "booking"}, "old": 1}}})
    changed = alice.put(f"/sessions/{session_id}", session_name="My  order", context={"page": {"a.b": "$x"}, "flow": 2})
    assert (changed.json["session_name"], changed.json["context"]) == ("My order", {"page": {"a\uff0eb": "$x"}})
    assert db.sessions.find_one()["context"]["flow"] == {"name": "booking"}


def test_a_deleted_session_is_gone_and_archived(alice, clock, db):
    session_id = alice.say()["session_id"]
    clock.tick(1)
    assert alice.delete(f"/sessions/{session_id}").status_code == 204
    problem(alice.get(f"/sessions/{session_id}"), 404, "not_found")
    assert alice.get("/sessions").json["items"] == []
    assert alice.history() == []
    assert db.sessions.find_one()["status"] == "archived"
    clock.tick(1)
    told = alice.say(session=session_id)
    assert (told["session_state"], told["session_id"] != session_id) == ("expired", True)
    clock.tick(300.001)
    assert alice.say()["session_state"] == "created"


@pytest.mark.parametrize("deed", ["archive", "delete", "merge"])
def test_a_page_whose_session_is_gone_goes_on_in_another(app, alice, site, clock, deed):
    runtime = app.extensions["gateway"]
    first = alice.say()["session_id"]
    clock.tick(1)
    named = alice.post("/sessions", new=True).json["id"]
    clock.tick(1)
    alice.say(session=named)
    clock.tick(1)
    if deed == "archive":
        operators.archive(runtime, named, "ops")
    elif deed == "delete":
        deleting.delete(runtime, named, "ops")
    else:
        regroup.merge(runtime, named, by="ops")
    clock.tick(1)
    problem(alice.get(f"/sessions/{named}"), 404, "not_found")
    problem(site("bob").post(f"/sessions/{named}/messages", content="Hi"), 404, "not_found")
    told = alice.say("Are you there?", session=named)
    assert (told["http"], told["session_state"]) == (200, "expired")
    assert (told["session_id"] == first) == (deed == "merge")
    assert alice.history()[-1] == "Are you there?"


def test_sessions_are_listed_by_page(alice, clock):
    ids = []
    for _ in range(5):
        ids.insert(0, alice.say()["session_id"])
        clock.tick(301)
    found, cursor = [], ""
    while cursor is not None:
        page = alice.get("/sessions", limit=2, cursor=cursor).json
        found += [session["id"] for session in page["items"]]
        cursor = page["next_cursor"]
    assert found == ids


def test_the_older_pair_of_calls(alice, clock):
    first = alice.post("/message", content="Hello").json
    clock.tick(1)
    second = alice.post("/message", content="Again", session_id=first["session_id"]).json
    assert second["session_id"] == first["session_id"]
    assert alice.history() == ["Hello", "Hello", "Again", "Again"]


def test_an_operators_answer_is_delivered_and_seen(app, alice, clock, db):
    session_id = alice.say()["session_id"]
    clock.tick(1)
    seen = alice.get(f"/sessions/{session_id}/messages").json
    runtime = app.extensions["gateway"]
    assert outlook.outlook(runtime, session_id).refusal == ""
    draft = send.Draft("A person here", author="ops@example.com")
    send.reply(runtime, session_id, draft, message_id="op1")
    send.reply(runtime, session_id, draft, message_id="op1")
    (told,) = alice.get(f"/sessions/{session_id}/messages", after=seen["cursor"]).json["items"]
    assert (told["content"], told["message_type"]) == ("A person here", "assistant")
    assert (told["metadata"]["sender"], told["metadata"]["status"]) == ("agent", "delivered")
    assert "ops@example.com" not in str(told)
    assert db.outbox.count_documents({}) == 0


def test_an_operator_may_write_first_where_nothing_was_said(app, alice):
    session_id = alice.post("/sessions").json["id"]
    send.reply(app.extensions["gateway"], session_id, send.Draft("Can I help?"), message_id="op1")
    assert [one["content"] for one in alice.get(f"/sessions/{session_id}").json["messages"]] == ["Can I help?"]


def test_a_private_note_is_seen_by_nobody_outside(app, alice):
    session_id = alice.say()["session_id"]
    operators.add_note(app.extensions["gateway"], session_id, "a difficult one", "ops", message_id="n1")
    assert "difficult" not in alice.get(f"/sessions/{session_id}").text + alice.get("/history").text


def test_guards_hold_in_a_chat(make_app, clock):
    app = make_app(reply={"responder": "echo", "hourly_limit": 2})
    alice = Visitor(app.test_client(), api_keys.add("site", ["write"], TEN, by="a test")[1], {"user_id": "alice"})
    answers = [alice.say(f"{number}") for number in range(3)]
    assert [told["http"] for told in answers] == [200, 200, 202]
    assert answers[2]["reply"] == "none"


def test_stop_is_a_word_like_any_other_in_a_chat(alice, db):
    assert alice.say("STOP")["content"] == "STOP"
    assert db.contacts.find_one()["opted_out"] == {}


def test_what_is_no_message_is_refused(alice, db):
    for wrong in ({"content": ""}, {"content": " \n "}, {"content": "x" * 8193}, {"content": "a\0b"}, {"id": "a b"},
                  {"message_type": "assistant"}, {"metadata": {"a": "x" * 5000}}, {"user_id": "a b"}, {"other": 1},
                  {"email": "nobody"}):  # fmt: skip
        told = alice.post("/sessions/new/messages", **({"content": "Hi"} | wrong))
        assert problem(told, 422, "wrong_value")["field"].startswith("body.")
    assert alice.put("/sessions/x", context={"a": "x" * 17_000}).status_code == 422
    assert db.messages.count_documents({}) == 0


def test_anything_that_is_json_can_be_kept_beside_a_message(alice):
    odd = {"$set": {"a.b": [1, 2.5, None, True, 2**70, {"": {"x": "\x00"}}]}, "deep": {}}
    inner = odd["deep"]
    for _ in range(60):
        inner["d"] = {}
        inner = inner["d"]
    assert alice.say(metadata=odd)["user_message"]["metadata"]["client"]["\uff04set"]


def test_the_channel_of_a_site_is_made_once(app, alice, site):
    alice.say()
    assert channels.find("chat", address("web")).id == "chat:web"
    problem(site(channel="shop").post("/sessions"), 404, "not_found")
    assert mongoengine.get_db().channels.count_documents({}) == 1
