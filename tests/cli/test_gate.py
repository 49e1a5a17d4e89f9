"""What comes through a tunnel: webhooks as they were signed, and nothing else."""

import contextlib
import http.client
import json
import socket
import threading
import time
from contextlib import contextmanager
from urllib.parse import urlencode

import pytest
from flask import Flask, Response, request

from gateway.channels.signature import sign
from gateway.cli import gate as gates
from gateway.cli.gate import Gate
from gateway.core.errors import ConfigError
from tests.conftest import TOKEN, fixture
from tests.stand_ins.serving import Served, drop_connection

TUNNEL = "https://abc.tunnel.example"


@pytest.fixture(scope="module")
def upstream():
    """A gateway that tells what it was asked; what it is to do besides is in the path."""
    app, asked = Flask("upstream"), []

    @app.route("/<path:path>", methods=["GET", "POST", "PUT", "HEAD"])
    def everything(path):
        asked.append((request.method, request.environ["RAW_URI"], request.headers, request.get_data()))
        if "drop" in path:
            drop_connection()
        if "stream" in path:
            return Response((piece for piece in ("one ", "two")), headers={"X-Streamed": "yes"})
        return Response(
            "<Response/>", 201, content_type="text/xml", headers=[("Set-Cookie", "a=1"), ("Set-Cookie", "b=2")]
        )

    with Served(app) as served:
        served.asked = asked
        yield served


@contextmanager
def opened(url, **given):
    passed = []
    gate = Gate(0, url, passed.append, **given)
    gate.public_url, gate.passed, gate.port = TUNNEL, passed, gate.server_address[1]
    gate.start()
    try:
        yield gate
    finally:
        gate.stop()


@pytest.fixture(scope="module")
def shared(upstream):
    with opened(upstream.url) as gate:
        yield gate


@pytest.fixture
def gate(shared, upstream):
    shared.passed.clear()
    upstream.asked.clear()
    return shared


def raw(gate, request_bytes):
    """Say something to the gate as it is, and give all it answers."""
    with socket.create_connection(("127.0.0.1", gate.port), timeout=10) as connection:
        connection.sendall(request_bytes)
        answer = b""
        while piece := connection.recv(65_536):
            answer += piece
    return answer


def ask(gate, method, target, body=b"", **headers):
    connection = http.client.HTTPConnection("127.0.0.1", gate.port, timeout=10)
    connection.request(method, target, body, {name.replace("_", "-"): value for name, value in headers.items()})
    response = connection.getresponse()
    response.body = response.read()
    return response


def test_target_and_body_arrive_byte_for_byte(gate, upstream):
    target, body = "/webhooks/sms?a=%2F%7e&b=J%C3%BCrgen&&c", b"Body=%F0%9F%98%80+%2B&x=\xff\x00&x=1"
    answer = ask(gate, "POST", target, body, Content_Type="application/x-www-form-urlencoded", X_Twilio_Signature="s=")
    assert (answer.status, answer.body) == (201, b"<Response/>")
    assert answer.headers.get_all("Set-Cookie") == ["a=1", "b=2"]
    ((method, asked, headers, given),) = upstream.asked
    assert (method, asked, given) == ("POST", target, body)
    assert (headers["X-Twilio-Signature"], headers["Content-Type"]) == ("s=", "application/x-www-form-urlencoded")
    assert headers["X-Request-Id"] == gate.passed[0].request_id
    assert (gate.passed[0].status, gate.passed[0].body, gate.passed[0].stopped) == (201, body, False)


def test_nobody_but_the_gate_says_which_address_was_called(gate, upstream):
    forged = {
        "Host": "evil.example", "X_Forwarded_Host": "evil.example", "X_Forwarded_Proto": "http",
        "Forwarded": "host=evil", "X_Forwarded_Port": "99", "X_Real_IP": "1.1.1.1", "X_Request_Id": "mine",
        "X_Forwarded_For": "203.0.113.7",
    }  # fmt: skip
    ask(gate, "POST", "/webhooks/status", b"", **forged)
    headers = upstream.asked[0][2]
    assert headers["Host"] == headers["X-Forwarded-Host"] == "abc.tunnel.example"
    assert headers["X-Forwarded-Proto"] == "https"
    assert headers["X-Forwarded-For"] == "203.0.113.7"
    assert not {"Forwarded", "X-Forwarded-Port", "X-Real-Ip"} & set(headers.keys())
    assert "mine" not in headers["X-Request-Id"]


ELSEWHERE = [
    "/", "/admin/", "/api/v1/sessions", "/metrics", "/healthz", "/webhooks", "/webhooks/", "/webhooksx/sms",
    "/webhooks/../admin/", "/webhooks/%2e%2e/admin/", "/webhooks/..%2fadmin", "/webhooks/sms/..;/admin",
    "//webhooks/sms", "/webhooks//sms", "/webhooks\\..\\admin", "http://127.0.0.1/webhooks/sms", "/webhooks/sms;x", "*",
    "/x?/webhooks/sms", "/webhooks/sms?\x0c", "/webhooks/sms?\x00a", "/webhooks/sms?\x1b[2J",
]  # fmt: skip


@pytest.mark.parametrize("target", ELSEWHERE)
def test_nothing_but_webhooks_reaches_the_gateway(gate, upstream, target):
    answer = raw(gate, f"POST {target} HTTP/1.1\r\nHost: x\r\nContent-Length: 0\r\n\r\n".encode())
    assert answer.startswith(b"HTTP/1.1 404 ")
    assert answer.endswith(b"\r\n\r\n")
    assert upstream.asked == []
    assert [(one.status, one.stopped, one.target) for one in gate.passed] == [(404, True, target)]
    assert not gate.passed[0].unreachable


