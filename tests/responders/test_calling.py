"""How bots and models are called: bounded, and again only where that can help."""

import gzip
import time
import traceback
from datetime import UTC, datetime, timedelta
from email.utils import format_datetime
from itertools import repeat
from secrets import token_hex

import pytest
from structlog.testing import capture_logs
from tenacity import RetryCallState
from werkzeug.wrappers import Response

from gateway.core.errors import ResponderFailed
from gateway.responders.calling import _BACKOFF, MOST_BYTES, Endpoint, TryAgain, parse_object, seconds_after
from tests.stand_ins.bots import speaking_raw, unused_url

OK = b"HTTP/1.1 200 OK\r\nContent-Length: 2\r\n\r\n{}"
PIECES = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n"


def endpoint(url, *, seconds=5.0, tries=3):
    return Endpoint("http_bot", "Your bot", "GATEWAY_HTTP_BOT__URL", url, seconds, tries)


def post(url, *, headers=None, **changes):
    return endpoint(url, **changes).post(b'{"a": 1}', lambda: headers or {})


def status(code, **headers):
    return Response(status=code, headers={name.replace("_", "-"): value for name, value in headers.items()})


@pytest.mark.parametrize("code", [500, 502, 503, 504, 429])
def test_what_may_pass_is_tried_again(server, code):
    server.answers = [status(code), status(code), {"text": "Hi"}]
    assert post(server.url) == b'{"text": "Hi"}'
    assert [asked.body for asked in server.asked] == [b'{"a": 1}'] * 3


@pytest.mark.parametrize("tries", [1, 2])
def test_after_the_last_try_the_error_names_host_and_status(server, tries):
    server.answers = [status(503)]
    with pytest.raises(ResponderFailed, match=r"^Your bot at 127.0.0.1:\d+ answered 503\."):
        post(server.url, tries=tries)
    assert len(server.asked) == tries


@pytest.mark.parametrize("code", [400, 401, 403, 404, 405, 410, 422])
def test_a_refusal_is_not_tried_again(server, code):
    server.answers = [status(code), {}]
    with pytest.raises(ResponderFailed, match=f"answered {code}"):
        post(server.url)
    assert len(server.asked) == 1


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_redirects_are_not_followed(server, code):
    server.answers = [status(code, Location=f"{server.url}/elsewhere"), {}]
    with pytest.raises(ResponderFailed, match="final URL into GATEWAY_HTTP_BOT__URL"):
        post(server.url)
    assert [asked.path for asked in server.asked] == ["/"]


def test_a_lost_connection_is_tried_again():
    with speaking_raw([], [(0, OK)]) as url:
        assert post(url) == b"{}"


def test_an_answer_that_breaks_off_is_tried_again():
    with speaking_raw([(0, OK[:-1])], [(0, OK)]) as url:
        assert post(url) == b"{}"


def test_nobody_listening_is_an_error_with_its_remedy():
    with pytest.raises(ResponderFailed, match=r"could not be reached \(NewConnectionError\).*GATEWAY_HTTP_BOT__URL"):
        post(unused_url(), tries=1)


@pytest.mark.parametrize(
    "answer",
    [
        [(2, OK)],
        [(0, OK[:-1]), (2, OK[-1:])],
        [(0, PIECES), *repeat((0.1, b"1\r\nx\r\n"), 30)],
        [(0, b"HTTP/1.1 200 OK\r\n\r\n"), *repeat((0.1, b"x"), 30)],
    ],
    ids=["silence", "a body that stalls", "a dripping body in chunks", "a dripping body without length"],
)
def test_who_does_not_answer_in_time_is_given_up_in_time_and_not_asked_again(answer):
    with speaking_raw(answer, [(0, OK)]) as url:
        started = time.monotonic()
        with pytest.raises(ResponderFailed, match=r"within 0.5 s.*raise GATEWAY_HTTP_BOT__TIMEOUT_SECONDS"):
            post(url, seconds=0.5)
        assert 0.5 <= time.monotonic() - started < 4


@pytest.mark.parametrize("zipped", [False, True], ids=["plain", "gzip"])
def test_an_answer_of_just_the_limit_is_read_and_one_byte_more_is_not(server, zipped):
    def body(size):
        packed = gzip.compress(b"x" * size) if zipped else b"x" * size
        return Response(packed, headers={"Content-Encoding": "gzip"} if zipped else {})

    server.answers = [body(MOST_BYTES), body(MOST_BYTES + 1)]
    assert len(post(server.url)) == MOST_BYTES
    with pytest.raises(ResponderFailed, match="more than 256 kB"):
        post(server.url)
    assert len(server.asked) == 2


def test_an_endless_answer_is_read_no_further_than_the_limit():
    with (
        speaking_raw([(0, PIECES), *repeat((0, b"10000\r\n" + b"x" * 65536 + b"\r\n"), 10_000)]) as url,
        pytest.raises(ResponderFailed, match="more than 256 kB"),
    ):
        post(url)


