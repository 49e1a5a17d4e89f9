"""Messages on their way to Twilio: what each refusal leads to, and that nothing goes out twice or not at all."""

from datetime import timedelta
from types import SimpleNamespace

import pytest

from gateway.clients.twilio import Twilio as Client
from gateway.conversation import send, work
from gateway.conversation.send import Draft
from gateway.conversation.ways import CannotSend
from gateway.core.codes import CODES
from gateway.core.sending import Reaction
from gateway.store import attempts
from tests.conftest import Twilio
from tests.conversation.worker import Worker
from tests.stand_ins.twilio import ACCOUNT, Fault, TwilioStandIn

PERSON, LINE = "+15558675310", "+15017122661"
SUB, SERVICE = "AC" + "b" * 32, "MG" + "0" * 32


@pytest.fixture(scope="module")
def server():
    with TwilioStandIn() as stand_in:
        yield stand_in


@pytest.fixture
def stand_in(server, clock):
    """Twilio's REST API by the gateway's clock, with nothing in it yet."""
    server.now = clock.now
    server.faults.clear()
    server.messages.clear()
    server.requests.clear()
    server.list_delay, server.statuses = 0.0, []
    return server


@pytest.fixture
def scene(make_app, clock, stand_in, live_db):
    """A gateway that sends through the stand-in."""

    def make(**given):
        twilio = {"api_base_url": stand_in.url, "timeout_seconds": 0.5} | given.pop("twilio", {})
        app = make_app(twilio=twilio, **({"reply": {"responder": "none"}} | given))
        runtime = app.extensions["gateway"]
        worker = Worker(app, clock, sender=Client(runtime.settings))
        return SimpleNamespace(
            app=app, db=live_db, clock=clock, worker=worker, runtime=worker.runtime, twilio=Twilio(app.test_client()),
            provider=stand_in,
        )  # fmt: skip

    return make


def text(scene, words="Hello", *, message_id="ag:1", to=PERSON, kind="sms"):
    return send.send_text(
        scene.runtime, communication_type=kind, to=to, line=LINE, text=words, message_id=message_id, account_sid=ACCOUNT
    )


def stored(scene, message_id="ag:1"):
    return scene.db.messages.find_one({"_id": message_id})


def row(scene, message_id="ag:1"):
    return scene.db.outbox.find_one({"_id": message_id})


def close(scene, reason):
    closed = {"status": "closed", "closed_reason": reason, "closed_at": scene.clock.moment}
    scene.db.sessions.update_one({}, {"$set": closed, "$unset": {"open_keys": ""}})


def test_a_message_goes_out_with_all_it_needs(scene):
    scene = scene()
    text(scene)
    scene.worker.run()
    (asked,) = scene.provider.asked("POST")
    assert asked.form == {
        "To": [PERSON], "From": [LINE], "Body": ["Hello"],
        "StatusCallback": ["https://gateway.example.com/webhooks/status?m=ag:1"],
    }  # fmt: skip
    message = stored(scene)
    assert message["provider_sid"] == scene.provider.messages[0]["sid"]
    assert (message["status"], message["sender"], message["metadata"]["segments"]) == ("queued", "agent", 1)
    assert row(scene)["state"] == "done"
    assert scene.db.sessions.find_one()["message_count"] == 1


def test_a_message_is_queued_once_however_often_it_is_asked_for(scene):
    scene = scene()
    first, second = text(scene), text(scene)
    scene.worker.run()
    assert (first.fresh, second.fresh, first.session_id) == (True, False, second.session_id)
    text(scene)
    scene.worker.run(after=60)
    assert len(scene.provider.messages) == scene.db.sessions.find_one()["message_count"] == 1


def test_a_message_goes_to_the_open_session(scene):
    scene = scene()
    scene.twilio.sms("Hi", From=PERSON, To=LINE)
    scene.clock.tick(3600)
    text(scene)
    assert scene.db.sessions.count_documents({}) == 1
    session = scene.db.sessions.find_one()
    assert (session["message_count"], session["last_message_at"]) == (2, scene.clock.moment)
    assert session["last_inbound_at"] < session["last_message_at"]


def test_a_message_opens_a_session_where_none_is_open(scene):
    scene = scene()
    scene.twilio.sms("Hi", From=PERSON, To=LINE)
    close(scene, "operator")
    scene.clock.tick(60)
    queued = text(scene)
    old, new = scene.db.sessions.find().sort("first_message_at", 1)
    assert str(new["_id"]) == queued.session_id
    assert (new["previous_session_id"], new["message_count"]) == (old["_id"], 1)
    assert new["title"] == f"SMS from {PERSON}"
    scene.clock.tick(60)
    scene.twilio.sms("Yes?", From=PERSON, To=LINE)
    assert scene.db.sessions.count_documents({}) == 2


