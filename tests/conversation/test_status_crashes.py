"""kill -9 at each step of a delivery status, then Twilio delivers it again: all of it took effect, and once."""

import pytest

from gateway.conversation import queue
from gateway.store import callbacks, contacts, delivery, outbound, outbox, sessions
from tests.conftest import Twilio, fixture
from tests.conversation.conftest import LiveDatabase
from tests.conversation.test_crashes import _in_a_process_that_dies
from tests.conversation.worker import Worker

REFUSED, LOST, EARLY = "21610", "30008", "early"

STEPS = [
    (REFUSED, (delivery, "apply_status", "before")),
    (REFUSED, (delivery, "apply_status", "after")),
    (REFUSED, (contacts, "record_opt_out", "before")),
    (REFUSED, (contacts, "record_opt_out", "after")),
    (REFUSED, (sessions, "mark_opted_out", "after")),
    (LOST, (delivery, "apply_status", "after")),
    (LOST, (outbound, "insert", "before")),
    (LOST, (outbound, "insert", "after")),
    (LOST, (sessions, "count_only", "after")),
    (LOST, (outbox, "put", "before")),
    (LOST, (outbox, "put", "after")),
    (EARLY, (callbacks, "park", "before")),
    (EARLY, (callbacks, "park", "after")),
]


def told(app, what):
    """Tell what became of the answer to SM1: refused for good, lost on the way, or of a message not known yet."""
    status = fixture("status/undelivered") | {"MessageSid": "SMours", "MessageStatus": "undelivered"}
    path = "/webhooks/status?m=re:SM1"
    if what == EARLY:
        status, path = fixture("status/sent") | {"MessageSid": "SMunknown"}, "/webhooks/status"
    else:
        status["ErrorCode"] = what
    return Twilio(app.test_client()).post(path, status)


def written(app, clock, what):
    """Store an answer: in the webhook, or where it may be sent again, through the outbox."""
    Twilio(app.test_client()).sms("Hello", MessageSid="SM1")
    if what == LOST:
        worker = Worker(app, clock)
        live = LiveDatabase()
        live.messages.update_one({"_id": "re:SM1"}, {"$set": {"status": "sent", "provider_sid": "SMours"}})
        message = outbound.get("re:SM1")
        to = queue.address_of(live.messages.find_one({"_id": "SM1"})["metadata"])
        outbox.put(queue.row_of(message, to, worker.runtime.clock.now()))
        live.outbox.update_one({"_id": "re:SM1"}, {"$set": {"state": "done"}})


@pytest.mark.parametrize(("what", "step"), STEPS, ids=lambda given: given if isinstance(given, str) else given[1:])
def test_a_status_whose_writer_was_killed_takes_effect_with_the_redelivery(make_app, clock, live_db, what, step):
    app = make_app(reply={"responder": "echo"})
    written(app, clock, what)
    died = _in_a_process_that_dies(make_app, step, lambda child: told(child, what))
    app = make_app(reply={"responder": "echo"})
    assert died, "the step was never reached"
    for _ in range(2):
        assert told(app, what).status_code == 204
    if what == EARLY:
        assert live_db.callbacks.count_documents({"about": "SMunknown"}) == 1
        return
    answer = live_db.messages.find_one({"_id": "re:SM1"})
    assert (answer["status"], answer["provider_sid"], answer["error_code"]) == ("undelivered", "SMours", what)
    assert [entry["status"] for entry in answer["status_history"]].count("undelivered") == 1
    copies = live_db.messages.count_documents({"metadata.resendOf": "re:SM1"})
    assert copies == live_db.outbox.count_documents({"_id": "re:SM1~1"}) == (1 if what == LOST else 0)
    assert bool(live_db.contacts.find_one()["opted_out"]) is (what == REFUSED)
    stored = live_db.messages.count_documents({})
    if step[1] != "insert" and step[1] != "count_only":  # there the worker settles the count
        assert live_db.sessions.find_one()["message_count"] == stored
