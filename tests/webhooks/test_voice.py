"""Calls: what the caller hears, what is stored of it, and that a call never leaves its session."""

import itertools
from datetime import timedelta
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest
from bson import ObjectId

from gateway.core.participant import WITHHELD_NUMBERS, WITHHELD_WORDS
from gateway.core.replies import Reply
from tests.conftest import TEN, Twilio, fixture
from tests.conversation.worker import Worker, slow_responder
from tests.webhooks.conftest import Call, contents, is_empty, named, said, twiml

GREETING, SILENCE = "Hello. How can we help you?", "Are you still there?"
GOODBYE = "Thank you for calling. Goodbye."
VOICE = "/webhooks/voice"


def session(db: Any) -> dict[str, Any]:
    (found,) = db.sessions.find()
    return found


def first(db: Any, call: Call) -> dict[str, Any]:
    """Give the first message of a call."""
    return db.messages.find_one({"_id": f"{call.sid}:0"})


def ids(db: Any) -> list[str]:
    return sorted(message["_id"] for message in db.messages.find())


# Speaking


def test_a_call_is_greeted_and_listened_to(call):
    answer = call.begin()
    assert said(answer) == [GREETING]
    (gather,) = twiml(answer)
    expected = {
        "input": "speech dtmf", "method": "POST", "language": "en-US", "speechTimeout": "auto",
        "actionOnEmptyResult": "true",
    }  # fmt: skip
    assert {name: gather.attrib.get(name) for name in expected} == expected
    assert gather.attrib["action"].startswith("https://gateway.example.com/webhooks/voice/turn?turn=1&state=")


def test_the_first_webhook_stores_one_empty_message(call, db):
    call.begin()
    (message,) = db.messages.find()
    assert (message["_id"], message["content"], message["provider_sid"]) == (f"{call.sid}:0", "", call.sid)
    assert session(db)["message_count"] == 1
    assert session(db)["live"] == [call.sid]
    assert session(db)["live_until"] == TEN + timedelta(hours=4)


@pytest.mark.parametrize(
    ("how", "words", "kind"), [("say", "I would like to book a repair.", "speech"), ("key", "2#", "dtmf")]
)
def test_what_the_caller_says_or_keys_is_a_message_and_is_answered(call, db, how, words, kind):
    call.begin()
    answer = getattr(call, how)(words)
    assert said(answer) == [words]
    turn, echo = (db.messages.find_one({"_id": name}) for name in (f"{call.sid}:1", f"re:{call.sid}:1"))
    assert (turn["content"], turn["sender"], turn["metadata"]["input"]) == (words, "contact", kind)
    assert turn["answer"] | {"twiml": answer.get_data(as_text=True)} == turn["answer"]
    assert turn["answer"]["state"] == "done"
    assert (echo["content"], echo["sender"], echo["direction"]) == (words, "ai", "outbound")
    assert (turn["decision"]["kind"], turn["decision"]["rule"]) == ("reused", "same_call")
    assert session(db)["message_count"] == 3


def test_what_twilio_heard_is_kept_with_its_confidence(call, db):
    call.begin()
    call.say("yes")
    metadata = db.messages.find_one({"_id": f"{call.sid}:1"})["metadata"]
    assert (metadata["Confidence"], metadata["Language"]) == ("0.9128386", "en-US")


def test_keys_pressed_while_speaking_are_kept(call, db):
    call.begin()
    form = fixture("voice/gather_speech") | {"SpeechResult": "two", "Digits": "2", "CallSid": call.sid}
    call.twilio.post(call.action, form)
    turn = db.messages.find_one({"_id": f"{call.sid}:1"})
    assert (turn["content"], turn["metadata"].get("Digits")) == ("two", "2")


def test_a_whole_call_is_followed_by_its_addresses(call, db):
    call.begin()
    for words in ("one", "two", "three"):
        assert said(call.say(words)) == [words]
    assert said(call.key("4")) == ["4"]
    assert session(db)["message_count"] == 9
    assert db.messages.distinct("session_id") == [session(db)["_id"]]
    assert call.post(f"{VOICE}/status", "voice/status_completed").status_code == 204
    assert session(db)["live"] == []


def test_without_a_public_url_the_addresses_are_relative(make_app):
    app = make_app(public_url="")
    call = Call(Twilio(app.test_client(), base="http://localhost"), base="http://localhost")
    call.begin()
    assert call.action.startswith("/webhooks/voice/turn?")
    assert said(call.say("hello")) == ["hello"]


