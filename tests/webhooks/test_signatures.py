"""Signatures through the real app: which address counts, whom to believe, what a refusal leaves."""

import json
import os
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest

from gateway.channels.base import Form
from gateway.channels.signature import SETTINGS_HEADER, sign
from gateway.store.embedded import free_port
from tests.conftest import ACCOUNT, HOST, TOKEN, Twilio, fixture
from tests.webhooks.conftest import DATABASE, captured, contents, named, texts

ROOT = Path(__file__).resolve().parents[2]
PATH = "/webhooks/sms"
TRUSTED, STRANGER = "10.1.2.3", "203.0.113.9"
SUB, SUB_TOKEN, KEY = "AC" + "b" * 32, "sub-token", "webhooks_sharedkey_1"


def send(app: Any, signed: str, *, path: str = PATH, peer: str = STRANGER, **headers: str) -> Any:
    """Post a text signed for one address to another, from a peer's address."""
    form = fixture("sms/text")
    headers = {name.replace("_", "-"): value for name, value in headers.items()}
    headers.setdefault("X-Twilio-Signature", sign(TOKEN, signed, form))
    return app.test_client().post(
        path,
        data=form,
        headers=headers,
        environ_overrides={"REMOTE_ADDR": peer},
        base_url="http://inner:8080",
    )


@pytest.mark.parametrize(
    "path",
    [
        PATH,
        f"{PATH}?",
        f"{PATH}?a=%2Fb&n=J%C3%BCrgen&t=%7E",
        f"{PATH}?a=1+2&a=%20&=",
        f"{PATH}?q=%",
        f"{PATH}/",
        "/webhooks/%73ms",
        "/webhooks/sm%73?x=%2f",
    ],
)
def test_the_address_is_taken_as_it_came(app, path):
    assert send(app, HOST + path, path=path).status_code == 200


@pytest.mark.parametrize("signed", [f"{PATH}?a=/b", f"{PATH}?a=%2fb", PATH])
def test_an_address_that_only_means_the_same_is_refused(app, signed):
    assert send(app, HOST + signed, path=f"{PATH}?a=%2Fb").status_code == 403


def test_the_public_url_counts_and_not_the_host_that_was_asked(app):
    assert send(app, f"{HOST}{PATH}").status_code == 200
    assert send(app, f"http://inner:8080{PATH}").status_code == 403


def test_with_a_public_url_forwarded_headers_change_nothing(make_app):
    app = make_app(trusted_proxies=TRUSTED)
    told = {"X_Forwarded_Host": "evil.example", "X_Forwarded_Proto": "http"}
    assert send(app, f"http://evil.example{PATH}", peer=TRUSTED, **told).status_code == 403
    assert send(app, f"{HOST}{PATH}", peer=TRUSTED, **told).status_code == 200


def test_without_a_public_url_the_host_that_was_asked_counts(make_app):
    app = make_app(public_url="")
    assert send(app, f"http://inner:8080{PATH}?x=%2F", path=f"{PATH}?x=%2F").status_code == 200
    assert send(app, f"{HOST}{PATH}").status_code == 403


FORWARDED = {"X_Forwarded_Proto": "https", "X_Forwarded_Host": "gateway.example.com"}


@pytest.mark.parametrize(("peer", "status"), [(TRUSTED, 200), (STRANGER, 403)])
def test_forwarded_headers_count_only_from_a_trusted_proxy(make_app, peer, status):
    app = make_app(public_url="", trusted_proxies="10.1.2.0/24")
    assert send(app, f"{HOST}{PATH}", peer=peer, **FORWARDED).status_code == status


def test_a_stranger_behind_no_proxy_is_judged_by_the_host_alone(make_app):
    app = make_app(public_url="", trusted_proxies="10.1.2.0/24")
    assert send(app, f"http://inner:8080{PATH}", peer=STRANGER, **FORWARDED).status_code == 200


