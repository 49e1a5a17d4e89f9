"""Writing to numbers, forcing a rollover, and requests that are done once however often they are made."""

import threading
from types import SimpleNamespace

import pytest

from gateway.conversation import idempotency, operators, outreach
from gateway.conversation.idempotency import KeyReused
from gateway.conversation.operators import CannotDo
from gateway.conversation.send import Draft
from gateway.conversation.ways import CannotSend
from gateway.store import audit, finding, listing
from tests.conftest import Twilio
from tests.conversation.conftest import Person

LINE, WHATSAPP, ADA = "sms:+15017122661", "whatsapp:+15017122661", "+15558675310"


@pytest.fixture
def scene(make_app, clock, live_db):
    """Two lines that were written to once, by somebody else than ADA, with nobody answering."""
    app = make_app(reply={"responder": "none"})
    twilio = Twilio(app.test_client())
    for channel in ("sms", "whatsapp"):
        Person(twilio, clock, channel, number="+15550001111").say(minutes=-60)
    clock.move_to()
    return SimpleNamespace(
        runtime=app.extensions["gateway"], clock=clock, db=live_db, ada=Person(twilio, clock, "sms"),
        at_whatsapp=Person(twilio, clock, "whatsapp"),
    )  # fmt: skip


def write(scene, text="Hello", channel=LINE, number=ADA, message_id="api:1", **given):
    return outreach.write(scene.runtime, channel, number, Draft(text, author="key:crm"), message_id=message_id, **given)


def test_a_number_that_never_wrote_gets_a_session_with_the_message_on_its_way(scene):
    queued = write(scene, number="+1 (555) 867-5310")
    stored = listing.one(queued.session_id, None)
    assert (stored["title"], stored["message_count"], stored["status"]) == (f"SMS from {ADA}", 1, "active")
    assert scene.db.outbox.find_one({"_id": "api:1"})["address"]["to"] == ADA
    assert [(one["action"], one["by"]) for one in audit.of_session(queued.session_id)] == [("message_sent", "key:crm")]
    scene.ada.say(minutes=1)
    assert listing.one(queued.session_id, None)["message_count"] == 2


def test_a_message_goes_into_the_open_session_and_anew_into_one_of_its_own(scene):
    scene.ada.say()
    first = write(scene).session_id
    begun = write(scene, message_id="api:2", anew=True).session_id
    assert listing.one(first, None)["message_count"] == 2
    assert listing.one(first, None)["status"] == "closed"
    assert listing.one(begun, None)["previous_session_id"] == first


@pytest.mark.parametrize("channel", [LINE, WHATSAPP])
@pytest.mark.parametrize("text", ["", " \n", "\x01\x02", " \x1b "])
def test_a_text_that_nobody_could_read_is_not_sent(scene, channel, text):
    scene.at_whatsapp.say()
    with pytest.raises(CannotSend, match="is empty"):
        write(scene, text, channel)
    assert scene.db.outbox.count_documents({}) == 0


def test_a_file_goes_without_a_text_that_nobody_could_read(scene):
    draft = Draft("\x01\x02", media=("https://shop.example.com/a.jpg",))
    outreach.write(scene.runtime, LINE, ADA, draft, message_id="api:1")
    assert scene.db.messages.find_one({"_id": "api:1"})["content"] == ""


@pytest.mark.parametrize(
    ("given", "why"),
    [
        ({"channel": "sms:+15550000000"}, "no such channel"),
        ({"number": "ada"}, "no number"),
        ({"number": "+266696687"}, "no number"),
        ({"text": " "}, "empty"),
        ({"text": "x" * 10_001}, "10,000"),
        ({"channel": WHATSAPP}, "template"),
    ],
)
def test_what_would_not_go_out_is_refused_and_changes_nothing(scene, given, why):
    with pytest.raises(CannotSend, match=why):
        write(scene, **given)
    assert scene.db.sessions.count_documents({}) == 2


def test_whatsapp_takes_text_within_a_day_and_templates_at_any_time(scene):
    template = Draft("", content_sid="HX" + "1" * 32)
    outreach.write(scene.runtime, WHATSAPP, ADA, template, message_id="api:t")
    scene.at_whatsapp.say()
    assert write(scene, channel=WHATSAPP).fresh


def test_a_call_line_is_refused(scene, live_db):
    live_db.channels.insert_one(
        {"_id": "voice:+1", "phone_number": "+15017122669", "communication_type": "voice", "name": "v"}
    )
    with pytest.raises(CannotSend, match="sms or whatsapp"):
        write(scene, channel="voice:+1")


def test_the_next_message_after_a_forced_rollover_begins_a_session(scene):
    scene.ada.say()
    (closed,) = outreach.roll_over(scene.runtime, LINE, ADA, "key:crm")
    assert outreach.roll_over(scene.runtime, LINE, ADA, "key:crm") == []
    scene.ada.say(seconds=5)
    newest = scene.db.sessions.find_one({}, sort=[("_id", -1)])
    assert str(newest["previous_session_id"]) == closed
    with pytest.raises(CannotDo, match="no number"):
        outreach.roll_over(scene.runtime, LINE, "ada", "key:crm")