def test_with_a_path_prefix_the_addresses_carry_it(make_app):
    base = "https://gateway.example.com/gw"
    call = Call(Twilio(make_app(public_url=f"{base}/").test_client(), base=base), base=base)
    assert said(call.begin()) == [GREETING]
    assert call.action.startswith("/webhooks/voice/turn?")
    assert said(call.say("hello")) == ["hello"]


def test_the_settings_are_heard(make_app):
    spoken = {
        "greeting": "Guten Tag.", "silence": "Sind Sie noch da?", "goodbye": "Auf Wiederhören.",
        "language": "de-DE", "voice": "Polly.Vicki",
    }  # fmt: skip
    call = Call(Twilio(make_app(voice=spoken).test_client()))
    answers = [call.begin(), call.stay_silent(), call.stay_silent()]
    assert [said(answer) for answer in answers] == [
        ["Guten Tag."],
        ["Sind Sie noch da?"],
        ["Auf Wiederhören."],
    ]
    for answer in answers:
        for say in twiml(answer).iter("Say"):
            assert say.attrib == {"language": "de-DE", "voice": "Polly.Vicki"}
    assert twiml(answers[0]).find("Gather").attrib["language"] == "de-DE"


def test_an_answer_is_said_without_its_marks_and_kept_with_them(call, db):
    call.begin()
    words = "**Yes**: see https://example.com/menu"
    assert said(call.say(words)) == ["Yes: see a link"]
    assert db.messages.find_one({"_id": f"re:{call.sid}:1"})["content"] == words


def test_a_responder_that_says_nothing_leaves_the_line_open(make_app):
    call = Call(Twilio(make_app(reply={"responder": "none"}).test_client()))
    call.begin()
    answer = call.say("hello")
    assert said(answer) == []
    assert twiml(answer).find("Gather") is not None


# Silence


def test_a_silent_caller_is_asked_once_then_let_go(call, db):
    call.begin()
    asked = call.stay_silent()
    assert said(asked) == [SILENCE]
    assert twiml(asked).find("Gather") is not None
    gone = call.stay_silent()
    assert [(verb.tag, verb.text) for verb in twiml(gone)] == [("Say", GOODBYE), ("Hangup", None)]
    assert ids(db) == [f"{call.sid}:0"]
    assert session(db)["message_count"] == 1


def test_a_silence_asked_for_again_gets_the_same_answer(call):
    call.begin()
    action = call.action
    once = call.stay_silent()
    call.action = action
    assert call.stay_silent().data == once.data


def test_who_speaks_after_a_silence_may_be_silent_again(call, db):
    call.begin()
    call.stay_silent()
    assert said(call.say("here")) == ["here"]
    assert said(call.stay_silent()) == [SILENCE]
    assert said(call.say("still here")) == ["still here"]
    assert session(db)["message_count"] == 5


@pytest.mark.parametrize("changes", [{"SpeechResult": ""}, {"SpeechResult": "", "Digits": ""}, {"Digits": ""}])
def test_an_empty_result_is_silence(call, db, changes):
    call.begin()
    form = fixture("voice/incoming") | {"CallSid": call.sid} | changes
    assert said(call.twilio.post(call.action, form)) == [SILENCE]
    assert db.messages.count_documents({}) == 1


# Limits


def is_let_go(answer: Any) -> bool:
    return [(verb.tag, verb.text) for verb in twiml(answer)] == [("Say", GOODBYE), ("Hangup", None)]


def limited(make_app: Any, **limits: int) -> Call:
    call = Call(Twilio(make_app(voice=limits).test_client()))
    call.begin()
    return call


def test_a_turn_past_the_last_is_kept_and_gets_a_goodbye(make_app, db):
    call = limited(make_app, max_turns=2)
    assert [said(call.say(words)) for words in ("one", "two")] == [["one"], ["two"]]
    assert is_let_go(call.say("three"))
    assert ids(db) == sorted([f"{call.sid}:{n}" for n in range(4)] + [f"re:{call.sid}:{n}" for n in (1, 2)])
    stored = db.messages.find_one({"_id": f"{call.sid}:3"})
    assert (stored["content"], stored["answer"]["state"], stored["answer"]["reason"]) == ("three", "none", "call_limit")
    assert session(db)["message_count"] == 6


