"""STOP, START and HELP: recorded, never answered by us, and kept to."""

from typing import Any

import pytest

from tests.conftest import TEN, Twilio, fixture
from tests.webhooks.conftest import Call, is_empty, named, said, texts

LINE, SERVICE = "+15017122661", "MG" + "e" * 32
STOPS = ["STOP", "STOPALL", "UNSUBSCRIBE", "CANCEL", "END", "QUIT", "REVOKE", "OPTOUT"]


def opted_out(db: Any) -> set[str]:
    """Give the lines the one contact said STOP to."""
    (contact,) = db.contacts.find()
    return set(contact["opted_out"])


def outbound(db: Any) -> int:
    return db.messages.count_documents({"direction": "outbound"})


@pytest.mark.parametrize("word", [*STOPS, "stop", "Stop", "sToPaLl", " stop ", "stop\n", "Stop."])
def test_i12_a_stop_word_is_recorded_and_not_answered(twilio, db, word):
    assert is_empty(twilio.sms(word))
    assert opted_out(db) == {LINE}
    assert outbound(db) == 0
    (message,) = db.messages.find()
    assert (message["content"], message["metadata"]["keyword"]) == (word, "stop")


def test_a_stop_says_when_and_by_which_message(twilio, db):
    twilio.sms("STOP", MessageSid="SM1")
    assert db.contacts.find_one()["opted_out"] == {LINE: {"at": TEN, "message_id": "SM1"}}


@pytest.mark.parametrize("name", ["sms/stop", "sms/stop_optouttype"])
def test_a_captured_stop_is_recorded(twilio, db, name):
    assert is_empty(twilio.post("/webhooks/sms", fixture(name)))
    assert LINE in opted_out(db)
    assert outbound(db) == 0


@pytest.mark.parametrize("verdict", ["STOP", "stop"])
def test_twilios_verdict_counts_whatever_the_words(twilio, db, verdict):
    assert is_empty(twilio.sms("Arrêt", OptOutType=verdict))
    assert opted_out(db) == {LINE}


@pytest.mark.parametrize("words", ["please stop", "stop it", "stopping", "don't stop", "stop stop", "st op", "stop?"])
def test_a_sentence_is_no_keyword(twilio, db, words):
    assert texts(twilio.sms(words)) == [words]
    assert opted_out(db) == set()


def test_i12_after_stop_messages_are_stored_and_not_answered(twilio, db):
    twilio.sms("hello")
    twilio.sms("STOP")
    assert is_empty(twilio.sms("are you there"))
    assert db.messages.find_one({"content": "are you there"})["answer"]["state"] == "none"
    assert outbound(db) == 1
    assert [found["message_count"] for found in db.sessions.find()] == [4]


@pytest.mark.parametrize("minutes", [4, 6, 600])
def test_a_stop_outlasts_its_session(twilio, db, clock, minutes):
    twilio.sms("STOP")
    clock.move_to(minutes=minutes)
    assert is_empty(twilio.sms("are you there"))
    assert db.sessions.count_documents({}) == (1 if minutes < 5 else 2)
    assert outbound(db) == 0


def test_a_stop_outlasts_several_rollovers(twilio, db, clock):
    twilio.sms("STOP")
    for minutes in (10, 20, 30):
        clock.move_to(minutes=minutes)
        assert is_empty(twilio.sms("are you there"))


def test_i12_a_stop_filed_in_an_earlier_session_holds_there_too(twilio, db, clock):
    twilio.sms("Hello")
    clock.move_to(minutes=10)
    twilio.sms("Hello again")
    clock.move_to(minutes=1)
    twilio.sms("STOP")
    assert is_empty(twilio.sms("are you there"))
    twilio.sms("YES")
    assert texts(twilio.sms("and now")) == ["and now"]
    assert db.sessions.count_documents({}) == 2


def test_a_stop_outlasts_the_process(make_app, db):
    Twilio(make_app().test_client()).sms("STOP")
    assert is_empty(Twilio(make_app().test_client()).sms("hello", MessageSid="SM-later"))


