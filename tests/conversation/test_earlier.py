"""What responders are told of before: the session, or all that was said with the person, and never somebody else's."""

from datetime import timedelta
from types import SimpleNamespace

import mongoengine
import pytest

from gateway.conversation import operators
from gateway.conversation.merging import merge, unmerge
from gateway.core.replies import Reply
from gateway.store import api_keys, histories, people
from tests.api.chatting import Visitor
from tests.conftest import TEN, Twilio
from tests.conversation.worker import Worker, slow_responder

ADA, BOB, LINE, ADDRESS = "+15558675310", "+15558675399", "+15017122661", "ada@example.com"
OFFICE = "+15558675300"


@pytest.fixture
def make_scene(make_app, clock, live_db):
    """A gateway that keeps what its responder was told of before: (channel, content), oldest first."""
    with_responders = []

    def make(**given):
        app = make_app(**({"reply": {"history": "contact", "debounce_seconds": 0}} | given))
        scene = SimpleNamespace(app=app, clock=clock, db=live_db, twilio=Twilio(app.test_client()), told=[])
        scene.worker, scene.runtime = Worker(app, clock), app.extensions["gateway"]

        def respond(turn):
            scene.told.append([(one.communication_type, one.content) for one in turn.history])
            scene.turn = turn
            return Reply(f"re {turn.content}")

        responding = slow_responder(app, respond)
        responding.__enter__()
        with_responders.append(responding)
        return scene

    yield make
    for responding in with_responders:
        responding.__exit__(None, None, None)


def say(scene, body, *, by="sms", number=ADA):
    """Say something in a session of its own, and have it answered; gives what the responder was told of before."""
    scene.clock.tick(3600)
    if by == "sms":
        scene.twilio.sms(body, From=number)
    elif by == "whatsapp":
        scene.twilio.whatsapp(body, From=f"whatsapp:{number}", WaId=number[1:])
    else:
        by.say(body, wait=0)
    scene.worker.run(after=1)
    return scene.told[-1]


def id_of(scene, number):
    return str(scene.db.contacts.find_one({"phones": number})["_id"])


def test_the_persons_other_sessions_and_channels_by_date_and_nothing_private(make_scene):
    scene = make_scene()
    assert say(scene, "one") == []
    session = str(scene.db.sessions.find_one()["_id"])
    operators.add_note(scene.runtime, session, "A secret of ours", "eve", message_id="note:1")
    say(scene, "Somebody else", number=BOB)
    assert say(scene, "two", by="whatsapp") == [("sms", "one"), ("sms", "re one")]
    assert say(scene, "three") == [("sms", "one"), ("sms", "re one"), ("whatsapp", "two"), ("whatsapp", "re two")]
    assert scene.turn.history[0].session_id == session
    assert scene.turn.history[-1].channel_id.startswith("whatsapp:")


def test_no_more_than_was_asked_for_and_nothing_older_than_the_setting(make_scene):
    scene = make_scene(reply={"history": "contact", "history_days": 1, "debounce_seconds": 0})
    say(scene, "old")
    scene.clock.tick(23 * 3600)
    for number in range(12):
        told = say(scene, str(number))
        assert len(told) <= 20
        assert ("sms", "old") not in told
    assert told[-1] == ("sms", "re 10")


@pytest.mark.parametrize("given", [{}, {"history": "session"}])
def test_the_session_alone_unless_the_setting_says_otherwise(make_scene, given):
    scene = make_scene(reply={"debounce_seconds": 0} | given)
    say(scene, "one")
    assert say(scene, "two") == []


def test_what_was_merged_is_one_history_and_what_was_parted_is_two(make_scene):
    scene = make_scene()
    say(scene, "Ada here")
    say(scene, "Bob here", number=BOB)
    merge(scene.runtime, id_of(scene, ADA), id_of(scene, BOB), by="eve")
    told = say(scene, "Who am I?", number=BOB)
    assert [content for _, content in told] == ["Ada here", "re Ada here", "Bob here", "re Bob here"]
    person = people.get(id_of(scene, BOB))
    read = [row["content"] for row in histories.page(person.members, None, limit=50)]
    assert read == ["re Who am I?", "Who am I?", *reversed([content for _, content in told])]
    unmerge(scene.runtime, id_of(scene, BOB), by="eve")
    assert [content for _, content in say(scene, "And now?", number=ADA)] == ["Ada here", "re Ada here"]


