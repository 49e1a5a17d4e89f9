"""The gateway behind Debian's nginx, configured by deploy/nginx/: at a host of its own, and under a path."""

import contextlib
import os
import re
import shutil
import socket
import ssl
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from http.client import HTTPSConnection
from pathlib import Path
from typing import Any
from urllib.parse import urlencode

import pytest
import requests

from gateway import settings
from gateway.channels.signature import sign
from gateway.settings import WEB_THREADS
from gateway.store import connection, users
from gateway.store.embedded import die_with_parent, free_port
from tests.brokers import is_open, wait_for
from tests.browser import PASSWORD
from tests.conftest import ACCOUNT, TEN, TOKEN, fixture

ROOT = Path(__file__).resolve().parents[1]
SHIPPED = ROOT / "deploy" / "nginx"
HIDDEN = ["metrics", "readyz", "healthz"]

_MAIN = """
daemon off; pid {folder}/pid; error_log {folder}/error.log; worker_processes 1; {user}
events {{ worker_connections 256; }}
http {{
    client_body_temp_path {folder}/body; proxy_temp_path {folder}/proxy; fastcgi_temp_path {folder}/fastcgi;
    uwsgi_temp_path {folder}/uwsgi; scgi_temp_path {folder}/scgi; access_log off;
    include conf.d/*.conf;
    include site.conf;
}}
"""
_SERVER_THAT_EXISTS = """
server {
    listen 443 ssl http2; listen [::]:443 ssl http2;
    ssl_certificate /etc/letsencrypt/live/gateway.example.com/fullchain.pem;
    ssl_certificate_key /etc/letsencrypt/live/gateway.example.com/privkey.pem;
    location / { return 200 "somebody else"; }
    include snippets/gateway-path.conf;
}
"""


@dataclass
class Front:
    """nginx with the gateway behind it: `url` is what people and Twilio call."""

    url: str
    inside: str
    port: int
    folder: Path
    session: requests.Session

    def text(self, path: str, *, signed: str | None = None, **headers: str) -> tuple[int, str]:
        """Send a text as Twilio does: to an address byte for byte, which `requests` would tidy up."""
        form = fixture("sms/text") | {"MessageSid": f"SM{os.urandom(16).hex()}"}
        headers |= {
            "Content-Type": "application/x-www-form-urlencoded",
            "X-Twilio-Signature": sign(TOKEN, signed or f"{self.url}{path}", form),
        }
        with contextlib.closing(HTTPSConnection("localhost", self.port, timeout=20, context=self.trust())) as wire:
            wire.request("POST", f"{self.path}{path}", urlencode(form), headers)
            answer = wire.getresponse()
            return answer.status, answer.read().decode()

    @property
    def path(self) -> str:
        return self.url.partition(f":{self.port}")[2]

    def trust(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.session.verify))

    def tls(self) -> ssl.SSLSocket:
        wire = socket.create_connection(("127.0.0.1", self.port), 20)
        return self.trust().wrap_socket(wire, server_hostname="localhost")

    def raw(self, target: str) -> bytes:
        """Ask for an address byte for byte: clients tidy up what they send."""
        with self.tls() as wire:
            wire.sendall(f"GET {target} HTTP/1.1\r\nHost: localhost:{self.port}\r\nConnection: close\r\n\r\n".encode())
            return b"".join(iter(lambda: wire.recv(65536), b""))


def nginx() -> str:
    """Find nginx; CI must have it."""
    found = shutil.which("nginx", path=f"{os.environ['PATH']}:/usr/sbin")
    if found is None:
        (pytest.fail if os.environ.get("CI") else pytest.skip)("no nginx: apt-get install nginx-light")
    return found


def replaced(text: str, *changes: tuple[str, str]) -> str:
    """Change what must be different here; what is not there any more would not be tested any more."""
    for old, new in changes:
        assert old in text, old
        text = text.replace(old, new)
    return text


