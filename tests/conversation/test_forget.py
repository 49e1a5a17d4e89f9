"""A person is forgotten: nothing the database holds names them any more, but their STOP is still heeded."""

from datetime import timedelta

import bson
import mongoengine
import pytest
import structlog.testing

from gateway import clients
from gateway.conversation import emptying, send, upkeep, ways, work
from gateway.conversation import forget as forgetting
from gateway.conversation.redaction import TwilioRefuses
from gateway.core.participant import participant
from gateway.core.replies import Reply
from gateway.store import contacts, removal, retention, suppressions
from gateway.store import forgetting as stored
from tests.conftest import ACCOUNT, TEN, TOKEN, Twilio, fixture
from tests.conversation.conftest import Person
from tests.conversation.test_crashes import _assert_sessions_are_right, _in_a_process_that_dies
from tests.conversation.worker import Worker, slow_responder
from tests.stand_ins.twilio import Fault, TwilioStandIn

ADA, BOB, LINE = "+15558675310", "+15558675399", "+15017122661"


@pytest.fixture
def app(make_app):
    return make_app(reply={"responder": "echo", "debounce_seconds": 0})


@pytest.fixture
def worker(app, clock):
    return Worker(app, clock)


@pytest.fixture
def ada(app, clock):
    return Person(Twilio(app.test_client()), clock, "sms", ADA)


@pytest.fixture
def bob(app, clock, ada):
    return Person(ada.twilio, clock, "sms", BOB)


def forget(worker, clock, whom=ADA, **given):
    given.setdefault("wait", clock.tick)
    return forgetting.forget(worker.runtime, whom, **given)


def traces(*words):
    """Name the collections in which anything still holds one of these words."""
    found = set()
    for name in mongoengine.get_db().list_collection_names():
        for row in mongoengine.get_db()[name].find():
            if any(word.encode() in bson.encode({"row": row}) for word in words):
                found.add(name)
    return found


def test_nothing_names_a_forgotten_person_and_everybody_else_stays(app, worker, ada, bob, clock):
    for number, person in enumerate((ada, bob)):
        person.say(minutes=0, body=f"secret {number}")
        person.say(minutes=60, body=f"secret {number}")
    ada.twilio.post("/webhooks/sms", fixture("sms/mms_2media") | {"From": ADA, "Body": "secret 0"})
    ada.twilio.whatsapp("secret 0", From=f"whatsapp:{ADA}", WaId=ADA[1:])
    ada.twilio.call(From=ADA)
    ada.twilio.post("/webhooks/voice/status", fixture("voice/incoming") | {"CallSid": "CAlater", "From": ADA})
    before = mongoengine.get_db().sessions.count_documents({})
    done = forget(worker, clock, "+1 (555) 867-5310")
    assert (done.contacts, done.amount.sessions, done.suppressed) == (1, before - 2, 0)
    assert done.queued >= 1
    assert traces(ADA, ADA[1:], "secret 0") == set()
    assert traces(BOB) >= {"contacts", "sessions", "messages"}
    upkeep.settle(worker.runtime)
    _assert_sessions_are_right()


def test_a_preview_tells_the_same_and_changes_nothing(worker, ada, clock):
    ada.say(body="STOP")
    seen = forgetting.preview(ADA)
    assert traces(ADA) >= {"contacts", "sessions"}
    done = forget(worker, clock)
    assert (
        (seen.contacts, seen.amount, seen.suppressed)
        == (done.contacts, done.amount, done.suppressed)
        == (1, done.amount, 1)
    )


@pytest.mark.parametrize("whom", ["ada@example.com", "US.123", ADA])
def test_a_person_is_found_by_any_identity_with_whoever_was_merged_into_them(worker, ada, clock, whom):
    ada.say()
    people = mongoengine.get_db().contacts
    (contact,) = people.find()
    people.update_one({}, {"$set": {"emails": ["ada@example.com"], "external_ids": ["US.123"]}})
    people.insert_one({"phones": ["+15550000001"], "merged_into": contact["_id"]})
    assert forget(worker, clock, whom).contacts == 2
    assert traces(ADA, "ada@", "US.123", "+15550000001") == set()


def test_sessions_of_the_node_application_are_found_by_their_number(worker, ada, clock):
    mongoengine.get_db().sessions.insert_one(
        {"communication_type": "sms", "metadata": {"fromNumber": ADA}, "status": "closed", "createdAt": TEN}
    )
    assert forget(worker, clock).amount.sessions == 1
    assert traces(ADA) == set()


