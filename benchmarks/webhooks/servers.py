"""What is compared: how each server is started, and what it promises of its counts."""

import os
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from benchmarks.webhooks import node
from benchmarks.webhooks.signed import ACCOUNT, TOKEN

SECRET_KEY = "benchmark-secret-key"
_SETTINGS = ("GATEWAY_", "TWILIO_", "MONGODB_URI", "PUBLIC_URL", "SECRET_KEY", "PROMETHEUS_", "WEB_CONCURRENCY", "PORT")


@dataclass(frozen=True)
class Place:
    """Where a server runs: its port, a folder of its own, and its database, with majority and journalled writes.

    `address` is what Twilio calls it by, and signs.
    """

    port: int
    address: str
    folder: Path
    mongodb_uri: str


def _nothing() -> str:
    return ""


@dataclass(frozen=True)
class Server:
    """One way to take webhooks: whether its sessions must add up, how many messages a text leaves, what it takes else.

    `missing` says why it cannot run here.
    """

    name: str
    argv: Callable[[Place], Sequence[str]]
    given: Callable[[Place], Mapping[str, str]] = lambda _place: {}
    ready: str = "/healthz"
    counts_hold: bool = True
    stores: int = 1
    takes: tuple[str, ...] = ()
    missing: Callable[[], str] = _nothing

    def environ(self, place: Place) -> dict[str, str]:
        """Give its environment: ours without any setting, and what it is given."""
        own = {name: value for name, value in os.environ.items() if not name.startswith(_SETTINGS)}
        usual = {"PORT": str(place.port), "MONGODB_URI": place.mongodb_uri, "TWILIO_AUTH_TOKEN": TOKEN}
        return own | usual | self.given(place)


def _gunicorn(module: str) -> Callable[[Place], Sequence[str]]:
    return lambda place: [
        sys.executable, "-m", "gunicorn", "--worker-class", "gthread", "--workers", "2", "--threads", "16",
        "--no-control-socket", "--bind", f"127.0.0.1:{place.port}", f"benchmarks.webhooks.{module}:app",
    ]  # fmt: skip


def _gateway(responder: str) -> Callable[[Place], Mapping[str, str]]:
    return lambda place: {
        "GATEWAY_ENV": "production",
        "GATEWAY_DATA_DIR": str(place.folder / "data"),
        "GATEWAY_ADMIN__PASSWORD": "benchmark-password",
        "GATEWAY_REPLY__RESPONDER": responder,
        "GATEWAY_TWILIO__API_BASE_URL": "http://127.0.0.1:9",
        "PUBLIC_URL": f"http://{place.address}",
        "SECRET_KEY": SECRET_KEY,
        "TWILIO_ACCOUNT_SID": ACCOUNT,
    }


def _serve(_place: Place) -> Sequence[str]:
    return [sys.executable, "-c", "from gateway.cli import main; main()", "serve"]


def _express(_place: Place) -> Mapping[str, str]:
    return {"NODE_ENV": "production", "NODE_PATH": str(node.MODULES)}


SERVERS = {
    server.name: server
    for server in (
        Server("floor", _gunicorn("floor"), takes=("turns", "status", "firsts")),
        Server("ours", _serve, _gateway("none"), ready="/readyz", takes=("turns", "status", "firsts")),
        Server("express", lambda _place: ["node", str(node.SERVER)], _express, counts_hold=False, missing=node.missing),
        Server("echo", _serve, _gateway("echo"), ready="/readyz", stores=2),
        Server("naive", _gunicorn("naive"), counts_hold=False),
    )
}
