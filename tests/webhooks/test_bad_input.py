"""What nobody should send: refused without a trace, or stored exactly as it came; never an error page."""

import hashlib
import io
import json
from collections.abc import Iterator
from typing import Any
from urllib.parse import quote, urlencode

import orjson
import pytest
from flask import Flask

from gateway.channels.base import Form
from gateway.channels.signature import SETTINGS_HEADER, sign
from gateway.channels.speech import speakable
from gateway.responders import Responder
from tests.conftest import ACCOUNT, HOST, TOKEN, Twilio, fixture
from tests.webhooks.conftest import captured, contents, named, said, texts, twiml

FORM_TYPE = "application/x-www-form-urlencoded"
SMS, VOICE, STATUS = "/webhooks/sms", "/webhooks/voice", "/webhooks/status"


def post_raw(app: Flask, body: bytes, pairs: Any, *, path: str = SMS, mimetype: str = FORM_TYPE, **more: Any) -> Any:
    """Post a body as it is, signed over the parameters it is meant to hold."""
    headers = {"X-Twilio-Signature": sign(TOKEN, HOST + path, Form(pairs))}
    return app.test_client().post(path, data=body, headers=headers, content_type=mimetype, **more)


def refused(answer: Any, logged: Any, reason: str) -> None:
    """Expect a malformed request's answer and its line in the log."""
    assert (answer.status_code, answer.data) == (400, b"<Response/>")
    assert answer.content_type == "text/xml; charset=utf-8"
    (event,) = named(logged, "webhook_rejected")
    assert (event["reason"], event["log_level"], event["status"]) == (reason, "warning", 400)


# Unverifiable

PATHS = [
    SMS, "/webhooks/whatsapp", VOICE, f"{VOICE}/turn", f"{VOICE}/wait", f"{VOICE}/recording",
    f"{VOICE}/transcription", f"{VOICE}/dial", f"{VOICE}/status", STATUS,
]  # fmt: skip


@pytest.mark.parametrize("path", PATHS)
def test_i10_an_unsigned_or_forged_request_gets_an_empty_403(app, db, logged, path):
    for headers in ({}, {"X-Twilio-Signature": ""}, {"X-Twilio-Signature": "x"}):
        form = fixture("sms/text") | fixture("voice/incoming")
        answer = app.test_client().post(path, data=form, headers=headers)
        assert (answer.status_code, answer.data, contents(db)) == (403, b"", {})
    reasons = [event["reason"] for event in named(logged, "webhook_rejected")]
    assert reasons == ["no_signature", "no_signature", "bad_signature"]


def test_an_unknown_account_gets_403(twilio, db, logged):
    answer = twilio.sms(AccountSid="AC" + "9" * 32)
    assert (answer.status_code, answer.data, contents(db)) == (403, b"", {})
    assert named(logged, "webhook_rejected")[0]["reason"] == "unknown_account"


def test_an_unknown_key_gets_403(twilio, db, logged):
    answer = twilio.post(SMS, fixture("sms/text"), **{SETTINGS_HEADER: "key=nobodys,algorithm=HMAC_SHA256"})
    assert (answer.status_code, answer.data, contents(db)) == (403, b"", {})
    assert named(logged, "webhook_rejected")[0]["reason"] == "unknown_key"


@pytest.mark.parametrize("query", ["", "?bodySHA256=abc", "?bodySHA256=%FF", "?bodySHA256=%C3%BC", "?bodySHA256"])
def test_forged_json_gets_403(app, db, query):
    answer = app.test_client().post(SMS + query, json={"a": 1}, headers={"X-Twilio-Signature": "x"})
    assert (answer.status_code, answer.data, contents(db)) == (403, b"", {})


# Malformed


@pytest.mark.parametrize(
    ("path", "name", "missing"),
    [(path, "sms/text", missing) for path in (SMS, "/webhooks/whatsapp") for missing in ("MessageSid", "From", "To")]
    + [(VOICE, "voice/incoming", missing) for missing in ("CallSid", "To")]
    + [(f"{VOICE}/turn", "voice/gather_speech", missing) for missing in ("CallSid", "To")]
    + [(f"{VOICE}/wait", "voice/gather_speech", "CallSid")]
    + [(f"{VOICE}/recording", "voice/recording", missing) for missing in ("CallSid", "RecordingSid")]
    + [(f"{VOICE}/transcription", "voice/transcription", missing) for missing in ("CallSid", "RecordingSid")]
    + [(f"{VOICE}/dial", "voice/dial_completed", missing) for missing in ("CallSid", "DialCallStatus")]
    + [(f"{VOICE}/status", "voice/status_completed", missing) for missing in ("CallSid", "CallStatus")]
    + [(STATUS, "status/sent", missing) for missing in ("MessageSid", "MessageStatus")],
)
@pytest.mark.parametrize("how", ["missing", "empty"])
def test_i10_a_form_without_what_names_it_gets_400(twilio, db, logged, path, name, missing, how):
    form = fixture(name) | {missing: ""}
    if how == "missing":
        del form[missing]
    answer = twilio.post(path, form)
    refused(answer, logged, "missing_parameter")
    assert named(logged, "webhook_rejected")[0]["parameter"] == missing
    assert contents(db) == {}


