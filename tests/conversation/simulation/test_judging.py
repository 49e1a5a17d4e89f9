"""What a scenario finds wrong by itself, whatever its file expects."""

import mongoengine

from gateway.conversation.simulation.judging import Came, judge, judge_ending
from gateway.core.scenarios import Ending, ExpectedSession, Step
from tests.conftest import fixture


def told(twiml, *, duplicate):
    return {"path": "/webhooks/sms", "twiml": twiml, "decision": {"duplicate": duplicate, "session_id": "one"}}


def test_copies_are_stored_once_and_told_the_same():
    step = Step(1, "sms", 0, copies=2)
    right = Came(step, [told("a", duplicate=True), told("a", duplicate=False)])
    wrong = Came(step, [told("a", duplicate=False), told("b", duplicate=False)])
    assert list(judge(right, {})) == []
    assert [str(miss) for miss in judge(wrong, {})] == [
        "copies: expected one of them stored, got 2 stored",
        "copies: expected one answer to all of them, got 2 different answers",
    ]


def test_what_is_stored_in_the_end_is_compared_and_each_session_has_to_count_what_it_has(app, twilio):
    twilio.post("/webhooks/sms", fixture("sms/text"))
    (session_id,) = (str(row["_id"]) for row in mongoengine.get_db().sessions.find())
    expected = Ending(sessions=1, inbound=1, outbound=1, labelled={"one": ExpectedSession(2, "active", None)})
    assert list(judge_ending(expected, [session_id], {"one": session_id})) == []
    mongoengine.get_db().sessions.update_one({}, {"$set": {"message_count": 3, "status": "closed"}})
    assert [str(miss) for miss in judge_ending(expected, [session_id], {"one": session_id})] == [
        f"message_count: expected 2, as stored, got 3 in {session_id}",
        "session.one.status: expected active, got closed",
    ]