def test_a_forced_rollover_leaves_sessions_of_other_channels_alone(scene):
    scene.ada.say()
    assert outreach.roll_over(scene.runtime, LINE, ADA, "key:crm", among=[WHATSAPP]) == []


def test_a_long_message_asked_for_again_has_all_its_pieces_once(scene):
    scene.ada.say()
    text = "word " * 500
    first = write(scene, text)
    scene.db.messages.delete_one({"_id": first.message_ids[1]})
    again = write(scene, text)
    assert again.message_ids == first.message_ids
    assert not again.fresh
    assert scene.db.messages.count_documents({"_id": {"$in": list(first.message_ids)}}) == len(first.message_ids) > 1
    assert scene.db.outbox.count_documents({}) == len(first.message_ids)


# ---------------------------------------------------------------- once


def ask(scene, do, key="k", request=None):
    return idempotency.once(scene.runtime, "owner", key, request or {"text": "Hello"}, do)


def test_the_same_request_is_answered_as_the_first_time_and_another_is_refused(scene):
    made = []
    answers = [ask(scene, lambda message_id: made.append(message_id) or {"n": len(made)}) for _ in range(3)]
    assert answers == [{"n": 1}] * 3
    with pytest.raises(KeyReused):
        ask(scene, lambda _: {}, request={"text": "Bye"})
    assert idempotency.once(scene.runtime, "other", "k", {"text": "Bye"}, lambda _: {"n": 9}) == {"n": 9}


def test_what_was_refused_is_tried_again_under_the_same_message_id(scene):
    made = []

    def refuse(message_id):
        made.append(message_id)
        raise CannotSend("Not now.")

    with pytest.raises(CannotSend):
        ask(scene, refuse)
    ask(scene, lambda message_id: {"n": made.append(message_id)})
    assert len(set(made)) == 1


def test_racing_requests_send_once_and_get_one_answer(scene):
    scene.ada.say()
    together, answers = threading.Barrier(6), []

    def send(message_id):
        queued = write(scene, message_id=message_id)
        return {"ids": list(queued.message_ids), "fresh": queued.fresh}

    def request():
        together.wait()
        answers.append(ask(scene, send))

    threads = [threading.Thread(target=request) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(answers) == 6
    assert all(answer == answers[0] for answer in answers)
    assert scene.db.messages.count_documents({"direction": "outbound"}) == 1
    assert scene.db.outbox.count_documents({}) == 1


def test_a_request_that_is_overtaken_by_itself_gets_what_was_sent(scene, monkeypatch):
    real, sent = finding.find_neighbours, []

    def overtaken(*args):
        found = real(*args)
        monkeypatch.undo()
        sent.append(write(scene, anew=True))
        return found

    monkeypatch.setattr(finding, "find_neighbours", overtaken)
    again = write(scene, anew=True)
    assert (again.message_ids, again.session_id) == (sent[0].message_ids, sent[0].session_id)
    assert (sent[0].fresh, again.fresh) == (True, False)
    assert scene.db.outbox.count_documents({}) == 1


def test_after_a_crash_between_sending_and_answering_it_is_not_sent_again(scene):
    class Killed(BaseException):
        pass

    def dies(message_id):
        write(scene, message_id=message_id)
        raise Killed

    scene.ada.say()
    with pytest.raises(Killed):
        ask(scene, dies)
    answer = ask(scene, lambda message_id: {"ids": list(write(scene, message_id=message_id).message_ids)})
    assert scene.db.messages.distinct("_id", {"direction": "outbound"}) == answer["ids"]


# ---------------------------------------------------------------- tags and context


def test_tags_are_replaced_as_a_whole(scene):
    scene.ada.say()
    session_id = str(scene.db.sessions.find_one({}, sort=[("_id", -1)])["_id"])
    operators.tag(scene.runtime, session_id, "old", "ada")
    operators.set_tags(scene.runtime, session_id, ["vip", " new  one ", "vip"], "ada")
    assert listing.one(session_id, None)["tags"] == ["vip", "new one"]
    operators.set_tags(scene.runtime, session_id, [], "ada")
    assert "tags" not in listing.one(session_id, None)
    with pytest.raises(CannotDo):
        operators.set_tags(scene.runtime, session_id, [" "], "ada")


def test_a_context_is_replaced_but_for_the_flow_and_holds_16_kb(scene):
    scene.ada.say()
    stored = scene.db.sessions.find_one({}, sort=[("_id", -1)])
    session_id = str(stored["_id"])
    scene.db.sessions.update_one({"_id": stored["_id"]}, {"$set": {"context": {"old": 1, "flow": {"name": "f"}}}})
    operators.set_context(scene.runtime, session_id, {"order": {"id": 7}}, "ada")
    assert listing.one(session_id, None)["context"] == {"order": {"id": 7}, "flow": {"name": "f"}}
    for wrong in ({"x": "y" * 16_384}, {"flow": {}}):
        with pytest.raises(CannotDo):
            operators.set_context(scene.runtime, session_id, wrong, "ada")
    assert listing.one(session_id, None)["context"]["order"] == {"id": 7}
    operators.set_context(scene.runtime, session_id, {}, "ada")
    assert listing.one(session_id, None)["context"] == {"flow": {"name": "f"}}