def test_of_several_forwarded_hosts_the_nearest_proxys_counts(make_app):
    app = make_app(public_url="", trusted_proxies=TRUSTED)
    told = {"X_Forwarded_Proto": "http, https", "X_Forwarded_Host": "evil.example, gateway.example.com"}
    assert send(app, f"{HOST}{PATH}", peer=TRUSTED, **told).status_code == 200
    assert send(app, f"http://evil.example{PATH}", peer=TRUSTED, **told).status_code == 403


def test_a_forwarded_port_belongs_to_the_address(make_app):
    app = make_app(public_url="", trusted_proxies=TRUSTED)
    assert send(app, f"{HOST}:8443{PATH}", peer=TRUSTED, X_Forwarded_Port="8443", **FORWARDED).status_code == 200


@pytest.mark.parametrize("host", ["[::1", "[zz]", "a:b", "gateway.example.com:99999", "ex ample", ""])
def test_a_host_nobody_can_read_is_refused(make_app, host):
    app = make_app(public_url="")
    assert send(app, f"http://{host}{PATH}", Host=host, X_Twilio_Signature="x").status_code == 403


@pytest.mark.parametrize("host", ["[::1", "a:b", "gateway.example.com:99999"])
def test_a_forwarded_host_nobody_can_read_is_refused(make_app, host):
    app = make_app(public_url="", trusted_proxies=TRUSTED)
    told = {"X_Forwarded_Host": host, "X_Forwarded_Port": "8443", "X_Twilio_Signature": "x"}
    assert send(app, f"http://{host}{PATH}", peer=TRUSTED, **told).status_code == 403


@pytest.mark.parametrize("path", ["/webhooks/sms", "/gw/webhooks/sms"], ids=["cut off", "passed on"])
def test_a_path_prefix_of_the_public_url_is_signed_too(make_app, path):
    app = make_app(public_url=f"{HOST}/gw")
    script = "/gw" if path.startswith("/gw") else ""
    form = fixture("sms/text")
    answer = app.test_client().post(
        path.removeprefix(script),
        data=form,
        headers={"X-Twilio-Signature": sign(TOKEN, f"{HOST}/gw/webhooks/sms", form)},
        environ_overrides={"SCRIPT_NAME": script, "RAW_URI": path, "REQUEST_URI": path},
    )
    assert answer.status_code == 200


@pytest.mark.parametrize("spoil", ["{}x", "{}=", "{},{}", "{} {}"])
def test_a_signature_with_garbage_behind_it_is_refused(app, spoil):
    good = sign(TOKEN, HOST + PATH, fixture("sms/text"))
    assert send(app, "", X_Twilio_Signature=spoil.format(good, good)).status_code == 403


def test_repeated_parameters_are_signed_and_kept(app, db):
    pairs = [*fixture("sms/text").items(), ("Odd", "b"), ("Odd", "a"), ("Odd", "b")]
    headers = {"X-Twilio-Signature": sign(TOKEN, HOST + PATH, Form(pairs))}
    mimetype = "application/x-www-form-urlencoded"
    answer = app.test_client().post(PATH, data=urlencode(pairs), headers=headers, content_type=mimetype)
    assert answer.status_code == 200
    assert db.messages.find_one({"direction": "inbound"})["metadata"]["Odd"] == ["b", "a", "b"]


def test_several_tokens_count_while_they_rotate(make_app):
    app = make_app(twilio_auth_token="new, old")
    for token, status in (("new", 200), ("old", 200), ("gone", 403)):
        form = fixture("sms/text")
        assert send(app, "", X_Twilio_Signature=sign(token, HOST + PATH, form)).status_code == status


