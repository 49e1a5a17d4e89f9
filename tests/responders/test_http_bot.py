"""The user's own bot: what it is sent, what it may answer, and the example of its page."""

import hashlib
import hmac
import re
import time
from datetime import timedelta
from pathlib import Path

import pytest
import requests
from structlog.testing import capture_logs
from werkzeug.wrappers import Response

from gateway import responders, settings
from gateway.core.errors import ResponderFailed
from gateway.core.messages import Media
from gateway.core.replies import Action, Reply, Said
from tests.responders.conftest import TEN, turn
from tests.stand_ins.bots import serve

SECRET = "a-secret"
PAGE = Path(__file__).parents[2] / "docs/responders/http_bot.md"


def ask(url, asked=None, *, secret=SECRET, **given):
    configured = settings.load(env="test", http_bot={"url": url, "secret": secret, "tries": 2} | given)
    return responders.build(configured)["http_bot"].respond(asked or turn())


def signature(secret, timestamp, body):
    return "v1=" + hmac.new(secret.encode(), f"{timestamp}.".encode() + body, hashlib.sha256).hexdigest()


def test_it_is_sent_the_turn_and_the_history(server):
    picture = Media("https://api.twilio.com/m1", "image/png", {"sid": "ME1"})
    past = (
        Said("contact", "Hi", TEN - timedelta(seconds=90), (picture,)),
        Said("agent", "Hello Ada", TEN - timedelta(seconds=60), (), "6b01018cd99d168fb94171b6", "c2", "whatsapp"),
    )
    ask(server.url, turn("One\nTwo", fragments=("One", "Two"), media=(picture,), history=past))
    sent = {"url": "https://api.twilio.com/m1", "content_type": "image/png"}
    assert server.asked[0].method == "POST"
    assert server.asked[0].headers["Content-Type"] == "application/json"
    assert server.asked[0].json == {
        "message_id": "SM1",
        "session_id": "6b01018cd99d168fb94171b7",
        "channel": {"id": "c1", "name": "Front desk", "type": "sms", "number": "+15017122661"},
        "contact": {"id": "p1", "name": "Ada", "number": "+15558675310"},
        "content": "One\nTwo",
        "fragments": ["One", "Two"],
        "media": [sent],
        "received_at": "2026-03-01T10:00:00+00:00",
        "history": [
            {
                "sender": "contact",
                "content": "Hi",
                "at": "2026-03-01T09:58:30+00:00",
                "media": [sent],
                "session_id": "",
                "channel": {"id": "", "type": ""},
            },
            {
                "sender": "agent",
                "content": "Hello Ada",
                "at": "2026-03-01T09:59:00+00:00",
                "media": [],
                "session_id": "6b01018cd99d168fb94171b6",
                "channel": {"id": "c2", "type": "whatsapp"},
            },
        ],
    }


def test_a_withheld_caller_has_neither_id_nor_number(server):
    ask(server.url, turn(contact_id=None, contact_name="", number=None))
    assert server.asked[0].json["contact"] == {"id": None, "name": "", "number": None}


@pytest.mark.parametrize("content", ["Grüße 👩🏽‍🔧", "half \ud83d of a pair", 'a "quote"\n'])
def test_any_text_arrives_as_it_was_said(server, content):
    ask(server.url, turn(content))
    assert server.asked[0].json["content"] == content


def test_the_signature_verifies_and_no_longer_does_when_the_body_is_changed(server):
    ask(server.url)
    asked = server.asked[0]
    timestamp, given = asked.headers["X-Gateway-Timestamp"], asked.headers["X-Gateway-Signature"]
    assert abs(int(timestamp) - time.time()) < 5
    assert given == signature(SECRET, timestamp, asked.body)
    assert given != signature(SECRET, timestamp, asked.body + b" ")
    assert given != signature(SECRET, str(int(timestamp) + 1), asked.body)
    assert given != signature("another", timestamp, asked.body)


def test_without_a_secret_nothing_is_signed(server):
    ask(server.url, secret="")
    assert "X-Gateway-Signature" not in server.asked[0].headers


def test_a_request_sent_again_is_signed_anew_under_the_same_message_id(server):
    server.answers = [Response(status=503, headers={"Retry-After": "1"}), {"text": "Hi"}]
    assert ask(server.url).text == "Hi"
    first, second = (asked.headers for asked in server.asked)
    assert first["X-Gateway-Message-Id"] == second["X-Gateway-Message-Id"] == "SM1"
    assert int(second["X-Gateway-Timestamp"]) > int(first["X-Gateway-Timestamp"])
    assert second["X-Gateway-Signature"] == signature(SECRET, second["X-Gateway-Timestamp"], server.asked[1].body)


def test_the_settings_say_how_often_and_how_long(server):
    server.answers = [Response(status=503)]
    with pytest.raises(ResponderFailed):
        ask(server.url, tries=4)
    assert len(server.asked) == 4


URLS = [f"https://example.com/{number}.png" for number in range(11)]


@pytest.mark.parametrize(
    ("answer", "reply"),
    [
        ({"text": "Hi"}, Reply("Hi", "http_bot")),
        ({"media": URLS[:10]}, Reply("", "http_bot", tuple(URLS[:10]))),
        (
            {"text": None, "media": None, "actions": None, "token_count": None, "tools_used": None},
            Reply("", "http_bot"),
        ),
        ({"text": "Hi", "mood": "good"}, Reply("Hi", "http_bot")),
        (
            {"actions": [{"type": "close"}, {"type": "tag", "name": "vip", "n": [1]}]},
            Reply("", "http_bot", actions=(Action("close"), Action("tag", {"name": "vip", "n": [1]}))),
        ),
        (
            {"text": "Hi", "token_count": 12, "tools_used": ["calendar"]},
            Reply("Hi", "http_bot", token_count=12, tools_used=("calendar",)),
        ),
        ({}, Reply("", "http_bot")),
        (Response(status=204), Reply("", "http_bot")),
        (Response(b""), Reply("", "http_bot")),
        (Response(b" \n"), Reply("", "http_bot")),
        (Response(b'{"text": "Hi"}', content_type="text/html", status=201), Reply("Hi", "http_bot")),
    ],
)
def test_its_answer_becomes_the_reply(server, answer, reply):
    server.answers = [answer]
    assert ask(server.url) == reply