def test_an_operators_reply_opens_an_idle_session_again(scene):
    scene = scene()
    scene.twilio.sms("Hi", From=PERSON, To=LINE)
    session = scene.db.sessions.find_one()
    close(scene, "idle")
    scene.clock.tick(3600)
    queued = send.reply(
        scene.runtime, str(session["_id"]), Draft("Sorry for the wait", author="ada"), message_id="ag:1"
    )
    assert queued.session_id == str(session["_id"])
    assert scene.db.sessions.find_one()["status"] == "active"
    scene.worker.run()
    assert stored(scene)["metadata"]["author"] == "ada"
    assert scene.provider.messages[0]["to"] == PERSON


ADOPTED = [("sms", PERSON, LINE), ("whatsapp", f"whatsapp:{PERSON}", f"whatsapp:{LINE}")]


def adopted(scene, kind, **metadata):
    """Store a session and its message as the Node application left them."""
    now = scene.clock.moment
    session = {"status": "active", "message_count": 1, "createdAt": now, "last_message_at": now, "metadata": metadata}
    added = scene.db.sessions.insert_one(session | {"channel_id": "c1", "communication_type": kind})
    message = {"_id": "old", "session_id": added.inserted_id, "direction": "inbound", "sender": "contact"}
    place = {"channel_id": "c1", "communication_type": kind}
    scene.db.messages.insert_one(message | place | {"content": "Hi", "createdAt": now})
    return str(added.inserted_id)


@pytest.mark.parametrize(("kind", "to", "sender"), ADOPTED)
def test_a_reply_in_an_adopted_session_goes_to_the_sessions_number(scene, kind, to, sender):
    scene = scene()
    session_id = adopted(scene, kind, fromNumber=PERSON, toNumber=LINE)
    send.reply(scene.runtime, session_id, Draft("Hello"), message_id="ag:1")
    assert (row(scene)["address"]["to"], row(scene)["address"]["sender"]) == (to, sender)


def test_a_reply_without_any_address_is_refused(scene):
    scene = scene()
    session_id = adopted(scene, "sms", fromNumber=PERSON)
    with pytest.raises(CannotSend, match="no address"):
        send.reply(scene.runtime, session_id, Draft("Hello"), message_id="ag:1")


@pytest.mark.parametrize("to", ["whatsapp:US.123", f"whatsapp:{PERSON}", PERSON])
def test_a_whatsapp_address_has_its_prefix_once(scene, to):
    scene = scene()
    text(scene, to=to, kind="whatsapp")
    assert row(scene)["address"]["to"] == "whatsapp:" + to.removeprefix("whatsapp:")
    assert row(scene)["address"]["sender"] == f"whatsapp:{LINE}"


@pytest.mark.parametrize("to", ["+7378742833", "anonymous", "", "whatsapp:+266696687"])
def test_nothing_is_sent_to_a_withheld_number(scene, to):
    scene = scene()
    with pytest.raises(CannotSend, match="withheld"):
        text(scene, to=to)
    assert scene.db.sessions.count_documents({}) == 0


def test_i12_no_session_is_opened_for_somebody_who_said_stop(scene):
    scene = scene()
    scene.twilio.sms("STOP", From=PERSON, To=LINE)
    close(scene, "operator")
    scene.clock.tick(60)
    with pytest.raises(CannotSend, match="opted out"):
        text(scene)
    assert scene.db.sessions.count_documents({}) == 1


def test_an_empty_message_is_refused(scene):
    with pytest.raises(CannotSend, match="empty"):
        text(scene(), "  ")


def test_a_long_message_is_sent_in_order_and_at_the_numbers_pace(scene):
    scene = scene()
    text(scene, "word " * 700)
    scene.worker.run()
    assert len(scene.provider.messages) == 1
    for _ in range(60):
        scene.worker.run(after=1)
    assert [message["body"] for message in scene.provider.messages] == [
        document["content"] for document in scene.db.messages.find().sort("createdAt", 1)
    ]
    assert [document["status"] for document in scene.db.messages.find()] == ["queued"] * 3