@pytest.mark.parametrize(
    ("account", "token", "status"),
    [(ACCOUNT, TOKEN, 200), (SUB, SUB_TOKEN, 200), (ACCOUNT, SUB_TOKEN, 403), (SUB, TOKEN, 403)],
)
def test_a_subaccounts_token_counts_for_the_subaccount_alone(make_app, account, token, status):
    app = make_app(twilio={"accounts": {SUB: [SUB_TOKEN]}})
    twilio = Twilio(app.test_client(), token=token)
    assert twilio.sms(AccountSid=account).status_code == status


def test_a_shared_key_signs_with_sha256(make_app):
    app = make_app(twilio={"shared_keys": {KEY: "shared"}})
    form = fixture("sms/text")
    headers = {
        "X-Twilio-Signature": sign("shared", HOST + PATH, form, "HMAC_SHA256"),
        SETTINGS_HEADER: f"key={KEY},algorithm=HMAC_SHA256",
    }
    assert app.test_client().post(PATH, data=form, headers=headers).status_code == 200


def test_a_refusal_logs_the_reason_and_the_addresses_tried_without_their_query(app):
    with captured() as events:
        send(app, "https://elsewhere.example/", path=f"{PATH}?state=private")
    (event,) = named(events, "webhook_rejected")
    assert event["log_level"] == "warning"
    assert event["reason"] == "bad_signature"
    assert event["tried"] == [f"{HOST}{PATH}?...", f"{HOST}:443{PATH}?..."]


def test_a_refusal_of_json_logs_no_query_either(app):
    with captured() as events:
        app.test_client().post(f"{PATH}?state=private", json={}, headers={"X-Twilio-Signature": "x"})
    (event,) = named(events, "webhook_rejected")
    assert "private" not in json.dumps(event)
    assert event["tried"]


@pytest.mark.parametrize("signature", ["", "forged", "ü"])
def test_a_refusal_leaves_nothing_behind(app, db, signature):
    answer = send(app, "", X_Twilio_Signature=signature)
    assert (answer.status_code, answer.data, contents(db)) == (403, b"", {})


# Observing


@pytest.fixture
def observing(make_app: Any) -> Any:
    return make_app(twilio={"signatures": "observe"})


@pytest.mark.parametrize(("signature", "reason"), [("forged", "bad_signature"), ("", "no_signature")])
def test_observing_accepts_and_logs_the_verdict(observing, signature, reason):
    with captured() as events:
        answer = send(observing, "", X_Twilio_Signature=signature)
    assert texts(answer) == [fixture("sms/text")["Body"]]
    (event,) = named(events, "signature_observed")
    assert (event["reason"], event["log_level"]) == (reason, "warning")


def test_observing_logs_nothing_of_a_genuine_request(observing):
    with captured() as events:
        send(observing, HOST + PATH)
    assert named(events, "signature_observed") == []


def test_observing_refuses_what_is_no_form_as_malformed(observing):
    answer = observing.test_client().post(PATH, json={}, headers={"X-Twilio-Signature": "forged"})
    assert (answer.status_code, answer.data) == (400, b"<Response/>")


# A real server


@dataclass
class Served:
    port: int
    log: Path

    def ask(self, head: list[str], body: bytes = b"") -> tuple[int, str, bytes]:
        """Send a request byte for byte; gives status, head and body of the answer."""
        with socket.create_connection(("127.0.0.1", self.port), timeout=60) as wire:
            wire.sendall("\r\n".join([*head, "Connection: close", "", ""]).encode() + body)
            received = b"".join(iter(lambda: wire.recv(65536), b""))
        told, _, rest = received.partition(b"\r\n\r\n")
        return int(told.split()[1]), told.decode("latin-1"), rest

    def text(self, target: str, signed: str, **changes: str) -> tuple[int, str, bytes]:
        form = fixture("sms/text") | changes
        body = urlencode(form).encode()
        head = [
            f"POST {target} HTTP/1.1", "Host: inner", "Content-Type: application/x-www-form-urlencoded",
            f"Content-Length: {len(body)}", f"X-Twilio-Signature: {sign(TOKEN, signed, form)}",
        ]  # fmt: skip
        return self.ask(head, body)