@pytest.mark.parametrize("word", ["START", "UNSTOP", "start", "YES", "yes"])
@pytest.mark.parametrize("minutes", [1, 10], ids=["same session", "after a rollover"])
def test_a_start_word_opts_in_again(twilio, db, clock, word, minutes):
    twilio.sms("STOP")
    clock.move_to(minutes=minutes)
    assert is_empty(twilio.sms(word))
    assert opted_out(db) == set()
    assert texts(twilio.sms("hello")) == ["hello"]
    clock.move_to(minutes=minutes + 10)
    assert texts(twilio.sms("hello again")) == ["hello again"]


def test_a_captured_start_opts_in_again(twilio, db):
    twilio.post("/webhooks/sms", fixture("sms/stop_optouttype"))
    assert is_empty(twilio.post("/webhooks/sms", fixture("sms/start_optouttype")))
    assert opted_out(db) == set()


def test_yes_of_somebody_who_is_in_is_an_answer_like_any_other(twilio, db):
    assert texts(twilio.sms("YES")) == ["YES"]
    assert "keyword" not in db.messages.find_one({"direction": "inbound"})["metadata"]


def test_start_of_somebody_who_is_in_is_not_answered(twilio, db):
    assert is_empty(twilio.sms("START"))
    assert opted_out(db) == set()


@pytest.mark.parametrize("word", ["HELP", "help", "INFO"])
def test_help_is_recorded_and_not_answered(twilio, db, word):
    assert is_empty(twilio.sms(word))
    (message,) = db.messages.find()
    assert message["metadata"]["keyword"] == "help"
    assert opted_out(db) == set()


def test_a_captured_help_is_recorded(twilio, db):
    assert is_empty(twilio.post("/webhooks/sms", fixture("sms/help_optouttype")))
    assert db.messages.find_one()["metadata"]["keyword"] == "help"


def test_help_opts_nobody_in(twilio, db):
    twilio.sms("STOP")
    assert is_empty(twilio.sms("HELP"))
    assert opted_out(db) == {LINE}


# How far a STOP reaches


def test_a_stop_to_one_number_leaves_the_others(twilio, db):
    twilio.sms("STOP")
    assert texts(twilio.sms("hello", To="+15005550006")) == ["hello"]


def test_a_stop_of_one_person_leaves_the_others(twilio):
    twilio.sms("STOP")
    assert texts(twilio.sms("hello", From="+15558675399")) == ["hello"]


def test_a_stop_to_a_messaging_service_covers_all_its_numbers(twilio, db):
    twilio.sms("STOP", MessagingServiceSid=SERVICE)
    assert opted_out(db) == {LINE, SERVICE}
    assert is_empty(twilio.sms("hello", To="+15005550006", MessagingServiceSid=SERVICE))
    assert texts(twilio.sms("hello", To="+15005550007")) == ["hello"]


def test_a_stop_reaches_sessions_that_are_open_already(twilio):
    other = {"To": "+15005550006", "MessagingServiceSid": SERVICE}
    assert texts(twilio.sms("hello", **other)) == ["hello"]
    twilio.sms("STOP", MessagingServiceSid=SERVICE)
    assert is_empty(twilio.sms("hello", **other))


def test_a_start_to_a_messaging_service_covers_all_its_numbers(twilio, db):
    twilio.sms("STOP", MessagingServiceSid=SERVICE)
    twilio.sms("START", To="+15005550006", MessagingServiceSid=SERVICE)
    assert texts(twilio.sms("hello", To="+15005550006", MessagingServiceSid=SERVICE)) == ["hello"]


# WhatsApp and calls


def test_whatsapp_knows_stop_by_default(twilio, db):
    assert is_empty(twilio.whatsapp("STOP"))
    assert opted_out(db) == {"+14155238886"}
    assert is_empty(twilio.whatsapp("hello"))


def test_whatsapp_can_be_told_not_to_know_stop(make_app, db):
    twilio = Twilio(make_app(reply={"responder": "echo", "whatsapp_opt_out": False}).test_client())
    assert texts(twilio.whatsapp("STOP")) == ["STOP"]
    assert opted_out(db) == set()