def test_what_many_people_write_by_has_no_history_and_is_in_nobodys(make_scene):
    scene = make_scene(contacts={"shared": OFFICE})
    say(scene, "A colleague", number=OFFICE)
    assert say(scene, "Another colleague", number=OFFICE) == []
    say(scene, "Ada here")
    merge(scene.runtime, id_of(scene, ADA), id_of(scene, OFFICE), by="eve")
    assert say(scene, "Again")[:2] == [("sms", "Ada here"), ("sms", "re Ada here")]
    assert all("olleague" not in content for told in scene.told for _, content in told)


def test_a_deleted_session_is_told_to_nobody(make_scene):
    scene = make_scene()
    say(scene, "Forget this")
    scene.db.sessions.update_one({}, {"$set": {"deleted": {"at": TEN, "by": "eve"}}})
    assert say(scene, "Hello") == []


@pytest.mark.parametrize("limited", [True, False])
def test_a_stranger_who_claims_somebodys_address_reads_nothing_of_theirs(make_scene, limited):
    """The page says so, or a site's server that does not see Ada: in the chat, the API and for the responder."""
    scene = make_scene(chat={"legacy_auth": True})
    say(scene, "Ada's secret")
    owner = api_keys.add("all", ["admin"], TEN, by="a test")[1]
    ask = scene.app.test_client()
    headers = {"Authorization": f"Bearer {owner}"}
    ada = f"/api/v1/contacts/{id_of(scene, ADA)}"
    assert ask.patch(ada, json={"emails": [ADDRESS]}, headers=headers).status_code == 200
    site = api_keys.add("site", ["write"], TEN, by="a test", channels=["chat:web"])[1] if limited else ""
    stranger = Visitor(scene.app.test_client(), site, {"user_id": "mallory", "email": ADDRESS})
    for _ in range(2):
        told = say(scene, "What did I say before?", by=stranger)
        assert all("secret" not in content for _, content in told)
        assert all(by == "chat" for by, _ in told)
    assert "secret" not in str(stranger.history())
    assert "secret" not in stranger.get("/sessions").text
    mallory = scene.db.contacts.find_one({"external_ids": "chat:web:mallory"})
    told = ask.get(f"/api/v1/contacts/{mallory['_id']}/messages", headers=headers)
    assert "secret" not in told.text
    assert ask.get(ada, headers=headers).json["emails"] == [ADDRESS]
    if limited:
        assert ask.get(ada, headers={"Authorization": f"Bearer {site}"}).status_code == 404
    # Confirmed by somebody, it is all theirs.
    claim = ask.get(f"/api/v1/contacts/{mallory['_id']}", headers=headers).json["claims"][0]
    where = f"/api/v1/contacts/{mallory['_id']}/claims/{claim['id']}/confirm"
    assert ask.post(where, headers=headers).status_code == 200
    assert ("sms", "Ada's secret") in say(scene, "And now?", by=stranger)


def test_what_a_responder_is_told_is_read_over_indexes(make_scene):
    scene = make_scene()
    say(scene, "one")
    one = scene.db.sessions.find_one()
    filler = [{"_id": f"x{n}", "session_id": one["contact_id"], "createdAt": TEN} for n in range(300)]
    scene.db.messages.insert_many(filler)
    wanted = {"session_id": {"$in": [one["_id"]]}, "createdAt": {"$gte": TEN, "$lte": TEN + timedelta(days=1)}}
    find = {"find": "messages", "filter": wanted, "sort": {"createdAt": -1}, "limit": 20}
    stats = mongoengine.get_db().command({"explain": find, "verbosity": "executionStats"})["executionStats"]
    assert stats["totalDocsExamined"] == stats["nReturned"] == 2
    wanted = people.theirs([str(one["contact_id"])], None) | {"last_message_at": {"$gte": TEN}}
    plan = str(scene.db.sessions.find(wanted).sort("last_message_at", -1).explain()["queryPlanner"])
    assert "'contact'" in plan