@pytest.mark.parametrize(("words", "seconds"), [("Hello", 1), ("a" * 161, 2)])
def test_a_number_sends_one_segment_a_second(scene, words, seconds):
    scene = scene()
    for number in range(3):
        text(scene, words, message_id=f"ag:{number}", to=f"+1555000000{number}")
    sent = []
    for _ in range(2 * seconds + 1):
        scene.worker.run()
        sent.append(len(scene.provider.messages))
        scene.clock.tick(1)
    assert sent[0] == 1
    assert sent[seconds] == 2
    assert sent[2 * seconds] == 3


def test_people_get_messages_in_the_order_they_were_written(scene):
    scene = scene(twilio={"segments_per_second": 1000})
    scene.provider.faults.append(Fault(status=429, code=20429, retry_after="60"))
    text(scene, "first", message_id="ag:1")
    scene.clock.tick(1)
    text(scene, "second", message_id="ag:2")
    text(scene, "to somebody else", message_id="ag:3", to="+15550009999")
    for _ in range(5):
        scene.worker.run(after=1)
    assert [message["body"] for message in scene.provider.messages] == ["to somebody else"]
    for _ in range(5):
        scene.worker.run(after=30)
    assert [message["body"] for message in scene.provider.messages] == ["to somebody else", "first", "second"]


def test_nobody_waits_for_a_message_that_goes_out_much_later(scene):
    scene = scene()
    scene.provider.faults.append(Fault(status=429, code=20429, retry_after="3600"))
    text(scene, "first", message_id="ag:1")
    scene.worker.run()
    scene.clock.tick(1)
    text(scene, "second", message_id="ag:2")
    scene.worker.run(after=2)
    assert [message["body"] for message in scene.provider.messages] == ["second"]


def test_nobody_waits_for_a_copy_of_a_message_the_carrier_lost(scene):
    scene = scene()
    text(scene, "first", message_id="ag:1")
    scene.worker.run()
    failed = {"MessageStatus": "undelivered", "ErrorCode": "30008", "AccountSid": ACCOUNT}
    scene.twilio.post("/webhooks/status", failed | {"MessageSid": stored(scene)["provider_sid"]})
    scene.clock.tick(1)
    text(scene, "second", message_id="ag:2")
    scene.worker.run(after=2)
    assert [message["body"] for message in scene.provider.messages] == ["first", "second"]


def test_the_pieces_of_one_text_wait_for_each_other_however_long(scene):
    scene = scene(twilio={"segments_per_second": 1000})
    scene.provider.faults.append(Fault(status=429, code=20429, retry_after="3600"))
    text(scene, "a" * 1600 + "b" * 1600)
    for _ in range(59):
        scene.worker.run(after=60)
    assert scene.provider.messages == []
    for _ in range(3):
        scene.worker.run(after=60)
    assert [message["body"][0] for message in scene.provider.messages] == ["a", "b"]


def test_what_waits_behind_a_message_is_left_alone_and_goes_right_after_it(scene):
    scene = scene(twilio={"segments_per_second": 1000})
    scene.provider.faults.append(Fault(status=429, code=20429, retry_after="50"))
    for number in range(5):
        text(scene, str(number), message_id=f"ag:{number}")
        scene.clock.tick(1)
    looks = sum(scene.worker.run(after=0.3) for _ in range(150))
    assert (scene.provider.messages, looks) == ([], 1 + 2 * 4)
    scene.worker.run(after=6)
    for _ in range(4):
        scene.worker.run(after=0.01)
    assert [message["body"] for message in scene.provider.messages] == list("01234")


def test_numbers_do_not_wait_for_one_another(scene):
    scene = scene()
    for number in range(3):
        send.send_text(
            scene.runtime, communication_type="sms", to=PERSON, line=f"+1501712266{number}", text="Hi",
            message_id=f"ag:{number}", account_sid=ACCOUNT,
        )  # fmt: skip
    scene.worker.run()
    assert len(scene.provider.messages) == 3


def _codes(*reactions):
    return [code for code, known in CODES.items() if known.reaction in reactions and code not in ("429", "20003")]


@pytest.mark.parametrize("code", _codes(Reaction.RETRY))
def test_what_passes_by_itself_is_sent_again_later(scene, code):
    scene = scene()
    scene.provider.faults.append(Fault(status=400, code=int(code)))
    text(scene)
    scene.worker.run()
    assert (stored(scene)["status"], row(scene)["state"], scene.provider.messages) == ("queued", "waiting", [])
    scene.worker.run(after=10)
    assert len(scene.provider.messages) == 1
    assert row(scene)["state"] == "done"