@pytest.mark.parametrize(("seconds", "over"), [(300, False), (300.001, True)])
def test_a_call_lasts_so_many_minutes_from_its_first_webhook(make_app, clock, seconds, over):
    call = limited(make_app, max_minutes=5)
    clock.move_to(minutes=3)
    call.say("one")
    call.stay_silent()
    clock.move_to(seconds=seconds)
    answer = call.say("two")
    assert is_let_go(answer) == over
    assert over or said(answer) == ["two"]


def test_a_goodbye_is_said_again_to_a_turn_delivered_again(make_app):
    call = limited(make_app, max_turns=1)
    call.say("one")
    action = call.action
    once = call.say("two")
    call.action = action
    assert call.say("two").data == once.data


@pytest.mark.parametrize("state", ["old", "none"])
def test_a_turn_that_does_not_say_when_its_call_began_is_limited_all_the_same(make_app, clock, state):
    app = make_app(voice={"max_minutes": 5})
    call = Call(Twilio(app.test_client()))
    call.begin()
    signed = parse_qs(urlsplit(call.action).query)["state"][0]
    serializer = app.extensions["gateway"].line.serializer
    call.action = forged(call, serializer.dumps(serializer.loads(signed)[:4]) if state == "old" else "")
    assert said(call.say("one")) == ["one"]
    clock.move_to(minutes=6)
    assert is_let_go(call.say("two"))


def test_who_is_over_the_limit_is_not_answered_by_a_responder(make_app, clock):
    app = make_app(voice={"max_turns": 1})
    call, worker = Call(Twilio(app.test_client())), Worker(app, clock)
    asked = []
    with slow_responder(app, lambda turn: asked.append(turn.content) or Reply("yes")):
        call.begin()
        call.action = f"{VOICE}/turn?turn=2"
        assert is_let_go(call.say("two"))
        worker.run()
    assert asked == []


# The same again


def test_a_turn_delivered_again_gets_the_same_answer_and_stores_nothing(call, db):
    call.begin()
    action = call.action
    once = call.say("hello")
    call.say("and more")
    before = (ids(db), session(db))
    call.action = action
    assert call.say("hello").data == once.data
    assert (ids(db), session(db)) == before


def test_the_first_webhook_delivered_again_gets_the_same_answer(call, db):
    once = call.begin()
    call.say("hello")
    before = (ids(db), session(db))
    assert call.begin().data == once.data
    assert (ids(db), session(db)) == before


def test_a_fallback_gets_the_latest_answer(call, db):
    call.begin()
    call.say("hello")
    latest = call.say("and more")
    before = (ids(db), session(db))
    assert call.begin("voice/fallback_error").data == latest.data
    assert (ids(db), session(db)) == before


def test_a_fallback_of_a_call_that_never_came_in_greets(call, db):
    assert said(call.begin("voice/fallback_error")) == [GREETING]
    assert first(db, call)["metadata"]["ErrorCode"] == "11205"


def test_a_turn_ten_comes_after_turn_nine(call):
    call.begin()
    for number in range(10):
        latest = call.say(f"turn {number}")
    assert call.post(f"{VOICE}/wait", "voice/incoming").data == latest.data


def test_waiting_for_an_unknown_call_says_nothing(call):
    assert is_empty(call.post(f"{VOICE}/wait", "voice/incoming"))


def test_a_turn_without_a_number_is_the_next_one(call, db):
    call.begin()
    call.say("one")
    for turn in ("", "?turn=", "?turn=x", "?turn=-1", "?turn=0"):
        call.action = f"{VOICE}/turn{turn}"
        assert said(call.say("more")) == ["more"]
    assert f"{call.sid}:6" in ids(db)


# A call and its session


def forged(call: Call, state: str) -> str:
    return f"{VOICE}/turn?turn=1&state={state}"


def test_a_state_of_another_call_does_not_move_a_turn(twilio, db):
    mine, other = Call(twilio), Call(twilio, {"From": "+15558675399"})
    mine.begin()
    other.begin()
    mine.action = forged(mine, parse_qs(urlsplit(other.action).query)["state"][0])
    assert said(mine.say("hello")) == ["hello"]
    turn = db.messages.find_one({"_id": f"{mine.sid}:1"})
    assert turn["session_id"] == first(db, mine)["session_id"] != first(db, other)["session_id"]


