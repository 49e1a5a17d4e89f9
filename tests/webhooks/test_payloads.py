"""Every captured payload: a valid answer, and documents that keep all it carried."""

from typing import Any

import pytest
from bson import ObjectId

from tests.conftest import FIXTURES, TEN, fixture
from tests.webhooks.conftest import is_empty, named, texts, twiml

ROUTES = {"sms": "/webhooks/sms", "whatsapp": "/webhooks/whatsapp", "status": "/webhooks/status"}
CALLBACKS = {
    "recording": "recording",
    "recording_status": "recording",
    "transcription": "transcription",
    "dial_completed": "dial",
    "dial_no_answer": "dial",
    "status_completed": "status",
    "status_no_answer": "status",
    "gather_speech": "turn",
    "gather_dtmf": "turn",
    "gather_empty": "turn",
}
ALL = sorted(f"{path.parent.name}/{path.stem}" for path in FIXTURES.glob("*/*.json"))
MESSAGES = [name for name in ALL if name.startswith(("sms/", "whatsapp/"))]
KEYWORDS = ("sms/stop", "sms/stop_optouttype", "sms/start_optouttype", "sms/help_optouttype")


def route(name: str) -> str:
    """Say where Twilio posts a payload."""
    channel, _, condition = name.partition("/")
    if channel in ROUTES:
        return ROUTES[channel]
    return "/".join(filter(None, ["/webhooks/voice", CALLBACKS.get(condition, "")]))


def inbound(db: Any) -> dict[str, Any]:
    """Give the one inbound message."""
    (message,) = db.messages.find({"direction": "inbound"})
    return message


def session(db: Any) -> dict[str, Any]:
    (found,) = db.sessions.find()
    return found


def test_there_are_payloads():
    assert len(ALL) >= 38


@pytest.mark.parametrize("name", ALL)
def test_every_payload_gets_a_valid_answer(twilio, logged, name):
    answer = twilio.post(route(name), fixture(name))
    if answer.status_code == 204:
        assert answer.data == b""
    else:
        twiml(answer)
    assert not [event for event in logged if event["log_level"] in ("error", "critical")]


@pytest.mark.parametrize("name", MESSAGES)
def test_every_parameter_of_a_message_is_kept(twilio, db, name):
    form = fixture(name)
    twilio.post(route(name), form)
    message = inbound(db)
    files = [value for file in message["media"] for value in (file["url"], file["content_type"])]
    fields = {
        "Body": message["content"],
        "MessageSid": message["provider_sid"], "SmsSid": message["provider_sid"],
        "SmsMessageSid": message["provider_sid"], "NumMedia": str(len(message["media"])),
    }  # fmt: skip
    for parameter, value in form.items():
        if parameter.startswith(("MediaUrl", "MediaContentType")):
            assert value in files
        else:
            assert (message["metadata"] | fields)[parameter] == value, parameter


@pytest.mark.parametrize("name", ["voice/incoming", "voice/anonymous", "voice/forwarded"])
def test_every_parameter_of_a_call_is_kept(twilio, db, name):
    form = fixture(name)
    twilio.post(route(name), form)
    message = inbound(db)
    assert message["provider_sid"] == form.pop("CallSid")
    assert {parameter: message["metadata"].get(parameter) for parameter in form} == form


MESSAGE_FIELDS: dict[str, Any] = {
    "_id": str, "session_id": ObjectId, "channel_id": str, "communication_type": str, "contact_id": ObjectId,
    "direction": str, "sender": str, "content": str, "media": list, "metadata": dict,
}  # fmt: skip
DECISION = {"kind", "gap_seconds", "threshold_seconds", "previous_session_id", "scope", "anchor", "rule"}


@pytest.mark.parametrize("name", [*MESSAGES, "voice/incoming", "voice/forwarded", "voice/gather_speech"])
def test_a_message_has_the_fields_of_the_contract(twilio, db, name):
    twilio.post(route(name), fixture(name))
    message = inbound(db)
    assert {field: type(message.get(field)) for field in MESSAGE_FIELDS} == MESSAGE_FIELDS
    assert (message["sender"], message["direction"]) == ("contact", "inbound")
    assert message["createdAt"] == message["storedAt"] == TEN
    assert set(message["decision"]) >= DECISION
    told = ("kind", "rule", "threshold_seconds", "gap_seconds")
    assert {field: message["decision"][field] for field in told} == {
        "kind": "created", "rule": "first_message", "threshold_seconds": 300.0, "gap_seconds": None,
    }  # fmt: skip
    assert message["answer"]["state"] in ("done", "none")
    assert message["answer"]["twiml"].startswith("<?xml")
    assert message["session_id"] == session(db)["_id"]