def configure(folder: Path, kind: str, ports: dict[str, int]) -> None:
    """Lay out the shipped files as docs/deploy/nginx.md says, with other ports and a certificate of our own."""
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=localhost", "-addext", "subjectAltName=DNS:localhost", "-keyout", "key", "-out", "certificate"],
        cwd=folder, check=True, capture_output=True,
    )  # fmt: skip
    for name in ("snippets", "conf.d"):
        (folder / name).mkdir()
    for name in ("gateway-proxy.conf", "gateway-path.conf"):
        text = (SHIPPED / name).read_text()
        log = [("/var/log/nginx/gateway.log", f"{folder}/access.log")] if "access_log" in text else []
        (folder / "snippets" / name).write_text(replaced(text, *log))
    upstream = (SHIPPED / "gateway-upstream.conf").read_text()
    upstream = replaced(upstream, ("127.0.0.1:8080", f"127.0.0.1:{ports['gateway']}"))
    (folder / "conf.d" / "gateway-upstream.conf").write_text(upstream)
    own = (SHIPPED / "gateway.conf").read_text()
    plain = [("listen 80;", f"listen 127.0.0.1:{ports['http']};"), ("listen [::]:80;", "")]
    logged = [("/var/log/nginx/gateway.log", f"{folder}/access.log")]
    site = replaced(
        *([own, *plain, *logged] if kind == "host" else [_SERVER_THAT_EXISTS]),
        ("listen 443 ssl http2;", f"listen 127.0.0.1:{ports['https']} ssl http2;"),
        ("listen [::]:443 ssl http2;", ""),
        ("/etc/letsencrypt/live/gateway.example.com/fullchain.pem", f"{folder}/certificate"),
        ("/etc/letsencrypt/live/gateway.example.com/privkey.pem", f"{folder}/key"),
    )
    (folder / "site.conf").write_text(site)
    user = "user root;" if os.getuid() == 0 else ""
    (folder / "nginx.conf").write_text(_MAIN.format(folder=folder, user=user))


def environment(mongo: Any, folder: Path, kind: str, ports: dict[str, int]) -> dict[str, str]:
    """Rely on the proxy's headers at a host of its own; under a path only PUBLIC_URL can tell."""
    names = ("GATEWAY_", "TWILIO_", "PUBLIC_URL", "PROMETHEUS_")
    return {name: value for name, value in os.environ.items() if not name.startswith(names)} | {
        "GATEWAY_ENV": "test", "GATEWAY_DATA_DIR": str(folder), "SECRET_KEY": "test-secret-key",
        "MONGODB_URI": mongo.uri.replace("/gateway?", f"/nginx_{kind}?"), "WEB_CONCURRENCY": "1",
        "TWILIO_ACCOUNT_SID": ACCOUNT, "TWILIO_AUTH_TOKEN": TOKEN, "PORT": str(ports["gateway"]),
        "TRUSTED_PROXIES": "127.0.0.1,::1",
        "PUBLIC_URL": "" if kind == "host" else f"https://localhost:{ports['https']}/texts",
    }  # fmt: skip


@pytest.fixture(scope="module", params=["host", "path"])
def front(request, mongo, cleaner, tmp_path_factory) -> Iterator[Front]:
    """Both as ordinary processes in a folder of their own."""
    program, kind, folder = nginx(), request.param, tmp_path_factory.mktemp("nginx")
    ports = {name: free_port() for name in ("http", "https", "gateway")}
    configure(folder, kind, ports)
    environ = environment(mongo, folder, kind, ports)
    connection.connect(settings.load(mongodb_uri=environ["MONGODB_URI"], env="test", data_dir=folder))
    users.add("admin", PASSWORD, TEN)
    gunicorn = [sys.executable, "-m", "gunicorn", "--config", "config/gunicorn.conf.py", "wsgi:app"]
    checked = subprocess.run([program, "-t", "-p", folder, "-c", "nginx.conf"], capture_output=True, text=True)
    assert checked.returncode == 0, checked.stderr
    with contextlib.ExitStack() as stack:
        out = stack.enter_context((folder / "gunicorn.log").open("wb"))
        for command in (gunicorn, [program, "-p", str(folder), "-c", "nginx.conf"]):
            process = subprocess.Popen(
                command, cwd=ROOT, env=environ, stdout=out, stderr=out, preexec_fn=die_with_parent
            )
            stack.callback(process.wait, 30)
            stack.callback(process.terminate)
        session = stack.enter_context(requests.Session())
        session.trust_env = False  # a bundle of certificates that the environment names would win
        session.verify = str(folder / "certificate")
        base = f"https://localhost:{ports['https']}{'' if kind == 'host' else '/texts'}"
        for port in ports.values() if kind == "host" else (ports["https"], ports["gateway"]):
            wait_for(lambda port=port: is_open(port), what=(folder / "gunicorn.log").read_text)
        yield Front(base, f"http://127.0.0.1:{ports['gateway']}", ports["https"], folder, session)
    cleaner.drop_database(f"nginx_{kind}")


@pytest.mark.parametrize("query", ["", "?a=%2Fb&n=J%C3%BCrgen&t=%7E&", "?q=%"])
def test_a_signature_fits_through_tls(front, query):
    status, twiml = front.text(f"/webhooks/sms{query}")
    assert status == 200, (front.folder / "gunicorn.log").read_text()
    assert "<Message" in twiml