@pytest.mark.parametrize("state", ["", "x", "%FF", "W10.x", "a.b.c", "%C3%A4"])
def test_a_state_that_is_not_ours_does_not_move_a_turn(call, db, state):
    call.begin()
    call.action = forged(call, state)
    assert said(call.say("hello")) == ["hello"]
    assert db.messages.find_one({"_id": f"{call.sid}:1"})["session_id"] == session(db)["_id"]


@pytest.mark.parametrize("state", ["", "&state=x"])
def test_a_late_turn_finds_its_call_without_a_state(twilio, db, clock, state):
    early, late = Call(twilio), Call(twilio)
    early.begin()
    early.post(f"{VOICE}/status", "voice/status_completed")
    clock.move_to(minutes=30)
    late.begin()
    early.action = f"{VOICE}/turn?turn=1{state}"
    early.say("hello")
    turn = db.messages.find_one({"_id": f"{early.sid}:1"})
    assert turn["session_id"] == first(db, early)["session_id"] != first(db, late)["session_id"]


def test_a_state_for_another_turn_does_not_count_its_silences(call):
    call.begin()
    call.stay_silent()
    call.action = call.action.replace("turn=2", "turn=1")
    assert said(call.stay_silent()) == [SILENCE]


def test_a_turn_of_an_unknown_call_is_not_lost(call, db):
    call.action = f"{VOICE}/turn?turn=3"
    assert said(call.say("hello")) == ["hello"]
    assert session(db)["message_count"] == 2


def test_a_long_call_stays_in_its_session_whatever_the_gap(make_app, db, clock):
    call = Call(Twilio(make_app(voice={"max_minutes": 240}).test_client()))
    call.begin()
    clock.move_to(minutes=90)
    call.say("still here")
    clock.move_to(minutes=180)
    call.post(f"{VOICE}/recording", "voice/recording")
    assert session(db)["message_count"] == 4


def close_by_hand(db: Any, moment: Any) -> None:
    change = {"status": "closed", "closed_reason": "operator", "closed_at": moment}
    db.sessions.update_many({}, {"$set": change, "$unset": {"open_keys": ""}})


def test_a_turn_stays_in_its_session_when_an_operator_closes_it_meanwhile(call, db, clock):
    call.begin()
    close_by_hand(db, TEN + timedelta(seconds=5))
    clock.move_to(seconds=10)
    assert said(call.say("hello")) == ["hello"]
    assert (session(db)["status"], session(db)["message_count"]) == ("closed", 3)


def test_a_recording_is_counted_when_an_operator_closed_the_session_meanwhile(call, db, clock):
    call.begin()
    close_by_hand(db, TEN + timedelta(seconds=5))
    clock.move_to(seconds=10)
    call.post(f"{VOICE}/recording", "voice/recording")
    assert (session(db)["status"], session(db)["message_count"]) == ("closed", 2)


def test_a_text_during_a_call_has_a_session_of_its_own(call, db):
    call.begin()
    call.twilio.sms(From="+15558675310")
    assert sorted(db.sessions.distinct("communication_type")) == ["sms", "voice"]


def test_a_second_call_soon_after_joins_the_session(twilio, db, clock):
    calls = [Call(twilio), Call(twilio)]
    for minutes, call in enumerate(calls):
        clock.move_to(minutes=minutes)
        call.begin()
    assert session(db)["live"] == [call.sid for call in calls]
    calls[0].post(f"{VOICE}/status", "voice/status_completed")
    assert session(db)["live"] == [calls[1].sid]


# Status


def test_the_end_of_a_call_is_kept_and_lets_go_of_it(call, db, clock):
    call.begin()
    clock.move_to(minutes=10)
    assert call.post(f"{VOICE}/status", "voice/status_completed").status_code == 204
    message = first(db, call)
    assert (message["status"], message["metadata"]["CallDuration"]) == ("completed", "49")
    assert (session(db)["live"], session(db)["status"]) == ([], "active")
    assert session(db)["last_message_at"] == TEN + timedelta(minutes=10)
    assert session(db)["message_count"] == 1


@pytest.mark.parametrize("status", ["initiated", "ringing", "in-progress", "answered", "queued"])
def test_only_the_end_lets_go_of_a_call(call, db, clock, status):
    call.begin()
    clock.move_to(minutes=1)
    call.post(f"{VOICE}/status", "voice/status_completed", CallStatus=status, SequenceNumber="1")
    assert session(db)["live"] == [call.sid]
    assert session(db)["last_message_at"] == TEN