@pytest.mark.parametrize(
    ("answer", "expected"),
    [
        (Response(b"Hello!"), "not JSON"),
        (["Hi"], "JSON array"),
        ({"reply": "Hi"}, "none of the keys text, media and actions"),
        ({"text": 1}, "`text` as number instead of a string"),
        ({"text": ["Hi"]}, "`text` as array instead of a string"),
        ({"media": URLS[0]}, "`media` as string instead of an array"),
        ({"media": [1]}, "number in `media`"),
        ({"media": URLS}, "11 `media`; a message takes 10"),
        ({"media": ["ftp://example.com/a"]}, "absolute http"),
        ({"media": ["/a.png"]}, "absolute http"),
        ({"media": ["https://"]}, "absolute http"),
        ({"media": ["https://[example.com/a"]}, "absolute http"),
        ({"media": ["https://example.com/a b"]}, "absolute http"),
        ({"media": ["https://example.com/a\n"]}, "absolute http"),
        ({"media": ["javascript:alert(1)"]}, "absolute http"),
        ({"actions": {"type": "close"}}, "`actions` as object instead of an array"),
        ({"actions": ["close"]}, "`actions` that are not all objects with a `type`"),
        ({"actions": [{"type": "close"}, {}]}, "`actions` that are not all objects with a `type`"),
        ({"actions": [{"type": 1}]}, "`actions` that are not all objects with a `type`"),
        ({"text": "Hi", "token_count": "12"}, "`token_count` as string instead of a whole number"),
        ({"text": "Hi", "token_count": True}, "`token_count` as boolean"),
        ({"text": "Hi", "tools_used": [{}]}, "object in `tools_used`"),
    ],
)
def test_a_malformed_answer_says_what_is_wrong_and_is_not_asked_for_again(server, answer, expected):
    server.answers = [answer]
    with pytest.raises(ResponderFailed, match=rf"^Your bot at 127.0.0.1:\d+ answered .*{re.escape(expected)}"):
        ask(server.url)
    assert len(server.asked) == 1


@pytest.mark.parametrize("answer", [Response(b"You said PIN 1234"), {"PIN 1234": "x"}, {"media": ["PIN 1234"]}])
def test_errors_quote_neither_the_person_nor_the_bot_nor_the_secret(server, answer):
    server.answers = [answer]
    with pytest.raises(ResponderFailed) as raised:
        ask(server.url, turn("My PIN is 1234"))
    text = str(raised.value)
    assert "PIN" not in text
    assert SECRET not in text
    assert len(text) < 300


def test_without_a_url_the_start_succeeds_and_each_turn_says_what_is_missing():
    with pytest.raises(ResponderFailed, match=r"GATEWAY_HTTP_BOT__URL is empty\. Set it to"):
        ask("")


@pytest.mark.parametrize(("chosen", "logged"), [("http_bot", 1), ("echo", 0)])
def test_a_missing_url_is_logged_only_where_the_bot_answers(chosen, logged):
    with capture_logs() as lines:
        responders.build(settings.load(env="test", reply={"responder": chosen}))
    assert [line["log_level"] for line in lines if line["event"] == "responder_incomplete"] == ["error"] * logged


@pytest.fixture
def example(monkeypatch):
    """The bot of the page, served."""
    monkeypatch.setenv("BOT_SECRET", SECRET)
    (code,) = re.findall(r"```python\n(.*?)```", PAGE.read_text(), re.DOTALL)
    names = {"__name__": "bot"}
    exec(compile(code, str(PAGE), "exec"), names)
    with serve(names["app"]) as url:
        yield url


@pytest.mark.parametrize(
    ("asked", "text"),
    [
        (turn("Are you OPEN?"), "We are open from 9 to 17."),
        (turn("Hello"), "Hello Ada, how can we help you?"),
        (turn("Hello", contact_name=""), "Hello there, how can we help you?"),
        (turn("", media=(Media("https://api.twilio.com/m1"),)), "Thank you for the picture."),
        (turn("Hello", history=(Said("agent", "I am on it", TEN),)), ""),
    ],
)
def test_the_bot_of_the_page_answers(example, asked, text):
    assert ask(example, asked).text == text


def test_the_bot_of_the_page_refuses_another_secret(example):
    with pytest.raises(ResponderFailed, match=r"answered 403\. .*GATEWAY_HTTP_BOT__SECRET"):
        ask(example, secret="another")


def test_the_bot_of_the_page_refuses_what_is_unsigned(example):
    with pytest.raises(ResponderFailed, match="answered 403"):
        ask(example, secret="")


@pytest.mark.parametrize(("age", "status"), [(0, 200), (299, 200), (310, 403)])
def test_the_bot_of_the_page_refuses_what_was_recorded(example, age, status):
    body, timestamp = b'{"media": [], "content": "open?"}', int(time.time()) - age
    headers = {
        "Content-Type": "application/json",
        "X-Gateway-Timestamp": str(timestamp),
        "X-Gateway-Signature": signature(SECRET, timestamp, body),
    }
    assert requests.post(example, data=body, headers=headers, timeout=5).status_code == status