def test_a_path_is_passed_on_as_it_was_signed(front):
    """With a path behind it, proxy_pass would have written %73 as s."""
    assert front.text("/webhooks/%73ms")[0] == 200


def test_nobody_outside_says_where_they_called_from_or_to(front):
    forged = {"X-Forwarded-Host": "evil.example", "X-Forwarded-Port": "1", "X-Forwarded-Proto": "http"}
    signed = f"http://evil.example:1{front.path}/webhooks/sms"
    assert front.text("/webhooks/sms", signed=signed, **forged)[0] == 403
    assert front.text("/webhooks/sms", **forged)[0] == 200
    log_in(front, "wrong", headers={"X-Forwarded-For": "198.51.100.1"})
    said = next(line for line in (front.folder / "gunicorn.log").read_text().splitlines() if "login_refused" in line)
    assert '"address":"127.0.0.1"' in said


def log_in(front: Front, password: str, **given: Any) -> requests.Response:
    page = front.session.get(f"{front.url}/admin/login", timeout=20)
    token = re.search(r'name="csrf_token" value="([^"]+)"', page.text)
    assert token
    form = {"csrf_token": token[1], "name": "admin", "password": password}
    headers = {"Referer": front.url} | given.pop("headers", {})
    return front.session.post(f"{front.url}/admin/login", data=form, headers=headers, timeout=20)


def test_changes_reach_the_console_at_once(front):
    assert log_in(front, PASSWORD).url == f"{front.url}/admin/"
    with front.session.get(f"{front.url}/admin/live", stream=True, timeout=20) as stream:
        lines = stream.iter_lines(chunk_size=1)
        assert stream.headers["Content-Type"].startswith("text/event-stream")
        assert next(lines) == b"retry: 1000"
        assert front.text("/webhooks/sms")[0] == 200
        assert next(line for line in lines if line.startswith(b"event")) == b"event: changed"


@pytest.mark.parametrize(
    "written", ["{}", "{}/", "/{}", "%{:x}{}", "webhooks/../{}", "webhooks/%2e%2e/{}", "chat/..%2f{}"]
)
def test_what_is_for_the_own_network_is_not_public(front, written):
    for name in HIDDEN:
        target = written.format(ord(name[0]), name[1:]) if "{:x}" in written else written.format(name)
        answer = front.raw(f"{front.path}/{target}")
        assert answer.startswith(b"HTTP/1.1 404"), answer
        assert b"nginx" in answer, "it was asked of the gateway"
        assert requests.get(f"{front.inside}/{name}", timeout=20).status_code == 200


def test_large_bodies_are_refused_by_whom_they_concern(front):
    """A webhook that is too large gets TwiML from the gateway; a file to import is large by nature."""

    def post(path: str, size: int) -> requests.Response:
        body, headers = b"Body=" + b"a" * size, {"Content-Type": "application/x-www-form-urlencoded"}
        headers["X-Twilio-Signature"] = "forged"
        return front.session.post(f"{front.url}{path}", data=body, headers=headers, timeout=20)

    answer = post("/webhooks/sms", 1_500_000)
    assert (answer.status_code, answer.text) == (400, "<Response/>")
    assert post("/webhooks/sms", 2_500_000).status_code == 413
    assert post("/api/v1/imports", 20_000_000).status_code == 401


def test_clients_that_dawdle_hold_no_thread(front):
    """More of them than the gateway has threads, each in the middle of its body."""
    body = urlencode(fixture("sms/text"))
    head = (
        f"POST {front.path}/webhooks/sms HTTP/1.1\r\nHost: localhost:{front.port}\r\nX-Twilio-Signature: forged\r\n"
        f"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: {len(body)}\r\n\r\n{body[:20]}"
    )
    with contextlib.ExitStack() as stack:
        for _ in range(WEB_THREADS + 4):
            stack.enter_context(front.tls()).sendall(head.encode())
        assert front.text("/webhooks/sms")[0] == 200


def test_the_beginning_leads_to_the_console(front):
    answer = front.session.get(f"{front.url}/", allow_redirects=False, timeout=20)
    assert (answer.status_code, answer.headers["Location"]) == (302, f"{front.path}/admin/")
    assert "Strict-Transport-Security" in answer.headers or front.path


def test_the_log_names_nobody(front):
    front.session.get(f"{front.url}/admin/?q=%2B15558675310", timeout=20)
    logged = (front.folder / "access.log").read_text()
    assert "/admin/" in logged
    assert "5558675310" not in logged