@pytest.mark.parametrize("name", MESSAGES)
def test_the_answer_is_what_is_stored_as_answer(twilio, db, name):
    assert twilio.post(route(name), fixture(name)).get_data(as_text=True) == inbound(db)["answer"]["twiml"]


@pytest.mark.parametrize("name", [name for name in MESSAGES if fixture(name)["Body"] and name not in KEYWORDS])
def test_the_echo_is_a_message_of_its_own(twilio, db, name):
    form = fixture(name)
    assert texts(twilio.post(route(name), form)) == [form["Body"]]
    echo = db.messages.find_one({"_id": f"re:{form['MessageSid']}"})
    asked = inbound(db)
    assert (echo["sender"], echo["direction"], echo["content"]) == ("ai", "outbound", form["Body"])
    for field in ("createdAt", "session_id", "channel_id", "contact_id", "communication_type"):
        assert echo[field] == asked[field]
    assert asked["answer"]["state"] == "done"
    assert isinstance(echo["processing_time_ms"], float)
    assert (echo["has_error"], echo["tools_used"]) == (False, [])


@pytest.mark.parametrize(("words", "length"), [("a" * 161, (2, "GSM-7")), ("ж" * 70, (1, "UCS-2"))])
def test_an_answer_says_how_many_segments_it_takes(twilio, db, words, length):
    twilio.sms(words)
    told = db.messages.find_one({"direction": "outbound"})["metadata"]
    assert (told["segments"], told["encoding"]) == length


def test_what_is_said_on_a_call_has_no_segments(call, db):
    call.begin()
    call.say("A table, please")
    assert "segments" not in db.messages.find_one({"direction": "outbound"})["metadata"]


@pytest.mark.parametrize("name", [name for name in MESSAGES if not fixture(name)["Body"]])
def test_a_message_without_words_gets_no_answer(twilio, db, name):
    assert is_empty(twilio.post(route(name), fixture(name)))
    assert db.messages.count_documents({}) == 1
    assert inbound(db)["answer"]["state"] == "none"


def test_both_files_of_a_message_are_kept(twilio, db):
    twilio.post("/webhooks/sms", fixture("sms/mms_2media"))
    form = fixture("sms/mms_2media")
    assert inbound(db)["media"] == [
        {"url": form["MediaUrl0"], "content_type": "image/jpeg"},
        {"url": form["MediaUrl1"], "content_type": "application/pdf"},
    ]


@pytest.mark.parametrize(
    ("name", "carried"),
    [
        ("whatsapp/location", {"Latitude": "34.746481", "Longitude": "-92.289595", "Label": "Example Plaza"}),
        ("whatsapp/button", {"ButtonPayload": "confirm_appt_42", "ButtonText": "Confirm"}),
        ("whatsapp/list", {"ListId": "svc_haircut", "ListTitle": "Haircut"}),
        ("whatsapp/reply", {"OriginalRepliedMessageSid": "SM22222222222222222222222222222222"}),
        ("whatsapp/referral", {"ReferralCtwaClid": "ARexampleclid0001", "ReferralSourceType": "post"}),
        ("whatsapp/contact", {"MessageType": "contacts", "ProfileName": "Ada Example"}),
        ("sms/rcs_button", {"ButtonPayload": "postback_data_1234", "prefix": "rcs"}),
        ("sms/messenger_text", {"prefix": "messenger"}),
    ],
)
def test_what_a_rich_message_carries_is_in_its_metadata(twilio, db, name, carried):
    twilio.post(route(name), fixture(name))
    metadata = inbound(db)["metadata"]
    assert {parameter: metadata.get(parameter) for parameter in carried} == carried


def test_a_contact_card_is_a_file(twilio, db):
    twilio.post("/webhooks/whatsapp", fixture("whatsapp/contact"))
    assert [file["content_type"] for file in inbound(db)["media"]] == ["text/vcard"]