BAD = [
    (b"POST /webhooks/sms HTTP/1.1\r\nContent-Length: 9999999\r\n\r\n", b"413"),
    (b"POST /webhooks/sms HTTP/1.1\r\nContent-Length: -1\r\n\r\n", b"400"),
    (b"POST /webhooks/sms HTTP/1.1\r\nContent-Length: \xb2\r\n\r\n", b"400"),
    (b"POST /webhooks/sms HTTP/1.1\r\nTransfer-Encoding: gzip\r\n\r\n", b"501"),
    (b"POST /webhooks/sms HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nx\r\n", b"400"),
    (b"POST /webhooks/sms HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nffffff\r\n", b"413"),
    (b"POST /webhooks/sms HTTP/1.1\r\nX: " + b"y" * 70_000 + b"\r\n\r\n", b"431"),
    (b"BREW /webhooks/sms HTTP/1.1\r\n\r\n", b"501"),
    (b"POST /webhooks/\xfc HTTP/1.1\r\n\r\n", b"404"),
    (b"nonsense\r\n\r\n", b"400"),
]  # fmt: skip


@pytest.mark.parametrize(("request_bytes", "status"), BAD)
def test_what_is_no_request_is_refused_without_a_page(gate, upstream, request_bytes, status):
    head, _, body = raw(gate, request_bytes).partition(b"\r\n\r\n")
    assert status in head.partition(b"\r\n")[0] or head == b""
    assert body == b""
    assert upstream.asked == []


def test_a_body_in_chunks_arrives_as_one(gate, upstream):
    chunks = b"4\r\nBody\r\n3;x=y\r\n=Hi\r\n0\r\n\r\n"
    raw(gate, b"POST /webhooks/sms HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + chunks)
    ((_, _, headers, given),) = upstream.asked
    assert (given, headers["Content-Length"], "Transfer-Encoding" in headers) == (b"Body=Hi", "7", False)


def test_an_answer_without_a_length_is_handed_back_as_it_comes(gate):
    answer = ask(gate, "GET", "/webhooks/stream")
    assert (answer.body, answer.headers["X-Streamed"]) == (b"one two", "yes")
    assert ask(gate, "HEAD", "/webhooks/sms").body == b""


def test_a_gateway_that_hangs_up_or_is_gone_is_a_502(gate):
    assert ask(gate, "POST", "/webhooks/drop").status == 502
    assert gate.passed[0].unreachable
    with opened("http://127.0.0.1:9") as alone:
        answer = ask(alone, "POST", "/webhooks/sms")
        assert (answer.status, answer.body, answer.headers["Content-Type"]) == (502, b"", "text/xml; charset=utf-8")


def test_who_takes_too_long_over_a_request_is_hung_up_on(upstream, monkeypatch):
    monkeypatch.setattr(gates, "REQUEST_SECONDS", 0.2)
    monkeypatch.setattr(gates, "AT_ONCE", 1)
    with opened(upstream.url) as gate, socket.create_connection(("127.0.0.1", gate.port), timeout=10) as slow:
        slow.sendall(b"POST /webhooks/sms HTTP/1.1\r\nContent-Length: 10\r\n\r\nx")
        # Nobody else waits longer than that for the only seat; a machine that is busy may hang up on them, too.
        while True:
            with contextlib.suppress(http.client.HTTPException, OSError):
                assert ask(gate, "POST", "/webhooks/sms").status == 201
                break
        assert slow.recv(100) in (b"", b"HTTP/1.1 400 Bad Request\r\n")


def test_it_proves_that_a_tunnel_leads_here_and_tells_nobody(gate, upstream):
    assert ask(gate, "GET", gate.proof).status == 204
    assert (upstream.asked, gate.passed) == ([], [])


def test_with_everything_the_console_is_let_through(upstream):
    upstream.asked.clear()
    with opened(upstream.url, everything=True) as gate:
        assert ask(gate, "PUT", "/api/v1/x?y=%2F", b"{}").status == 201
        assert upstream.asked[0][1] == "/api/v1/x?y=%2F"
        assert gate.passed[0].body == b""


def test_a_taken_port_is_said_in_one_line(gate):
    with pytest.raises(ConfigError, match=rf"Port {gate.port}: Address already in use. .*--port {gate.port + 1}"):
        Gate(gate.port, "http://127.0.0.1:9", print)


def test_a_text_signed_over_the_tunnels_address_is_genuine_without_public_url(make_app):
    """In development 127.0.0.1 is believed, so the gateway finds the address by itself."""
    app = make_app(env="development", public_url="")
    form = fixture("sms/text") | {"Body": "Grüße & <mehr> %2B"}
    with Served(app) as served, opened(served.url) as gate:
        genuine = ask(
            gate, "POST", "/webhooks/sms?x=%2F",
            urlencode(form),
            Content_Type="application/x-www-form-urlencoded",
            X_Twilio_Signature=sign(TOKEN, f"{TUNNEL}/webhooks/sms?x=%2F", form),
        )  # fmt: skip
        forged = ask(
            gate, "POST", "/webhooks/sms", urlencode(form),
            Content_Type="application/x-www-form-urlencoded", X_Twilio_Signature="AAAA",
        )  # fmt: skip
    assert (genuine.status, forged.status) == (200, 403)
    assert json.loads(gate.passed[0].decision)["decision"]["kind"] == "created"
    assert "X-Gateway-Decision" not in genuine.headers


def test_many_at_once_are_all_answered(gate, upstream):
    answers = []
    threads = [
        threading.Thread(target=lambda: answers.append(ask(gate, "POST", "/webhooks/sms").status)) for _ in range(40)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert answers == [201] * 40
    until = time.monotonic() + 5
    while gate._reading and time.monotonic() < until:
        time.sleep(0.01)
    assert not gate._reading