def test_json_vouched_for_by_its_hash_is_no_form(app, db, logged):
    body = json.dumps(fixture("sms/text")).encode()
    path = f"{SMS}?bodySHA256={hashlib.sha256(body).hexdigest()}"
    answer = post_raw(app, body, [], path=path, mimetype="application/json")
    refused(answer, logged, "not_a_form")
    assert contents(db) == {}


@pytest.mark.parametrize("mimetype", ["text/plain", "application/octet-stream", ""])
def test_a_signed_form_that_is_not_called_one_gets_400(app, db, logged, mimetype):
    form = fixture("sms/text")
    answer = post_raw(app, urlencode(form).encode(), form, mimetype=mimetype)
    refused(answer, logged, "not_a_form")
    assert contents(db) == {}


def test_a_signed_multipart_form_gets_400(twilio, db, logged):
    form = fixture("sms/text")
    headers = {"X-Twilio-Signature": sign(TOKEN, HOST + SMS, form)}
    answer = twilio.client.post(SMS, data=form, headers=headers, content_type="multipart/form-data")
    refused(answer, logged, "not_a_form")
    assert contents(db) == {}


def test_a_form_with_a_charset_is_a_form(app):
    form = fixture("sms/text")
    answer = post_raw(app, urlencode(form).encode(), form, mimetype=f"{FORM_TYPE}; charset=UTF-8")
    assert texts(answer) == [form["Body"]]


def long_form(length: int) -> tuple[bytes, dict[str, str]]:
    form = fixture("sms/text") | {"Body": ""}
    form["Body"] = "a" * (length - len(urlencode(form)))
    return urlencode(form).encode(), form


def test_a_body_of_a_million_bytes_is_taken(app, db):
    body, form = long_form(1_000_000)
    assert post_raw(app, body, form).status_code == 200
    assert len(db.messages.find_one({"_id": form["MessageSid"]})["content"]) == len(form["Body"])


@pytest.mark.parametrize("length", [1_000_001, 5_000_000])
def test_a_body_over_a_million_bytes_gets_400(app, db, logged, length):
    body, form = long_form(length)
    refused(post_raw(app, body, form), logged, "too_large")
    assert contents(db) == {}


@pytest.mark.parametrize("length", [1_000_001, 1_000_002, 5_000_000])
def test_a_body_over_a_million_bytes_without_a_length_gets_400(app, db, logged, length):
    body, form = long_form(length)
    headers = {"X-Twilio-Signature": sign(TOKEN, HOST + SMS, form)}
    answer = app.test_client().post(
        SMS, input_stream=io.BytesIO(body), headers=headers, content_type=FORM_TYPE,
        environ_overrides={"wsgi.input_terminated": True, "CONTENT_LENGTH": ""},
    )  # fmt: skip
    refused(answer, logged, "too_large")
    assert contents(db) == {}


@pytest.mark.parametrize("length", ["9223372036854775808", "9" * 20])
def test_a_body_whose_length_no_log_line_holds_gets_400(app, db, logged, length):
    claimed = {"CONTENT_LENGTH": length}
    refused(post_raw(app, b"", fixture("sms/text"), environ_overrides=claimed), logged, "too_large")
    orjson.dumps(named(logged, "webhook_rejected"), default=str)
    assert contents(db) == {}


def test_a_length_of_thousands_of_digits_gets_403(app, db):
    answer = post_raw(app, b"", fixture("sms/text"), environ_overrides={"CONTENT_LENGTH": "9" * 5000})
    assert (answer.status_code, contents(db)) == (403, {})


class HungUp(io.BytesIO):
    """A connection whose client is gone."""

    def read(self, *_: Any) -> bytes:
        raise ConnectionResetError


BODY = urlencode(fixture("sms/text")).encode()


@pytest.mark.parametrize("came", [io.BytesIO(BODY[:-1]), io.BytesIO(), HungUp()], ids=["most", "nothing", "reset"])
def test_a_body_that_ends_too_soon_is_not_taken_for_a_form(app, db, logged, came):
    cut = {"CONTENT_LENGTH": str(len(BODY)), "wsgi.input": came}
    refused(post_raw(app, b"", fixture("sms/text"), environ_overrides=cut), logged, "cut_short")
    assert contents(db) == {}