@pytest.fixture(scope="module")
def served(mongo: Any, database: Any, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """The gateway in gunicorn, as in production."""
    folder = tmp_path_factory.mktemp("served")
    port, log = free_port(), folder / "log"
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GATEWAY_")} | {
        "GATEWAY_ENV": "test",
        "GATEWAY_DATA_DIR": str(folder),
        "MONGODB_URI": mongo.uri.replace("/gateway?", f"/{DATABASE}?"),
        "PUBLIC_URL": HOST,
        "TWILIO_ACCOUNT_SID": ACCOUNT,
        "TWILIO_AUTH_TOKEN": TOKEN,
        "SECRET_KEY": "test-secret-key",
    }
    command = [
        "-m",
        "gunicorn",
        "--no-control-socket",
        "-w",
        "1",
        "--threads",
        "4",
        "-b",
        f"127.0.0.1:{port}",
    ]
    with log.open("wb") as out:
        server = subprocess.Popen(
            [sys.executable, *command, "wsgi:app"], cwd=ROOT, env=environment, stdout=out, stderr=out
        )
    try:
        _wait_for(port, server)
        yield Served(port, log)
    finally:
        server.terminate()
        server.wait(10)


def _wait_for(port: int, server: subprocess.Popen[bytes]) -> None:
    for _ in range(200):
        assert server.poll() is None, "gunicorn ended"
        try:
            socket.create_connection(("127.0.0.1", port), timeout=1).close()
        except OSError:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("gunicorn did not come up")


@pytest.mark.parametrize("query", ["", "?", "?a=%2Fb&n=J%C3%BCrgen&t=%7E", "?a=%2fb&", "?q=%"])
def test_a_real_server_passes_the_address_on_byte_for_byte(served, query):
    status, _, body = served.text(PATH + query, HOST + PATH + query, MessageSid=f"SM{query.encode().hex()}")
    assert status == 200
    assert b"<Message" in body


def test_a_real_server_takes_a_whole_url_as_target(served):
    assert served.text(f"http://inner{PATH}?a=%2F", f"{HOST}{PATH}?a=%2F")[0] == 200


@pytest.mark.parametrize("target", ["/webhooks//sms", "/webhooks/nothing", "/nothing"])
def test_a_real_server_answers_a_wrong_path_with_404(served, target):
    status, head, body = served.text(target, HOST + target)
    assert status == 404
    assert "location" not in head.lower()
    assert b"Traceback" not in body


def test_a_real_server_never_redirects_a_double_slash(served):
    status, head, body = served.text("//webhooks/sms", f"{HOST}//webhooks/sms")
    assert status in (200, 404)
    assert "location" not in head.lower()
    assert b"<html" not in body.lower()


def test_a_real_server_refuses_a_chunked_body_that_is_too_long(served):
    chunk = b"10000\r\n" + b"a" * 0x10000 + b"\r\n"
    head = [
        f"POST {PATH} HTTP/1.1", "Host: inner", "Content-Type: application/x-www-form-urlencoded",
        "Transfer-Encoding: chunked", "X-Twilio-Signature: x",
    ]  # fmt: skip
    status, _, body = served.ask(head, chunk * 17 + b"0\r\n\r\n")
    assert (status, body) == (400, b"<Response/>")


def test_a_real_servers_log_is_json_and_holds_neither_number_nor_text(served):
    served.text(PATH, HOST + PATH, MessageSid="SM" + "9" * 32, Body="a very private matter", From="+15558675399")
    served.text(PATH, "forged", Body="a very private matter", From="+15558675399")
    written = served.log.read_text()
    assert "private matter" not in written
    assert "+15558675399" not in written
    assert "+1555...5399" in written
    lines = [json.loads(line) for line in written.splitlines() if line.startswith("{")]
    assert {"session_created", "message_received", "webhook_rejected"} <= {line["event"] for line in lines}
