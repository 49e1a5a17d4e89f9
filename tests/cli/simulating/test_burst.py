"""`gateway simulate burst`: what is sent is looked up, and what is wrong is told."""

import mongoengine
import pytest

from gateway.conversation.simulation import burst, verifying

FEW = ("simulate", "burst", "--senders", "5", "--rate", "60", "--seconds", "0.5")


@pytest.fixture(autouse=True)
def impatient(monkeypatch):
    monkeypatch.setattr(verifying, "PATIENCE_SECONDS", 0)


def test_what_was_acknowledged_is_stored_once_in_the_right_sessions(served, gateway, told):
    served()
    done = told(*FEW, "--duplicates", "50", "--type", "whatsapp")
    assert (done["people"], done["webhooks"] - done["redelivered"], done["missed"]) == (5, 30, [])
    assert done["redelivered"] > 0
    assert list(done["answered"]) == ["200"]
    assert (done["stored"]["acknowledged"], done["stored"]["sessions"]) == (30, 5)
    assert mongoengine.get_db().messages.count_documents({"direction": "inbound"}) == 30
    shown = gateway(*FEW, "--max-p95", "0.001", code=1)
    assert "30 webhooks of 5 people" in shown
    assert "30 of 30 acknowledged messages are stored, in 5 sessions." in shown
    assert "ms, over 0" in shown


def test_what_is_lost_doubled_or_misplaced_is_told(served, gateway, monkeypatch):
    served()
    sent = burst.run

    def sabotaged(*arguments):
        done = sent(*arguments)
        messages = mongoengine.get_db().messages
        ids = sorted(done.acknowledged)
        first = messages.find_one({"_id": ids[0]})
        messages.insert_one(first | {"_id": "SMdoubled"})
        messages.update_one({"_id": ids[1]}, {"$set": {"session_id": mongoengine.get_db().sessions.insert_one(
            {"status": "active", "message_count": 1}).inserted_id}})  # fmt: skip
        messages.delete_one({"_id": ids[2]})
        return done

    monkeypatch.setattr(burst, "run", sabotaged)
    shown = gateway(*FEW, code=1)
    assert "1 were acknowledged and are not in MongoDB (see `gateway spool status`), first SM" in shown
    assert "1 messages are stored that nobody sent, or twice" in shown
    assert "1 people have other sessions than their pauses call for: 6 sessions instead of 5" in shown
    assert "sessions count other than they have" in shown


def test_ctrl_c_gives_the_summary_so_far(served, gateway, monkeypatch):
    served()
    waited = []

    def interrupted(*_):
        waited.append(1)
        if len(waited) > 10:
            raise KeyboardInterrupt

    monkeypatch.setattr(burst, "_wait", interrupted)
    shown = gateway(*FEW, code=130)
    assert "Interrupted: " in shown
    assert "as expected" in shown


def test_a_redelivery_that_is_told_something_else_is_told():
    done = burst.Burst(burst.Plan("sms", "+15017122661", 1, 1, 1))
    for sid, body in (("SM1", b"a"), ("SM2", b"a"), ("SM1", b"a"), ("SM2", b"b")):
        done.note(burst._Webhook(0, sid, "+15558675310", 0, twice=True), 200, 5.0, body, "")
    assert done.differing == {"SM2"}
    assert burst.percentile([4.0, 1.0, 3.0, 2.0], 0.5) == 3.0


def test_what_is_refused_is_counted_by_its_status(served, gateway, monkeypatch):
    served()
    monkeypatch.setenv("TWILIO_AUTH_TOKEN", "another-token")
    shown = gateway(*FEW, code=1)
    assert "30 were answered 403" in shown
    monkeypatch.setenv("PORT", "18995")
    assert "No gateway answers at http://127.0.0.1:18995" in gateway(*FEW, code=1)
    assert "0 is not in the range" in gateway("simulate", "burst", "--senders", "0", code=2)
