"""Failed rows of the outbox in a person's hands: tried again without ever sending twice, or set aside."""

import mongoengine
import pytest

from gateway.conversation import failed
from gateway.conversation.failed import Done
from gateway.store import failures, media, outbox
from gateway.store.outbox import Row
from tests.conftest import TEN, Twilio, fixture
from tests.conversation.test_deliver import row, scene, server, stand_in, stored, text  # noqa: F401
from tests.stand_ins.twilio import Fault


@pytest.fixture
def given_up(scene):  # noqa: F811
    """A message whose fate nobody could find out; `is_there` says whether Twilio has it."""

    def make(*, is_there):
        made = scene(outbox={"max_tries": 2})
        made.provider.faults.append(Fault(status=503, code=20503, accept=is_there))
        made.provider.faults.extend(Fault(status=503, on="list") for _ in range(2))
        text(made)
        for _ in range(4):
            made.worker.run(after=120)
        # What Twilio has is only seen once its log can be read again.
        if row(made)["state"] == "done":
            pytest.fail("the row was not given up")
        return made

    return make


@pytest.fixture
def refused(scene):  # noqa: F811
    made = scene()
    made.provider.faults.append(Fault(status=400, code=21211))
    text(made)
    made.worker.run()
    assert (row(made)["state"], stored(made)["status"]) == ("failed", "failed")
    return made


def test_a_refused_message_goes_out_once_its_cause_is_mended(refused):
    assert failed.retry(refused.runtime, "ag:1", "ada") == Done.RETRIED
    assert (row(refused)["state"], stored(refused)["status"]) == ("waiting", "queued")
    assert "error_code" not in stored(refused)
    refused.worker.run(after=60)
    assert row(refused)["state"] == "done"
    assert len(refused.provider.messages) == 1
    assert stored(refused)["provider_sid"] == refused.provider.messages[0]["sid"]
    assert [entry["status"] for entry in stored(refused)["status_history"]][:3] == ["queued", "failed", "queued"]


def test_i9_a_retry_looks_up_a_message_that_may_have_gone_out(given_up):
    scene = given_up(is_there=True)  # noqa: F811
    before = len(scene.provider.asked("POST"))
    assert failed.retry(scene.runtime, "ag:1", "ada") == Done.RETRIED
    scene.worker.run(after=60)
    assert len(scene.provider.asked("POST")) == before == 1
    assert stored(scene)["provider_sid"] == scene.provider.messages[0]["sid"]
    assert row(scene)["state"] == "done"


def test_i9_a_retry_sends_what_certainly_never_arrived_once(given_up):
    scene = given_up(is_there=False)  # noqa: F811
    assert failed.retry(scene.runtime, "ag:1", "ada") == Done.RETRIED
    assert failed.retry(scene.runtime, "ag:1", "ada") == Done.UNCHANGED
    scene.worker.run(after=60)
    assert len(scene.provider.messages) == 1


def test_a_message_whose_sid_came_meanwhile_is_not_sent_again(refused):
    refused.db.messages.update_one({"_id": "ag:1"}, {"$set": {"provider_sid": "SM1", "status": "failed"}})
    assert failed.retry(refused.runtime, "ag:1", "ada") == Done.SENT
    refused.worker.run(after=60)
    assert (row(refused)["state"], refused.provider.messages) == ("done", [])
    assert stored(refused)["status"] == "failed", "a status of the provider's was overwritten"


def test_i12_a_retry_sends_nothing_to_somebody_who_said_stop_meanwhile(refused):
    refused.twilio.sms()
    refused.twilio.post("/webhooks/sms", fixture("sms/stop"))
    failed.retry(refused.runtime, "ag:1", "ada")
    refused.worker.run(after=60)
    assert refused.provider.messages == []
    assert row(refused)["state"] == "canceled"