def test_who_said_stop_is_not_texted_when_they_are_known_again(app, worker, ada, clock):
    ada.say(body="STOP")
    assert forget(worker, clock).suppressed == 1
    assert traces(ADA) == set()
    with pytest.raises(ways.CannotSend, match="opted out"):
        send.send_text(worker.runtime, communication_type="sms", to=ADA, line=LINE, text="Hi", message_id="one")
    assert traces(ADA) == set()
    answer = ada.say(minutes=10, body="Hello")
    assert b"<Message" not in answer.data
    assert b"<Message" not in ada.say(minutes=11, body="Are you there?").data
    ada.say(minutes=12, body="START")
    assert b"Hello" in ada.say(minutes=13, body="Hello").data


def test_who_said_start_before_being_forgotten_again_is_answered(worker, ada, clock):
    ada.say(body="STOP")
    forget(worker, clock)
    ada.say(minutes=10, body="START")
    forget(worker, clock)
    assert suppressions.lines_of([ADA]) == ()
    assert b"Hello" in ada.say(minutes=20, body="Hello").data


def test_the_kept_stop_is_one_of_that_line_only(worker, ada, clock):
    ada.say(body="STOP")
    forget(worker, clock)
    assert contacts.opted_out_of(participant(ADA)) == (LINE,)
    assert contacts.opted_out_of(participant(BOB)) == ()


def test_what_arrives_while_a_person_is_forgotten_is_erased_or_is_a_beginning(worker, ada, clock):
    """A message that looked the contact up before it went must leave no session behind that names it."""
    ada.say(body="secret")
    arrived = []

    def wait(seconds):
        clock.tick(seconds)
        if len(arrived) < 3:
            arrived.append(True)
            ada.say(minutes=len(arrived), body="secret", sid=f"{len(arrived)}" * 34)
            clock.moment = TEN + timedelta(hours=len(arrived))

    forget(worker, clock, wait=wait)
    people = [row["_id"] for row in mongoengine.get_db().contacts.find()]
    assert mongoengine.get_db().sessions.count_documents({"contact_id": {"$nin": people}}) == 0
    assert mongoengine.get_db().sessions.count_documents({"retired": {"$exists": True}}) == 0
    _assert_sessions_are_right()


def test_an_answer_that_is_being_made_is_waited_for_and_erased(app, worker, ada, clock):
    """A model may take longer than any webhook, and what it says is stored when it has said it."""
    with slow_responder(app, lambda _turn: Reply("secret answer", responder="echo")):
        ada.say(body="question")
        clock.tick(5)
        work.queue_answers(worker.runtime)
        row = work.claim(worker.runtime)
        waits = []

        def wait(seconds):
            clock.tick(seconds)
            waits.append(seconds)
            if len(waits) == 3:
                mongoengine.get_db().messages.update_one({"_id": row.about}, {"$set": {"answer.state": "queued"}})
                work.do(worker.runtime, row)
                assert traces("secret answer") == {"messages"}

        forget(worker, clock, wait=wait)
    assert waits[1:3] == [1, 1]
    assert traces(ADA, "secret answer", "question") == set()


STEPS = [
    (suppressions, "keep", "after"),
    (retention, "retire", "after"),
    (removal, "delete_messages", "after"),
    (retention, "emptied", "after"),
    (stored, "delete_contacts", "before"),
    (stored, "delete_contacts", "after"),
    (retention, "drop", "after"),
]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: f"{step[2]} {step[1]}")
def test_a_second_command_completes_what_kill_9_left(make_app, worker, ada, clock, step):
    ada.say(body="STOP")
    ada.say(minutes=60, body="secret")
    assert _in_a_process_that_dies(make_app, step, lambda app: forget(Worker(app, clock), clock))
    worker = Worker(make_app(), clock)
    clock.tick(2 * emptying.LEASE.total_seconds())
    forget(worker, clock)
    assert traces(ADA, "secret") == set()
    assert contacts.opted_out_of(participant(ADA)) == (LINE,)


def test_texts_are_taken_out_of_twilio_and_a_refusal_leaves_the_person_here(make_app, clock):
    with TwilioStandIn(tokens={ACCOUNT: [TOKEN]}) as provider:
        app = make_app(twilio={"api_base_url": provider.url}, reply={"responder": "none"})
        worker = Worker(app, clock, sender=clients.build(app.extensions["gateway"].settings))
        Person(Twilio(app.test_client()), clock, "sms", ADA).say()
        provider.faults.append(Fault(status=400, code=20009, on="redact"))
        with pytest.raises(TwilioRefuses):
            forget(worker, clock, at_twilio=True)
        assert traces(ADA) >= {"contacts", "messages"}
        forget(worker, clock, at_twilio=True)
        assert len(provider.asked("POST", "/Messages/")) == 2
        assert traces(ADA) == set()


def test_the_log_line_names_nobody(worker, ada, clock):
    ada.say()
    with structlog.testing.capture_logs() as told:
        forget(worker, clock)
    assert [line["event"] for line in told] == ["contact_forgotten"]
    assert ADA[-7:] not in str(told)