@pytest.mark.parametrize("code", _codes(Reaction.NEVER))
def test_what_will_not_get_better_is_said_and_not_sent_again(scene, code):
    scene = scene()
    scene.provider.faults.append(Fault(status=400, code=int(code)))
    text(scene)
    for _ in range(5):
        scene.worker.run(after=3600)
    message = stored(scene)
    assert (message["status"], message["error_code"], row(scene)["state"]) == ("failed", code, "failed")
    assert CODES[code].explanation in message["error_message"]
    assert len(scene.provider.asked("POST")) == 1
    assert scene.provider.messages == []


@pytest.mark.parametrize("code", _codes(Reaction.OPT_OUT))
def test_a_refusal_for_an_opt_out_is_an_opt_out(scene, code):
    scene = scene()
    scene.twilio.sms("Hi", From=PERSON, To=LINE)
    scene.provider.faults.append(Fault(status=400, code=int(code)))
    text(scene)
    text(scene, "And another", message_id="ag:2")
    scene.worker.run()
    scene.worker.run(after=60)
    assert (stored(scene)["status"], stored(scene, "ag:2")["status"]) == ("failed", "canceled")
    assert len(scene.provider.asked("POST")) == 1
    with pytest.raises(CannotSend, match="opted out"):
        text(scene, "One more", message_id="ag:3")


@pytest.mark.parametrize("code", _codes(Reaction.OURS))
def test_a_mistake_of_our_webhook_leads_to_nothing_being_sent_again(scene, code):
    scene = scene()
    scene.provider.faults.append(Fault(status=400, code=int(code)))
    text(scene)
    scene.worker.run()
    scene.worker.run(after=3600)
    assert len(scene.provider.asked("POST")) == 1
    assert stored(scene)["status"] == "failed"


@pytest.mark.parametrize("code", _codes(Reaction.RETRY, Reaction.NEVER, Reaction.OPT_OUT))
def test_a_code_in_a_status_callback_leads_to_the_same(scene, code):
    scene = scene()
    scene.twilio.sms("Hi", From=PERSON, To=LINE)
    text(scene)
    scene.worker.run()
    sid = stored(scene)["provider_sid"]
    failed = {"MessageSid": sid, "MessageStatus": "undelivered", "ErrorCode": code, "AccountSid": ACCOUNT}
    for _ in range(2):
        assert scene.twilio.post("/webhooks/status?m=ag:1", failed).status_code == 204
    scene.worker.run(after=61)
    again = len(scene.provider.messages) - 1
    message = stored(scene)
    assert (message["status"], message["error_code"]) == ("undelivered", code)
    assert again == (CODES[code].reaction is Reaction.RETRY)
    if again:
        copy = stored(scene, "ag:1~1")
        assert (copy["content"], copy["status"], copy["metadata"]["resendOf"]) == ("Hello", "queued", "ag:1")
        assert scene.db.sessions.find_one()["message_count"] == 3
    contact = scene.db.contacts.find_one()
    assert bool(contact["opted_out"]) == (CODES[code].reaction is Reaction.OPT_OUT)


def test_a_message_is_sent_again_three_times_at_most(scene):
    scene = scene()
    text(scene)
    for _ in range(10):
        scene.worker.run(after=3700)
        for message in scene.provider.messages:
            failed = {
                "MessageSid": message["sid"],
                "MessageStatus": "failed",
                "ErrorCode": "30003",
                "AccountSid": ACCOUNT,
            }
            scene.twilio.post("/webhooks/status", failed)
    assert len(scene.provider.messages) == 4


def test_sending_again_is_no_activity_of_a_session(scene):
    scene = scene()
    text(scene)
    scene.worker.run()
    close(scene, "idle")
    before = scene.db.sessions.find_one()
    scene.clock.tick(200)
    failed = {"MessageStatus": "undelivered", "ErrorCode": "30003", "AccountSid": ACCOUNT}
    scene.twilio.post("/webhooks/status", failed | {"MessageSid": stored(scene)["provider_sid"]})
    after = scene.db.sessions.find_one()
    assert (after["message_count"], after["status"]) == (2, "closed")
    assert after["last_message_at"] == before["last_message_at"]