@pytest.mark.parametrize(
    "value", [b"J\xfcrgen", b"J%FCrgen", b"%ED%A0%80", b"%C3", b"%F8%88%80%80%80"],
    ids=["latin-1 bytes", "latin-1 quoted", "surrogate", "cut off", "too long"],
)  # fmt: skip
def test_what_is_not_utf8_gets_400(app, db, logged, value):
    form = fixture("sms/text") | {"Body": "x"}
    body = urlencode(form).encode().replace(b"Body=x", b"Body=" + value)
    refused(post_raw(app, body, form), logged, "bad_encoding")
    assert contents(db) == {}


def test_too_many_fields_get_400(app, db, logged):
    form = fixture("sms/text") | {f"Extra{number}": "" for number in range(1001)}
    answer = post_raw(app, urlencode(form).encode(), form)
    assert (answer.status_code, answer.data, contents(db)) == (400, b"<Response/>", {})
    assert named(logged, "webhook_rejected")


def test_many_fields_are_kept(app, db):
    form = fixture("sms/text") | {f"Extra{number}": "1" for number in range(900)}
    assert post_raw(app, urlencode(form).encode(), form).status_code == 200
    assert db.messages.find_one({"_id": form["MessageSid"]})["metadata"]["Extra899"] == "1"


# Odd, but genuine


def test_an_unknown_number_of_ours_becomes_a_channel_once(twilio, db, logged):
    twilio.sms(To="+15005550006")
    twilio.sms(To="+15005550006")
    twilio.sms(To="+15005550006", From="+15558675311")
    (event,) = named(logged, "channel_created")
    assert event["channel_id"] == "sms:+15005550006"
    (channel,) = db.channels.find()
    assert (channel["phone_number"], channel["communication_type"]) == ("+15005550006", "sms")
    assert channel["account_sid"] == ACCOUNT


ODD_TEXTS = {
    "control characters": "a\x01b\x08c\x1bd\x7f",
    "NUL": "a\0b",
    "emoji": "👩" * 1600,
    "joined emoji": "👩🏽‍🔧🏳️‍🌈" * 100,
    "right to left": "\u202eשלום\u202c مرحبا \u200f!",
    "markup": '</Message><Redirect>https://evil.example</Redirect> & "x" <![CDATA[]]>',
    "byte order mark": "\ufeffhi",
    "not characters": "a\ufffe\uffffb",
    "percent": "100% of %zz %",
    "lines": "a\nb\tc",
    "injection": "{$where: 1} ${x} {{7*7}} %s",
}
_UNWRITABLE = dict.fromkeys([*range(9), 11, 12, *range(14, 32), 0xFFFE, 0xFFFF])


@pytest.mark.parametrize("text", ODD_TEXTS.values(), ids=ODD_TEXTS)
def test_an_odd_text_is_stored_as_sent_and_echoed_as_xml_allows(twilio, db, text):
    answer = twilio.sms(text)
    assert "".join(texts(answer)) == text.translate(_UNWRITABLE)
    assert db.messages.find_one({"direction": "inbound"})["content"] == text


@pytest.mark.parametrize("text", ["\r\n", "a\rb\r\n"])
def test_a_line_end_is_stored_as_sent(twilio, db, text):
    twiml(twilio.sms(text))
    assert db.messages.find_one({"direction": "inbound"})["content"] == text


@pytest.mark.parametrize("text", ODD_TEXTS.values(), ids=ODD_TEXTS)
def test_odd_words_are_spoken_as_xml_allows(call, text):
    call.begin()
    heard = speakable(text.translate(_UNWRITABLE))
    assert said(call.say(text)) == ([heard] if heard else [])


@pytest.mark.parametrize(
    ("name", "stored"),
    [
        ("a.b.c", "a．b．c"),
        ("$where", "＄where"),
        ("a\0b", "a\ufffdb"),
        ("", "_"),
        ("ключ", "ключ"),
        ("_id", "_id"),
    ],
)
def test_an_odd_parameter_name_is_kept(twilio, db, name, stored):
    assert twilio.sms(**{name: "value"}).status_code == 200
    assert db.messages.find_one({"direction": "inbound"})["metadata"][stored] == "value"


@pytest.mark.parametrize("path", [f"{VOICE}/status", f"{VOICE}/dial", f"{VOICE}/recording"])
def test_an_odd_parameter_name_of_a_callback_is_kept(call, db, path):
    call.begin()
    form = fixture("voice/status_completed") | fixture("voice/dial_completed") | fixture("voice/recording")
    answer = call.twilio.post(path, form | {"CallSid": call.sid, "a.$b\0": "value"})
    assert answer.status_code in (200, 204)
    assert db.messages.count_documents({"metadata.a．＄b\ufffd": "value"}) == 1


