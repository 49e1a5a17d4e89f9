"""A backup that is brought back: what went out after it was made does not go out again."""

import mongoengine
import pytest

from gateway import clients
from gateway.conversation import restored, send, work
from gateway.core.replies import Reply
from tests.conftest import ACCOUNT, TOKEN, Twilio
from tests.conversation.conftest import Person
from tests.conversation.worker import Worker, slow_responder
from tests.stand_ins.twilio import TwilioStandIn

ADA, LINE = "+15558675310", "+15017122661"


@pytest.fixture
def provider(clock):
    with TwilioStandIn(tokens={ACCOUNT: [TOKEN]}, now=lambda: clock.now()) as provider:
        yield provider


@pytest.fixture
def worker(make_app, clock, provider):
    app = make_app(twilio={"api_base_url": provider.url}, reply={"responder": "echo"})
    return Worker(app, clock, sender=clients.build(app.extensions["gateway"].settings))


def backup():
    db = mongoengine.get_db()
    return {name: list(db[name].find()) for name in db.list_collection_names()}


def bring_back(kept):
    db = mongoengine.get_db()
    for name in db.list_collection_names():
        db[name].delete_many({})
        if kept.get(name):
            db[name].insert_many(kept[name])


def write(worker, text, message_id):
    send.send_text(worker.runtime, communication_type="sms", to=ADA, line=LINE, text=text, message_id=message_id)


def test_what_was_sent_after_the_backup_is_found_at_twilio_and_what_was_not_is_sent(worker, provider, clock):
    write(worker, "sent after the backup", "one")
    kept = backup()
    worker.run(after=5)
    bring_back(kept)
    write(worker, "never sent", "two")
    kept = backup()
    bring_back(kept)
    clock.tick(3600)
    assert restored.make_safe(worker.runtime).sends == 2
    assert restored.make_safe(worker.runtime).sends == 2
    for _ in range(5):
        worker.run(after=60)
    assert [message["body"] for message in provider.messages] == ["sent after the backup", "never sent"]
    one, two = (mongoengine.get_db().messages.find_one({"_id": name}) for name in ("one", "two"))
    assert [one["provider_sid"], two["provider_sid"]] == [message["sid"] for message in provider.messages]


def test_what_was_stored_and_in_no_row_yet_is_looked_up_too(worker, provider, clock):
    write(worker, "sent after the backup", "one")
    kept = backup()
    worker.run(after=5)
    bring_back(kept | {"outbox": []})
    clock.tick(3600)
    assert restored.make_safe(worker.runtime).sends == 1
    worker.run(after=60)
    assert len(provider.messages) == 1


@pytest.mark.parametrize("asked", [False, True], ids=["not asked yet", "in the outbox"])
def test_what_waited_for_an_answer_is_left_to_a_person(worker, provider, clock, asked):
    replies = iter(["the answer", "another answer"])
    ada = Person(Twilio(worker.app.test_client()), clock, "sms", ADA)
    with slow_responder(worker.app, lambda _turn: Reply(next(replies), responder="echo")):
        ada.say(body="question")
        if asked:
            clock.tick(5)
            work.queue_answers(worker.runtime)
        kept = backup()
        worker.run(after=5)
        bring_back(kept)
        (session_id,) = restored.make_safe(worker.runtime).sessions
        for _ in range(3):
            worker.run(after=60)
        assert [message["body"] for message in provider.messages] == ["the answer"]
    session = mongoengine.get_db().sessions.find_one()
    assert str(session["_id"]) == session_id
    assert session["needs_person"]["reason"] == "restored"