@pytest.mark.parametrize(("has_error", "left"), [(False, None), (True, "The phone is off.")])
def test_a_better_status_takes_the_error_away_but_a_responders(scene, has_error, left):
    scene = scene()
    text(scene)
    scene.worker.run()
    failed = {"status": "failed", "error_code": "30003", "error_message": "The phone is off.", "has_error": has_error}
    scene.db.messages.update_one({"_id": "ag:1"}, {"$set": failed})
    delivered = {"MessageStatus": "delivered", "AccountSid": ACCOUNT}
    scene.twilio.post("/webhooks/status", delivered | {"MessageSid": stored(scene)["provider_sid"]})
    message = stored(scene)
    assert (message["status"], message.get("error_code"), message.get("error_message")) == ("delivered", None, left)


def test_a_message_that_was_delivered_after_all_is_not_sent_again(scene):
    scene = scene()
    text(scene)
    scene.worker.run()
    sid = stored(scene)["provider_sid"]
    for status, code in (("delivered", ""), ("undelivered", "30003")):
        update = {"MessageSid": sid, "MessageStatus": status, "AccountSid": ACCOUNT}
        scene.twilio.post("/webhooks/status?m=ag:1", update | ({"ErrorCode": code} if code else {}))
    scene.worker.run(after=7200)
    assert len(scene.provider.messages) == 1
    assert stored(scene)["status"] == "delivered"


def test_retry_after_is_honoured(scene):
    scene = scene()
    scene.provider.faults.append(Fault(status=429, code=20429, retry_after="90"))
    text(scene)
    scene.worker.run()
    scene.worker.run(after=89)
    assert scene.provider.messages == []
    scene.worker.run(after=1)
    assert len(scene.provider.messages) == 1


def test_tries_are_further_and_further_apart_and_end(scene):
    scene = scene(outbox={"max_tries": 4})
    scene.provider.faults.extend(Fault(status=429, code=20429) for _ in range(20))
    text(scene)
    waits = []
    for _ in range(4):
        scene.worker.run()
        if row(scene)["state"] == "waiting":
            waits.append((row(scene)["due"] - scene.clock.moment).total_seconds())
            scene.clock.moment = row(scene)["due"]
    assert [2**n * 0.5 <= wait <= 2**n * 1.5 for n, wait in enumerate(waits, start=1)] == [True] * 3
    assert (row(scene)["state"], stored(scene)["status"], stored(scene)["error_code"]) == ("failed", "failed", "20429")


DOUBTFUL = {
    "5xx": Fault(status=500, code=20500, accept=True),
    "reset": Fault(reset=True, accept=True),
    "timeout": Fault(wait=0.8, accept=True),
    "unreadable": Fault(raw="<html>", accept=True),
}
LOST = {
    "5xx": Fault(status=503, code=20503),
    "reset": Fault(reset=True),
    "timeout": Fault(wait=0.8, status=500, code=20500),
}


@pytest.mark.parametrize("fault", DOUBTFUL.values(), ids=DOUBTFUL.keys())
def test_i9_a_message_that_went_out_unseen_is_found_and_not_sent_again(scene, fault):
    scene = scene()
    scene.provider.faults.append(fault)
    text(scene)
    scene.worker.run()
    assert row(scene)["state"] == "waiting"
    for _ in range(5):
        scene.worker.run(after=60)
    assert len(scene.provider.messages) == 1
    assert stored(scene)["provider_sid"] == scene.provider.messages[0]["sid"]
    assert row(scene)["state"] == "done"


@pytest.mark.parametrize("fault", LOST.values(), ids=LOST.keys())
def test_i9_a_message_that_never_arrived_is_sent_once_that_is_certain(scene, fault):
    scene = scene()
    scene.provider.faults.append(fault)
    text(scene)
    scene.worker.run()
    scene.worker.run(after=29)
    assert scene.provider.messages == []
    scene.worker.run(after=60)
    assert len(scene.provider.messages) == 1
    assert stored(scene)["provider_sid"] == scene.provider.messages[0]["sid"]


def test_i9_a_look_up_that_fails_decides_nothing(scene):
    scene = scene()
    scene.provider.faults.append(Fault(status=500, code=20500, accept=True))
    scene.provider.faults.extend(Fault(status=503, on="list") for _ in range(3))
    text(scene)
    for _ in range(8):
        scene.worker.run(after=60)
    assert len(scene.provider.messages) == 1
    assert row(scene)["state"] == "done"