@pytest.mark.parametrize("status", ["completed", "busy", "failed", "no-answer", "canceled"])
def test_every_end_lets_go_of_a_call(call, db, status):
    call.begin()
    call.post(f"{VOICE}/status", "voice/status_completed", CallStatus=status)
    assert session(db)["live"] == []
    assert first(db, call)["status"] == status


@pytest.mark.parametrize("order", list(itertools.permutations(["ringing", "in-progress", "completed"])), ids="-".join)
def test_statuses_in_any_order_and_twice_come_to_the_same(call, db, clock, order):
    call.begin()
    for seconds, status in enumerate([*order, *order], start=1):
        clock.move_to(seconds=seconds)
        sequence = {"ringing": "0", "in-progress": "1", "completed": "2"}[status]
        changes = {"CallStatus": status, "SequenceNumber": sequence}
        if status != "completed":
            changes |= {"CallDuration": "0"}
        call.post(f"{VOICE}/status", "voice/status_completed", **changes)
    message = first(db, call)
    assert (message["status"], message["metadata"]["CallDuration"]) == ("completed", "49")
    assert [entry["status"] for entry in message["status_history"]] == list(order)
    assert session(db)["live"] == []
    assert session(db)["last_message_at"] == TEN + timedelta(seconds=order.index("completed") + 1)


def test_the_first_webhook_after_the_end_does_not_hold_the_call_again(call, db):
    call.begin()
    call.post(f"{VOICE}/status", "voice/status_completed")
    call.begin()
    assert session(db)["live"] == []


def test_a_call_whose_end_came_first_is_not_held(call, db):
    call.post(f"{VOICE}/status", "voice/status_completed")
    call.begin()
    assert session(db).get("live", []) == []
    assert first(db, call)["metadata"]["CallDuration"] == "49"


# Withheld numbers


@pytest.mark.parametrize("caller", [*sorted(WITHHELD_NUMBERS), *sorted(WITHHELD_WORDS), "Anonymous", "RESTRICTED", " "])
def test_withheld_callers_have_a_session_a_call_and_no_contact(twilio, db, caller):
    calls = [Call(twilio, {"From": caller, "Caller": caller}) for _ in range(2)]
    for call in calls:
        call.begin("voice/anonymous")
        call.say("hello")
    sessions = list(db.sessions.find().sort("createdAt"))
    assert [found["message_count"] for found in sessions] == [3, 3]
    assert {found["title"] for found in sessions} == {"Call from withheld number"}
    assert {found["metadata"]["fromNumber"] for found in sessions} == {None}
    assert sorted(found["keys"][0] for found in sessions) == sorted(
        f"voice|+15017122661|call:{call.sid}" for call in calls
    )
    assert db.contacts.count_documents({}) == 0
    assert db.messages.distinct("contact_id") == [None]


def test_two_withheld_calls_are_not_merged_over_scope_contact_either(make_app, db):
    twilio = Twilio(make_app(sessions={"scope": "contact"}).test_client())
    for _ in range(2):
        Call(twilio).begin("voice/anonymous")
    assert db.sessions.count_documents({}) == 2


# Recordings


def recording(db: Any) -> dict[str, Any]:
    (found,) = db.messages.find({"_id": {"$regex": "^RE"}})
    return found


PARTS = {
    "recording": ("/webhooks/voice/recording", "voice/recording"),
    "status": ("/webhooks/voice/recording", "voice/recording_status"),
    "transcription": ("/webhooks/voice/transcription", "voice/transcription"),
}


@pytest.mark.parametrize("order", list(itertools.permutations(PARTS)), ids="-".join)
def test_a_recording_and_all_that_follows_is_one_message_in_any_order(call, db, clock, order):
    call.begin()
    for seconds, part in enumerate([*order, *order], start=1):
        clock.move_to(seconds=seconds)
        assert call.post(*PARTS[part]).status_code in (200, 204)
    message = recording(db)
    form = fixture("voice/recording")
    assert message["_id"] == message["provider_sid"] == form["RecordingSid"]
    assert message["media"] == [{"url": form["RecordingUrl"], "content_type": "audio/x-wav", "duration_seconds": 21}]
    assert message["content"] == "Hi this is Ada please call me back about the repair."
    assert (message["sender"], message["direction"]) == ("contact", "inbound")
    assert message["session_id"] == session(db)["_id"]
    assert message["createdAt"] == TEN + timedelta(seconds=1)
    assert (message["channel_id"], message["communication_type"]) == ("voice:+15017122661", "voice")
    assert isinstance(message["contact_id"], ObjectId)
    assert message["metadata"]["TranscriptionStatus"] == "completed"
    assert message["metadata"]["RecordingStartTime"] == "Tue, 03 Mar 2026 18:04:07 +0000"
    assert session(db)["message_count"] == 2