def test_lone_percent_signs_are_read_as_they_are(app, db):
    form = fixture("sms/text")
    body = urlencode(form).replace("Body=" + quote(form["Body"], safe="").replace("%20", "+"), "Body=100%+%zz")
    answer = post_raw(app, body.encode(), form | {"Body": "100% %zz"})
    assert texts(answer) == ["100% %zz"]
    assert db.messages.find_one({"_id": form["MessageSid"]})["content"] == "100% %zz"


@pytest.mark.parametrize("path", ["/webhooks/sms", "/webhooks/whatsapp"])
@pytest.mark.parametrize(
    "changes",
    [
        {"From": "$x", "To": "$y"},
        {"From": "a.b\0", "To": "c.d\0"},
        {"From": "+" * 2000},
        {"To": "{'$gt': ''}"},
    ],
)
def test_an_odd_address_is_taken_as_it_is(twilio, db, path, changes):
    assert twilio.post(path, fixture("sms/text") | changes).status_code == 200
    assert twilio.post(path, fixture("sms/stop") | changes).status_code == 200
    assert db.sessions.count_documents({}) == 1


# Other methods and paths


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "PATCH"])
def test_another_method_gets_no_page(app, db, method):
    for path in PATHS:
        answer = app.test_client().open(path, method=method)
        assert (answer.status_code, answer.data, contents(db)) == (405, b"", {})
        assert answer.mimetype == "text/xml"


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "path",
    [
        "/webhooks",
        "/webhooks/",
        "/webhooks/nothing",
        "/webhooks//sms",
        "/webhooks/voice/turn/x",
        "/webhooks/../x",
    ],
)
def test_a_wrong_path_gets_no_page_and_no_redirect(app, method, path):
    answer = app.test_client().open(path, method=method)
    assert (answer.status_code, answer.data) == (404, b"")
    assert answer.mimetype == "text/xml"


def test_a_leading_double_slash_gets_no_page_and_no_redirect(app):
    target = {"PATH_INFO": "//webhooks/sms", "RAW_URI": "//webhooks/sms", "REQUEST_URI": "//webhooks/sms"}
    answer = app.test_client().post("/", environ_overrides=target)
    assert answer.status_code in (403, 404)
    assert answer.data == b""


@pytest.mark.parametrize("path", ["/nothing", "/favicon.ico", "/webhook/sms", "/sms"])
def test_an_unknown_path_elsewhere_is_just_not_found(app, path):
    assert app.test_client().get(path).status_code == 404


def every_kind_of_answer(twilio: Twilio) -> Iterator[Any]:
    yield twilio.sms()
    yield twilio.sms("STOP")
    yield twilio.whatsapp()
    yield twilio.call()
    yield twilio.post(STATUS, fixture("status/sent"))
    for path in PATHS:
        yield twilio.client.post(path)
        yield twilio.client.get(path)
        yield twilio.post(path, {"AccountSid": ACCOUNT})
    yield twilio.client.post("/webhooks/nothing")


def test_no_answer_is_plain_text_sets_a_cookie_or_redirects(twilio):
    for answer in every_kind_of_answer(twilio):
        assert answer.mimetype != "text/plain"
        assert "Set-Cookie" not in answer.headers
        assert answer.status_code < 300 or answer.status_code >= 400
        assert b"<html" not in answer.data.lower()


@pytest.mark.parametrize("path", [SMS, VOICE, STATUS])
def test_an_error_nobody_foresaw_gets_an_empty_500(app, twilio, monkeypatch, path):
    def burst(*_: Any) -> None:
        raise RuntimeError("secret detail")

    for name in ("sms", "voice", "status"):
        monkeypatch.setattr(f"gateway.webhooks.{name}.take", burst)
    with captured() as events:
        answer = twilio.post(path, fixture("sms/text") | fixture("voice/incoming") | fixture("status/sent"))
    assert (answer.status_code, answer.data) == (500, b"<Response/>")
    assert answer.content_type == "text/xml; charset=utf-8"
    assert [event["log_level"] for event in named(events, "webhook_failed")] == ["error"]


def test_a_responder_that_fails_costs_its_answer_and_not_the_message(app, twilio, db, monkeypatch):
    def burst(_turn: Any) -> None:
        raise RuntimeError("no")

    monkeypatch.setitem(app.extensions["gateway"].responders, "echo", Responder(burst, quick=True))
    assert texts(twilio.sms()) == [app.extensions["gateway"].settings.reply.apology]
    answer = db.messages.find_one({"direction": "outbound"})
    assert (answer["has_error"], answer["error_message"]) == (True, "no")
    assert db.messages.count_documents({}) == db.sessions.find_one()["message_count"] == 2