@pytest.mark.parametrize("is_there", [True, False])
def test_i9_a_message_of_unknown_fate_is_looked_up_before_it_is_given_up(scene, is_there):
    scene = scene(outbox={"max_tries": 2})
    scene.provider.faults.append(Fault(status=503, code=20503, accept=is_there))
    scene.provider.faults.extend(Fault(status=503, on="list") for _ in range(1 if is_there else 2))
    text(scene)
    for _ in range(4):
        scene.worker.run(after=120)
    message = stored(scene)
    assert len(scene.provider.asked("POST")) == 1
    if is_there:
        assert (message["provider_sid"], message["status"]) == (scene.provider.messages[0]["sid"], "queued")
        assert row(scene)["state"] == "done"
    else:
        assert (message["status"], row(scene)["state"]) == ("failed", "failed")
        assert "never confirmed" in message["error_message"]


def test_i9_an_older_message_of_the_same_text_is_not_taken_for_this_one(scene):
    scene = scene()
    scene.provider.accept(ACCOUNT, {"To": PERSON, "From": LINE, "Body": "Hello"})
    scene.clock.tick(60)
    scene.provider.faults.append(Fault(status=503, code=20503))
    text(scene)
    for _ in range(3):
        scene.worker.run(after=60)
    assert len(scene.provider.messages) == 2
    assert stored(scene)["provider_sid"] == scene.provider.messages[1]["sid"]


def test_i9_two_equal_messages_are_two_messages(scene):
    scene = scene()
    text(scene, "ok", message_id="ag:1")
    scene.worker.run()
    scene.provider.faults.append(Fault(status=500, code=20500))
    text(scene, "ok", message_id="ag:2")
    # So soon that the first one is among what the look-up for the second one finds.
    scene.worker.run(after=2)
    for _ in range(4):
        scene.worker.run(after=60)
    assert len(scene.provider.messages) == 2
    assert {stored(scene, name)["provider_sid"] for name in ("ag:1", "ag:2")} == {
        message["sid"] for message in scene.provider.messages
    }


def test_i9_not_listed_yet_is_no_reason_to_send_again_before_the_look_up_is_believed(scene):
    scene = scene(outbox={"lookup_seconds": 30})
    scene.provider.faults.append(Fault(status=503, code=20503, accept=True))
    scene.provider.list_delay = 3600
    text(scene)
    scene.worker.run()
    # As where the worker died, and its lease ends before that.
    scene.db.outbox.update_one({}, {"$set": {"due": scene.clock.moment}})
    scene.worker.run(after=29)
    scene.provider.messages[0]["_shown_at"] = 0
    scene.worker.run(after=1)
    assert len(scene.provider.asked("POST")) == 1
    assert stored(scene)["provider_sid"] == scene.provider.messages[0]["sid"]


def test_i9_a_message_listed_late_is_still_found_after_a_second_attempt(scene):
    scene = scene()
    scene.provider.faults.append(Fault(status=503, code=20503, accept=True))
    scene.provider.list_delay = 3600
    text(scene)
    scene.worker.run()
    first = row(scene)["attempted_at"]
    scene.provider.faults.append(Fault(status=503, code=20503))
    scene.worker.run(after=60)
    assert row(scene)["attempted_at"] == first < row(scene)["last_attempt_at"]
    scene.provider.messages[0]["_shown_at"] = 0
    for _ in range(4):
        scene.worker.run(after=120)
    assert len(scene.provider.asked("POST")) == 2
    assert stored(scene)["provider_sid"] == scene.provider.messages[0]["sid"]


def test_i9_a_status_callback_tells_the_sid_of_a_message_whose_sending_never_returned(scene):
    scene = scene()
    scene.provider.faults.append(Fault(status=500, code=20500, accept=True))
    text(scene)
    scene.worker.run()
    sid = scene.provider.messages[0]["sid"]
    scene.twilio.post(
        "/webhooks/status?m=ag:1", {"MessageSid": sid, "MessageStatus": "delivered", "AccountSid": ACCOUNT}
    )
    scene.worker.run(after=60)
    assert (stored(scene)["provider_sid"], stored(scene)["status"], row(scene)["state"]) == (sid, "delivered", "done")
    assert scene.provider.asked("GET") == []


def test_i9_a_claim_that_was_lost_sends_nothing(scene, monkeypatch):
    scene = scene()
    text(scene)
    real = attempts.look

    def slow(row):
        scene.clock.tick(61)  # the process was stopped for longer than its lease
        return real(row)

    monkeypatch.setattr(attempts, "look", slow)
    scene.worker.run()
    assert scene.provider.messages == []
    monkeypatch.undo()
    scene.worker.run(after=300)
    assert len(scene.provider.messages) == 1