def test_a_canceled_row_is_left_alone_and_cannot_be_retried(refused):
    assert failed.cancel(refused.runtime, "ag:1", "ada") == Done.CANCELED
    assert failed.retry(refused.runtime, "ag:1", "ada") == Done.UNCHANGED
    refused.worker.run(after=600)
    assert (row(refused)["state"], stored(refused)["status"]) == ("canceled", "failed")


def test_a_message_that_is_no_longer_here_ends_its_row(refused):
    refused.db.messages.delete_one({"_id": "ag:1"})
    assert failed.retry(refused.runtime, "ag:1", "ada") == Done.GONE
    assert row(refused)["state"] == "canceled"


def test_who_did_what_is_in_the_audit(refused):
    failed.retry(refused.runtime, "ag:1", "ada")
    entry = mongoengine.get_db().audit.find_one({})
    assert (entry["by"], entry["action"]) == ("ada", "outbox_retried")
    assert entry["details"] == {"row": "ag:1", "step": "send", "outcome": "retried"}
    assert entry["session_id"] == stored(refused)["session_id"]


def test_all_failures_of_a_kind_are_tried_again_and_others_not(scene):  # noqa: F811
    scene = scene()
    scene.provider.faults.extend(Fault(status=400, code=code) for code in (21211, 21211, 21614))
    for number in range(3):
        text(scene, message_id=f"ag:{number}", to=f"+1555867531{number}")
        scene.worker.run(after=2)
    assert {(kind.step, kind.reason, kind.count) for kind in failures.kinds()} == {
        ("send", "21211", 2),
        ("send", "21614", 1),
    }
    assert failed.all_of(scene.runtime, "send", "21211", "ada", again=True) == 2
    assert [one.id for one in failures.page(limit=10).rows] == ["ag:2"]
    assert failed.all_of(scene.runtime, "send", "21614", "ada", again=False) == 1
    assert failures.kinds() == []


def test_files_that_were_given_up_are_fetched_again(app):
    twilio = Twilio(app.test_client())
    twilio.post("/webhooks/sms", fixture("sms/mms_2media"))
    message_id = fixture("sms/mms_2media")["MessageSid"]
    for file in media.of(message_id).files:
        media.refuse(file, "failed" if file.number == 0 else "type", "no")
    db = mongoengine.get_db()
    db.outbox.update_one({"_id": f"media:{message_id}"}, {"$set": {"state": "failed", "finished_at": TEN}})
    assert failed.retry(app.extensions["gateway"], f"media:{message_id}", "ada") == Done.RETRIED
    assert [file.is_open for file in media.of(message_id).files] == [True, False]


def test_failures_are_listed_newest_first_page_by_page_by_their_own_index(app):
    db = mongoengine.get_db()
    db.outbox.insert_many(
        {"_id": f"{state}{n}", "step": "send", "state": state, "due": TEN, "queued_at": TEN, "finished_at": TEN}
        for state in ("done", "failed")
        for n in range(25)
    )
    first = failures.page(limit=20)
    second = failures.page(limit=20, cursor=first.next_cursor)
    assert len(first.rows) == 20
    assert len({one.id for one in first.rows + second.rows}) == 25
    assert second.next_cursor is None
    with pytest.raises(ValueError, match="no page of this list"):
        failures.page(limit=20, cursor="nonsense")
    db.command("profile", 2)
    failures.page(limit=20)
    failures.kinds()
    outbox.put(Row("m1", outbox.SEND, "m1", due=TEN, queued_at=TEN))
    waiting = failures.waiting(TEN)
    db.command("profile", 0)
    seen = list(db.system.profile.find({"ns": {"$regex": "\\.outbox$"}, "op": {"$in": ["query", "command"]}}))
    db.drop_collection("system.profile")
    assert len(seen) == 3
    assert all("COLLSCAN" not in one.get("planSummary", "") for one in seen)
    assert sum(one.get("docsExamined", 0) for one in seen) <= 25 + 21 + 1
    assert [(one.step, one.held, one.due, one.later) for one in waiting] == [("send", 0, 1, 0)]