def test_retry_after_is_waited_for(server):
    server.answers = [status(429, Retry_After="1"), status(503, Retry_After="0"), {}]
    post(server.url)
    first, second = server.pauses
    assert 1 <= first < 4
    assert second < 0.9


NOW = datetime(2026, 3, 1, 10, tzinfo=UTC)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [
        (None, None),
        ("", None),
        ("soon", None),
        ("-1", None),
        ("1.5", None),
        ("0", 0),
        ("7", 7),
        ("10", 10),
        ("11", 10),
        ("9" * 400, 10),
        (format_datetime(NOW + timedelta(seconds=4), usegmt=True), 4),
        (format_datetime(NOW + timedelta(hours=1), usegmt=True), 10),
        (format_datetime(NOW - timedelta(hours=1), usegmt=True), 0),
        ("Sun, 01 Mar 2026 10:00:03", 3),
    ],
)
def test_retry_after_is_seconds_or_a_date_and_at_most_ten_seconds(header, seconds):
    assert seconds_after(header, NOW) == seconds


@pytest.mark.parametrize(("attempt", "least"), [(1, 0.5), (2, 1), (3, 2), (4, 4), (9, 5)])
def test_pauses_double_up_to_five_seconds_and_differ(attempt, least):
    state = RetryCallState(None, None, (), {})
    state.attempt_number = attempt
    pauses = {_BACKOFF(state) for _ in range(20)}
    assert least <= min(pauses) < max(pauses) <= least + 0.5


def test_each_retry_is_a_warning_with_its_reason(server):
    server.answers = [status(503), {}]
    with capture_logs() as logged:
        post(server.url)
    (line,) = logged
    assert (line["log_level"], line["event"], line["responder"]) == ("warning", "responder_retried", "http_bot")
    assert "answered 503" in line["reason"]


def test_headers_are_made_anew_for_each_try(server):
    server.answers = [status(503), {}]
    made = iter(["1", "2"])
    endpoint(server.url).post(b"", lambda: {"X-Try": next(made)})
    assert [asked.headers["X-Try"] for asked in server.asked] == ["1", "2"]


def test_netrc_does_not_replace_the_key_of_the_settings(server, tmp_path, monkeypatch):
    (tmp_path / "netrc").write_text("machine 127.0.0.1 login ada password wrong\n")
    monkeypatch.setenv("NETRC", str(tmp_path / "netrc"))
    post(server.url, headers={"Authorization": "Bearer right"})
    assert server.asked[0].headers["Authorization"] == "Bearer right"


def test_a_login_in_the_url_is_used(server):
    post(server.url.replace("//", "//ada:secret@"))
    assert server.asked[0].headers["Authorization"] == "Basic YWRhOnNlY3JldA=="


@pytest.mark.parametrize("code", [400, 302, 503])
def test_errors_hold_neither_path_nor_query_nor_login_nor_what_was_answered(server, code):
    server.answers = [Response("you said: my PIN is 1234", status=code)]
    url = server.url.replace("//", "//ada:pass@") + "/hook/KEY1?key=KEY2"
    with pytest.raises(ResponderFailed) as raised:
        post(url, tries=1)
    text = str(raised.value)
    assert not [word for word in ("ada", "pass", "KEY", "hook", "PIN", "1234") if word in text]
    assert len(text) < 300


def test_the_whole_traceback_of_a_lost_connection_holds_no_query():
    url = f"{unused_url()}/?key={token_hex(8)}"
    with pytest.raises(TryAgain) as raised:
        post(url, tries=1)
    assert url.partition("?")[2] not in "".join(traceback.format_exception(raised.value))


@pytest.mark.parametrize(
    "url", ["http://", "http://[::1", "http://a..b/", "http://127.0.0.1:99999/", "http://" + "a" * 5000 + "/"]
)
def test_a_url_that_is_none_is_an_error_that_names_the_variable(url):
    with pytest.raises(ResponderFailed, match="GATEWAY_HTTP_BOT__URL") as raised:
        post(url, tries=1)
    assert len(str(raised.value)) < 300


@pytest.mark.parametrize("key", ["new\nline", "ellipsis…"])
def test_a_header_that_cannot_be_sent_is_not_quoted(server, key):
    with pytest.raises(ResponderFailed, match="header") as raised:
        post(server.url, headers={"Authorization": key})
    assert key not in str(raised.value)


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"<html>", "not JSON"),
        (b"", "not JSON"),
        (b"\xff", "not JSON"),
        (b"[" * 100_000, "not JSON"),
        (b"[]", "JSON array where an object"),
        (b'"Hi"', "JSON string where an object"),
        (b"null", "JSON null where an object"),
    ],
)
def test_an_answer_must_be_a_json_object(body, expected):
    with pytest.raises(ResponderFailed, match=expected):
        parse_object(endpoint("http://bot.example.com"), body)