def test_i9_who_lost_a_claim_to_another_worker_neither_sends_nor_takes_it_back(scene):
    scene = scene()
    text(scene)
    stopped = work.claim(scene.runtime)
    scene.clock.tick(61)
    other = work.claim(scene.runtime)
    assert stopped.id == other.id
    held = row(scene)
    work.do(scene.runtime, stopped)
    assert scene.provider.messages == []
    assert row(scene) == held
    work.do(scene.runtime, other)
    scene.worker.run(after=2)
    assert len(scene.provider.messages) == 1


def test_what_cannot_be_reached_is_tried_again(scene):
    scene = scene(twilio={"api_base_url": "http://127.0.0.1:9"})
    text(scene)
    scene.worker.run()
    assert row(scene)["state"] == "waiting"
    assert "attempted_at" not in row(scene)


def test_i12_nothing_queued_goes_to_somebody_who_said_stop(scene):
    scene = scene()
    scene.twilio.sms("Hi", From=PERSON, To=LINE)
    text(scene)
    scene.twilio.sms("STOP", From=PERSON, To=LINE)
    assert (stored(scene)["status"], row(scene)["state"]) == ("canceled", "canceled")
    scene.twilio.sms("START", From=PERSON, To=LINE)
    scene.worker.run(after=1)
    assert scene.provider.messages == []
    assert stored(scene)["error_code"] == "21610"


def test_i12_an_opt_out_from_one_number_leaves_another_open(scene):
    scene = scene()
    scene.twilio.sms("STOP", From=PERSON, To="+15017120000")
    text(scene)
    scene.worker.run()
    assert len(scene.provider.messages) == 1


def test_i12_an_opt_out_recorded_elsewhere_stops_what_is_queued(scene):
    scene = scene()
    text(scene)
    contact = scene.db.contacts.find_one()
    scene.db.contacts.update_one({"_id": contact["_id"]}, {"$set": {f"opted_out.{LINE}": {"message_id": "SM9"}}})
    scene.worker.run()
    assert scene.provider.messages == []
    assert stored(scene)["error_code"] == "21610"


def test_i12_a_stop_that_comes_after_a_doubtful_attempt_counts(scene):
    scene = scene()
    scene.twilio.sms("Hi", From=PERSON, To=LINE)
    scene.provider.faults.append(Fault(status=503, code=20503))
    text(scene)
    scene.worker.run()
    scene.twilio.sms("STOP", From=PERSON, To=LINE)
    for _ in range(4):
        scene.worker.run(after=60)
    assert scene.provider.messages == []
    assert (stored(scene)["status"], row(scene)["state"]) == ("canceled", "canceled")


def whatsapp(scene, words="Hi"):
    return scene.twilio.whatsapp(words, From=f"whatsapp:{PERSON}", To=f"whatsapp:{LINE}", WaId=PERSON[1:])


@pytest.mark.parametrize(("hours", "sent"), [(0, True), (23.9, True), (24.1, False)])
def test_whatsapp_takes_free_texts_for_a_day(scene, hours, sent):
    scene = scene()
    whatsapp(scene)
    scene.clock.tick(hours * 3600)
    text(scene, kind="whatsapp")
    scene.worker.run()
    assert bool(scene.provider.messages) is sent
    if sent:
        assert scene.provider.messages[0]["to"] == f"whatsapp:{PERSON}"
    else:
        assert (stored(scene)["status"], stored(scene)["error_code"]) == ("failed", "63016")
        assert "24 hours" in stored(scene)["error_message"]


def test_after_a_day_whatsapp_gets_the_configured_template(scene):
    scene = scene(twilio={"content_sid": "HX" + "0" * 32})
    whatsapp(scene)
    scene.clock.tick(25 * 3600)
    text(scene, kind="whatsapp")
    scene.worker.run()
    (asked,) = scene.provider.asked("POST")
    assert asked.form["ContentSid"] == ["HX" + "0" * 32]
    assert asked.form["ContentVariables"] == ['{"1": "Hello"}']
    assert "Body" not in asked.form


@pytest.mark.parametrize(("taken", "posts"), [(True, 1), (False, 2)])
def test_i9_a_template_of_unknown_fate_stays_a_template(scene, taken, posts):
    scene = scene(twilio={"content_sid": "HX" + "0" * 32})
    whatsapp(scene)
    scene.clock.tick(25 * 3600)
    scene.provider.faults.append(Fault(status=503, code=20503, accept=taken))
    text(scene, kind="whatsapp")
    scene.worker.run()
    for _ in range(4):
        scene.worker.run(after=60)
    asked = scene.provider.asked("POST")
    assert [post.form.get("ContentVariables") for post in asked] == [['{"1": "Hello"}']] * posts
    assert len(scene.provider.messages) == 1