@pytest.mark.parametrize(
    ("name", "title", "kind", "number", "identity"),
    [
        ("sms/text", "SMS from +15558675310", "sms", "+15558675310", "+15558675310"),
        ("sms/shortcode", "SMS from 12345", "sms", "12345", "12345"),
        ("sms/rcs_text", "SMS from +15558675310", "sms", "+15558675310", "+15558675310"),
        ("sms/messenger_text", "SMS from 200000000000002", "sms", None, "messenger:200000000000002"),
        ("whatsapp/text", "WhatsApp from +15558675310", "whatsapp", "+15558675310", "+15558675310"),
        (
            "whatsapp/bsuid",
            "WhatsApp from US.13491208655302741918",
            "whatsapp",
            None,
            "whatsapp:US.13491208655302741918",
        ),
        ("voice/incoming", "Call from +15558675310", "voice", "+15558675310", "+15558675310"),
        (
            "voice/anonymous",
            "Call from withheld number",
            "voice",
            None,
            "call:CAc1c1c1c1c1c1c1c1c1c1c1c1c1c1c1c1",
        ),
    ],
)
def test_a_session_is_named_after_its_sender(twilio, db, name, title, kind, number, identity):
    form = fixture(name)
    twilio.post(route(name), form)
    stored = session(db)
    assert (stored["title"], stored["communication_type"]) == (title, kind)
    assert stored["metadata"]["fromNumber"] == number
    assert stored["metadata"]["firstMessageAt"] == TEN
    line = form["To"] if form["To"].startswith(("rcs:", "messenger:")) else form["To"].removeprefix("whatsapp:")
    assert stored["keys"] == [f"{kind}|{line}|{identity}"]
    assert stored["metadata"]["toNumber"] == line.rpartition(":")[2]


def test_a_session_has_the_fields_of_the_contract(twilio, db):
    twilio.sms()
    stored = session(db)
    expected = {
        "channel_id": "sms:+15017122661", "communication_type": "sms", "status": "active", "message_count": 2,
        "last_message_at": TEN, "first_message_at": TEN, "previous_session_id": None, "context": {},
        "createdAt": TEN, "updatedAt": TEN,
    }  # fmt: skip
    assert {field: stored.get(field) for field in expected} == expected
    assert isinstance(stored["contact_id"], ObjectId)


def test_a_whatsapp_sender_is_whatsapp_whatever_the_route(twilio, db):
    twilio.post("/webhooks/sms", fixture("whatsapp/text"))
    twilio.post("/webhooks/whatsapp", fixture("whatsapp/reply"))
    assert session(db)["communication_type"] == "whatsapp"
    assert session(db)["channel_id"] == "whatsapp:+14155238886"


def test_a_plain_number_is_sms_whatever_the_route(twilio, db):
    twilio.post("/webhooks/whatsapp", fixture("sms/text"))
    assert session(db)["communication_type"] == "sms"


def test_a_phone_and_a_user_id_seen_together_are_one_sender(twilio, db):
    user = {"ExternalUserId": "whatsapp:US.13491208655302741918"}
    twilio.whatsapp("with both", **user)
    twilio.post("/webhooks/whatsapp", fixture("whatsapp/bsuid"))
    twilio.whatsapp("with the number alone")
    assert session(db)["message_count"] == 6
    (contact,) = db.contacts.find()
    assert (contact["phones"], contact["external_ids"]) == (["+15558675310"], list(user.values()))
    assert contact["name"] == "Ada Example"


@pytest.mark.parametrize("name", ["whatsapp/bsuid", "sms/shortcode", "sms/messenger_text"])
def test_a_sender_without_a_phone_is_a_contact_all_the_same(twilio, db, name):
    twilio.post(route(name), fixture(name))
    (contact,) = db.contacts.find()
    assert "phones" not in contact
    assert contact["external_ids"] == [fixture(name)["From"]]


def test_an_unknown_message_type_is_taken(twilio, db):
    answer = twilio.whatsapp("", MessageType="reaction", NumMedia="0")
    assert is_empty(answer)
    assert inbound(db)["metadata"]["MessageType"] == "reaction"


def test_a_fallback_request_counts_as_the_message_it_repeats(twilio, db):
    form = fixture("sms/fallback_error")
    answers = [
        twilio.post("/webhooks/sms", {name: form[name] for name in form if not name.startswith("Error")}),
        twilio.post("/webhooks/sms", form),
    ]
    assert answers[0].data == answers[1].data
    assert session(db)["message_count"] == 2


def test_a_fallback_request_alone_is_a_message(twilio, db):
    form = fixture("sms/fallback_error")
    assert texts(twilio.post("/webhooks/sms", form)) == [form["Body"]]
    assert inbound(db)["metadata"]["ErrorUrl"] == form["ErrorUrl"]


def test_a_message_is_logged_without_its_words(twilio, logged):
    twilio.sms("a private matter")
    (event,) = named(logged, "message_received")
    assert (event["log_level"], event["communication_type"], event["answered"]) == ("info", "sms", True)
    assert "private" not in str(logged)