def test_a_whatsapp_user_without_a_number_can_opt_out(twilio, db):
    form = fixture("whatsapp/bsuid")
    assert is_empty(twilio.post("/webhooks/whatsapp", form | {"Body": "STOP"}))
    assert is_empty(twilio.post("/webhooks/whatsapp", form | {"MessageSid": "SM-later"}))


@pytest.mark.parametrize("name", ["sms/rcs_text", "sms/messenger_text"])
def test_a_stop_to_an_address_that_is_no_number_is_kept(twilio, db, name):
    form = fixture(name) | {"To": "rcs:example.agent"}
    assert is_empty(twilio.post("/webhooks/sms", form | {"Body": "STOP"}))
    assert is_empty(twilio.post("/webhooks/sms", form | {"MessageSid": "SM-later"}))
    assert is_empty(twilio.post("/webhooks/sms", form | {"MessageSid": "SM-start", "Body": "START"}))
    assert texts(twilio.post("/webhooks/sms", form | {"MessageSid": "SM-last"})) == [form["Body"]]


def test_stop_said_in_a_call_is_no_keyword(call, db):
    call.begin()
    assert said(call.say("stop")) == ["stop"]
    assert opted_out(db) == set()


def test_who_opted_out_of_texts_is_still_spoken_to_on_the_phone(twilio):
    twilio.sms("STOP")
    call = Call(twilio)
    call.begin()
    assert said(call.say("hello")) == ["hello"]


# The same again


def test_a_stop_delivered_again_changes_nothing(twilio, db, clock):
    form = fixture("sms/stop")
    once = twilio.post("/webhooks/sms", form)
    before = (list(db.contacts.find()), list(db.messages.find()), list(db.sessions.find()))
    clock.move_to(minutes=1)
    assert twilio.post("/webhooks/sms", form).data == once.data
    assert (list(db.contacts.find()), list(db.messages.find()), list(db.sessions.find())) == before


@pytest.mark.parametrize("minutes", [1, 10], ids=["same session", "after a rollover"])
def test_a_stop_delivered_again_after_start_does_not_opt_out_again(twilio, db, clock, minutes):
    form = fixture("sms/stop")
    twilio.post("/webhooks/sms", form)
    clock.move_to(minutes=minutes)
    twilio.sms("START")
    assert is_empty(twilio.post("/webhooks/sms", form))
    assert opted_out(db) == set()
    assert texts(twilio.sms("hello")) == ["hello"]


def test_a_start_delivered_again_after_stop_does_not_opt_in_again(twilio, db):
    twilio.sms("STOP")
    form = fixture("sms/text") | {"Body": "START"}
    twilio.post("/webhooks/sms", form)
    twilio.sms("STOP")
    assert is_empty(twilio.post("/webhooks/sms", form))
    assert opted_out(db) == {LINE}


def test_a_yes_delivered_again_gets_the_same_answer(twilio, db):
    twilio.sms("STOP")
    form = fixture("sms/text") | {"Body": "YES"}
    for _ in range(2):
        assert is_empty(twilio.post("/webhooks/sms", form))
    assert outbound(db) == 0


def test_opting_out_and_in_is_logged_without_the_number(twilio, logged):
    twilio.sms("STOP")
    twilio.sms("START")
    for name in ("opted_out", "opted_in"):
        (event,) = named(logged, name)
        assert event["session_id"]
        assert "8675310" not in str(event)


@pytest.mark.parametrize(("late", "said_since", "lines"), [("STOP", "START", set()), ("START", "STOP", {LINE})])
def test_a_keyword_that_comes_late_takes_back_nothing_said_since(twilio, db, clock, late, said_since, lines):
    clock.move_to(minutes=2)
    twilio.sms(said_since)
    clock.move_to(minutes=1)
    assert is_empty(twilio.sms(late))
    assert opted_out(db) == lines


def test_a_keyword_that_comes_late_counts_on_a_line_of_its_own(twilio, db, clock):
    twilio.sms("Hello", To="+15017122699")
    clock.move_to(minutes=2)
    twilio.sms("START", To="+15017122699")
    clock.move_to(minutes=1)
    twilio.sms("STOP")
    assert opted_out(db) == {LINE}