def test_a_text_on_another_channel_does_not_open_whatsapps_window(scene):
    scene = scene(sessions={"scope": "contact"})
    whatsapp(scene)
    scene.clock.tick(25 * 3600)
    scene.twilio.sms("Hi", From=PERSON, To=LINE)
    text(scene, kind="whatsapp")
    scene.worker.run()
    assert scene.provider.messages == []


def test_a_template_of_ones_own_goes_out_whenever(scene):
    scene = scene()
    whatsapp(scene)
    scene.clock.tick(48 * 3600)
    session_id = str(scene.db.sessions.find_one()["_id"])
    draft = Draft("", content_sid="HX" + "1" * 32, content_variables={"1": "Ada"})
    send.reply(scene.runtime, session_id, draft, message_id="ag:1")
    scene.worker.run()
    assert scene.provider.asked("POST")[0].form["ContentVariables"] == ['{"1": "Ada"}']


def test_the_messaging_service_of_the_conversation_is_used(scene):
    scene = scene(twilio={"messaging_service_sid": "MG" + "0" * 32})
    text(scene)
    scene.worker.run()
    form = scene.provider.asked("POST")[0].form
    assert (form["MessagingServiceSid"], form["From"]) == (["MG" + "0" * 32], [LINE])


@pytest.mark.parametrize(("kind", "account"), [("sms", SUB), ("whatsapp", ACCOUNT)])
def test_the_settings_messaging_service_is_for_the_main_accounts_numbers(scene, kind, account):
    scene = scene(twilio={"messaging_service_sid": SERVICE, "accounts": {SUB: ["sub-token"]}})
    scene.provider.tokens[SUB] = ["sub-token"]
    whatsapp(scene)
    send.send_text(
        scene.runtime, communication_type=kind, to=PERSON, line=LINE, text="Hi", message_id="ag:1", account_sid=account
    )
    scene.worker.run()
    (asked,) = scene.provider.asked("POST")
    assert "MessagingServiceSid" not in asked.form


def test_i12_an_opt_out_from_a_service_holds_for_what_goes_out_with_it_by_the_settings(scene):
    scene = scene(twilio={"messaging_service_sid": SERVICE})
    text(scene)
    scene.twilio.sms("STOP", From=PERSON, To="+15017120000", MessagingServiceSid=SERVICE)
    scene.worker.run()
    assert (scene.provider.messages, stored(scene)["status"]) == ([], "canceled")
    with pytest.raises(CannotSend, match="opted out"):
        text(scene, message_id="ag:2")


def test_i12_an_opt_out_that_an_answer_of_the_webhook_met_is_recorded(scene):
    scene = scene(reply={"responder": "echo"})
    scene.twilio.sms("Hi", From=PERSON, To=LINE, MessageSid="SM1")
    failed = {"MessageSid": "SM2", "MessageStatus": "failed", "ErrorCode": "21610", "AccountSid": ACCOUNT}
    scene.twilio.post("/webhooks/status?m=re:SM1", failed)
    assert (stored(scene, "re:SM1")["status"], row(scene, "re:SM1")) == ("failed", None)
    with pytest.raises(CannotSend, match="opted out"):
        text(scene)


def test_statuses_that_come_before_the_answer_of_the_api_are_applied(scene):
    scene = scene()
    text(scene)
    real = scene.runtime.sender.send

    def send_and_hear(outgoing):
        sent = real(outgoing)
        for status in ("delivered", "sent"):
            update = {"MessageSid": sent.sid, "MessageStatus": status, "AccountSid": ACCOUNT}
            assert scene.twilio.post("/webhooks/status", update).status_code == 204
        return sent

    scene.runtime.sender.send = send_and_hear
    scene.worker.run()
    message = stored(scene)
    assert message["status"] == "delivered"
    assert {entry["status"] for entry in message["status_history"]} == {"queued", "sent", "delivered"}
    assert scene.db.callbacks.count_documents({}) == 0


def test_gone_is_gone(scene):
    scene = scene()
    text(scene)
    scene.db.messages.delete_many({})
    scene.worker.run()
    assert scene.provider.messages == []
    assert row(scene)["state"] == "done"


def test_finished_rows_are_kept_for_a_week(scene):
    scene = scene()
    text(scene)
    scene.worker.run()
    index = scene.db.outbox.index_information()["a_week"]
    assert index["expireAfterSeconds"] == timedelta(days=7).total_seconds()
    assert row(scene)["finished_at"]