def test_a_recording_alone_has_no_text_yet(call, db):
    call.begin()
    assert is_empty(call.post(*PARTS["recording"]))
    assert recording(db)["content"] == ""


def test_a_transcription_that_failed_leaves_the_text_empty(call, db):
    call.begin()
    form = {"TranscriptionStatus": "failed", "TranscriptionText": ""}
    assert call.post(*PARTS["transcription"], **form).status_code == 204
    assert (recording(db)["content"], recording(db)["media"]) == ("", [])


def test_a_late_callback_of_a_recording_in_progress_takes_nothing_away(call, db):
    call.begin()
    call.post(*PARTS["status"])
    call.post(*PARTS["status"], RecordingStatus="in-progress", RecordingDuration="")
    assert recording(db)["media"][0]["duration_seconds"] == 21
    assert recording(db)["metadata"]["RecordingStatus"] == "completed"


def test_two_recordings_of_a_call_are_two_messages(call, db):
    call.begin()
    for sid in ("RE" + "1" * 32, "RE" + "2" * 32):
        call.post(*PARTS["recording"], RecordingSid=sid)
    assert session(db)["message_count"] == 3


def test_a_recording_belongs_to_the_session_of_its_call_after_a_rollover(twilio, db, clock):
    early, late = Call(twilio), Call(twilio)
    early.begin()
    early.post(f"{VOICE}/status", "voice/status_completed")
    clock.move_to(minutes=30)
    late.begin()
    early.post(*PARTS["recording"])
    assert db.sessions.count_documents({}) == 2
    assert recording(db)["session_id"] == first(db, early)["session_id"]


# Forwarded calls, and calls nobody knows


@pytest.mark.parametrize(("name", "outcome"), [("dial_completed", "completed"), ("dial_no_answer", "no-answer")])
def test_the_outcome_of_a_dial_is_kept(call, db, name, outcome):
    call.begin()
    answer = call.post(f"{VOICE}/dial", f"voice/{name}")
    assert is_empty(answer)
    metadata = first(db, call)["metadata"]
    form = fixture(f"voice/{name}")
    carried = {key: value for key, value in form.items() if key.startswith("Dial")}
    assert {key: metadata.get(key) for key in carried} == carried
    assert metadata["DialCallStatus"] == outcome


UNKNOWN = [
    (f"{VOICE}/status", "voice/status_completed"), (f"{VOICE}/dial", "voice/dial_completed"), *PARTS.values()
]  # fmt: skip


@pytest.mark.parametrize(("path", "name"), UNKNOWN)
def test_a_callback_of_an_unknown_call_is_parked_and_answered(call, db, path, name):
    answer = call.post(path, name)
    assert answer.status_code == 204 or is_empty(answer)
    assert contents(db) == {"callbacks": 1}
    (parked,) = db.callbacks.find()
    assert (parked["about"], parked["receivedAt"]) == (call.sid, TEN)
    carried = fixture(name)
    for parameter in (
        "CallStatus",
        "CallDuration",
        "DialCallStatus",
        "RecordingUrl",
        "TranscriptionText",
        "RecordingSid",
    ):
        if parameter in carried:
            assert parked["event"]["parameters"].get(parameter) == carried[parameter], parameter


def test_callbacks_parked_at_one_moment_are_all_kept(call, db):
    for path, name in UNKNOWN:
        call.post(path, name)
    assert contents(db) == {"callbacks": len(UNKNOWN)}


@pytest.mark.parametrize("part", PARTS)
def test_a_recording_whose_call_came_later_is_not_lost(call, db, part):
    call.post(*PARTS[part])
    call.begin()
    assert recording(db)["session_id"] == session(db)["_id"]


def test_what_follows_a_call_is_logged(call, logged):
    call.begin()
    call.post(f"{VOICE}/status", "voice/status_completed")
    call.post(*PARTS["recording"])
    (ended,) = named(logged, "call_status")
    assert (ended["call_sid"], ended["status"]) == (call.sid, "completed")
    (kept,) = named(logged, "recording_stored")
    assert kept["sid"] == fixture("voice/recording")["RecordingSid"]
