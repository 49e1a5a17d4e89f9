"""`gateway serve`, which is `make run`: MongoDB, web and worker, started in order and stopped in order."""

import contextlib
import fcntl
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Mapping
from pathlib import Path
from types import FrameType
from typing import IO

import click

from gateway import logs
from gateway.cli.children import Patience, require_alive, start, stop
from gateway.cli.running import Running, forget
from gateway.conversation import migrating, runtime
from gateway.conversation.runtime import Clock
from gateway.core.errors import ConfigError
from gateway.settings import CONFIG_DIR, Settings, keep_secret
from gateway.store import connection, users
from gateway.store.connection import deadline
from gateway.store.embedded import EmbeddedMongo

HOST = "127.0.0.1"
START_SECONDS = 60


class _Stopped(BaseException):
    """Somebody asked us to stop; no handler of errors may swallow it."""


def serve(configured: Settings) -> int:
    """Run until a signal or until a part of it dies; gives the exit code."""
    logs.configure(fmt=configured.log.format, redact=configured.log.redact)
    _require_port(configured.port)
    lock = _only_one(configured.data_dir)
    # A wrong responder or a spool that keeps nothing must be said before anything is started.
    runtime.build(configured).spool.require_writable()
    folder = configured.data_dir.resolve()
    stopping = _on_signals()
    mongo = None if configured.mongodb_uri else EmbeddedMongo(folder / "mongo")
    children: dict[str, subprocess.Popen[bytes]] = {}
    try:
        if mongo:
            mongo.start()
            configured = configured.model_copy(update={"mongodb_uri": mongo.uri})
        login = _prepare_database(configured)
        environ = _environment(configured, folder)
        children["web"] = start([*_GUNICORN, "--bind", f"{HOST}:{configured.port}", "wsgi:app"], environ)
        children["worker"] = start(_WORKER, environ)
        _wait_until_up(configured.port, children)
        _note(configured).save(folder)
        _announce(configured, login)
        return _watch(children, mongo, environ)
    except _Stopped:
        return 0
    finally:
        # From here a second signal changes nothing: everything is being stopped already.
        stopping.clear()
        for name in ("web", "worker"):
            stop(children.get(name))
        connection.disconnect()
        if mongo:
            mongo.stop()
        forget(folder)
        lock.close()


_WORKER = [sys.executable, "-m", "gateway.worker"]
_GUNICORN = [
    sys.executable, "-m", "gunicorn", "--config", str(CONFIG_DIR / "gunicorn.conf.py"),
    "--chdir", str(CONFIG_DIR.parent),
]  # fmt: skip


def _on_signals() -> dict[str, bool]:
    """Turn SIGTERM and Ctrl-C into an exception, once."""
    armed = {"armed": True}

    def on_signal(_number: int, _frame: FrameType | None) -> None:
        if armed.pop("armed", False):
            raise _Stopped

    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        signal.signal(number, on_signal)
    return armed


def _only_one(folder: Path) -> IO[str]:
    """Hold the folder's lock until the end: a second gateway would take the first one's notes and metrics away."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        lock = (folder / "serve.lock").open("w")
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        raise ConfigError(
            f"A gateway runs in {folder} already. Stop it, or give this one a folder of its own: GATEWAY_DATA_DIR."
        ) from None
    except OSError as error:
        raise ConfigError(
            f"GATEWAY_DATA_DIR = {folder} is not usable ({error.strerror}). Make it writable, or choose another."
        ) from None
    return lock


def _require_port(port: int) -> None:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind((HOST, port))
        except OSError as error:
            raise ConfigError(
                f"PORT = {port}: {error.strerror}. Stop what listens there, or choose another: PORT={port + 1} make run"
            ) from None


def _prepare_database(configured: Settings) -> str:
    """Create the indexes and the first operator; gives the words that say how to log in."""
    connection.connect(configured)
    try:
        connection.ping()
    except Exception as error:
        raise ConfigError(
            f"MONGODB_URI: no MongoDB takes writes there ({str(error)[:200]}). Start it, or correct it."
        ) from None
    migrating.run("gateway serve")
    if given := configured.admin.password.get_secret_value():
        if not users.set_password("admin", given):
            users.add("admin", given, Clock().now())
        return _AS_GIVEN
    return _login_made_up(configured) if configured.is_development else _login_of_others()


_AS_GIVEN = "admin / the password it was given (`gateway users add admin --replace` makes a new one)"


def _login_made_up(configured: Settings) -> str:
    password = keep_secret(configured.data_dir / "admin-password")
    with deadline(10):
        is_there = users.exists("admin")
    if not is_there:
        users.add("admin", password, Clock().now())
    return f"admin / {password}" if users.authenticate("admin", password) else _AS_GIVEN


def _login_of_others() -> str:
    """Say who may log in where no password may be printed, for logs are kept and read by many."""
    with deadline(10):
        somebody = users.everybody()
    if somebody:
        return "who `gateway users list` names (`gateway users add NAME` makes another)"
    return "nobody has one yet: `gateway users add NAME` makes one"


def _environment(configured: Settings, folder: Path) -> Mapping[str, str]:
    metrics = folder / "metrics"
    shutil.rmtree(metrics, ignore_errors=True)
    metrics.mkdir(parents=True)
    return os.environ | {
        "GATEWAY_ENV": configured.env,
        "GATEWAY_DATA_DIR": str(folder),
        "MONGODB_URI": configured.mongodb_uri,
        "PORT": str(configured.port),
        "PROMETHEUS_MULTIPROC_DIR": str(metrics),
    }


def _wait_until_up(port: int, children: Mapping[str, subprocess.Popen[bytes]]) -> None:
    until = time.monotonic() + START_SECONDS
    while time.monotonic() < until:
        require_alive(children)
        with contextlib.suppress(urllib.error.URLError, OSError):
            urllib.request.urlopen(f"http://{HOST}:{port}/healthz", timeout=2).close()
            return
        time.sleep(0.03)
    raise ConfigError(f"The web process did not answer within {START_SECONDS} s. Its lines above say why.")


def _watch(
    children: dict[str, subprocess.Popen[bytes]], mongo: EmbeddedMongo | None, environ: Mapping[str, str]
) -> int:
    """Start again what stops by itself, as a host's own supervisor would; gunicorn looks after its workers."""
    patience = Patience()
    while True:
        time.sleep(0.5)
        require_alive({"web": children["web"]})
        if (code := children["worker"].poll()) is not None:
            patience.spend("The worker process", code)
            children["worker"] = start(_WORKER, environ)
        if mongo and mongo.process and (code := mongo.process.poll()) is not None:
            patience.spend(f"MongoDB ({mongo.log_path})", code)
            mongo.start()


def _note(configured: Settings) -> Running:
    url = f"http://{HOST}:{configured.port}"
    return Running(url, configured.public_url, configured.mongodb_uri, os.getpid())


def _announce(configured: Settings, login: str) -> None:
    """Print what a person needs next: where to look, what to give Twilio, and one command to try."""
    local = f"http://{HOST}:{configured.port}"
    public = configured.public_url.rstrip("/") or local
    gateway = Path(sys.argv[0]).name if shutil.which("gateway") else os.path.relpath(sys.argv[0])
    lines = [
        "",
        f"  The gateway runs ({configured.env}, answered by {configured.reply.responder}). Ctrl-C stops it.",
        "",
        f"  Admin      {local}/admin/",
        f"  Login      {login}",
        f"  SMS        {public}/webhooks/sms",
        f"  WhatsApp   {public}/webhooks/whatsapp",
        f"  Voice      {public}/webhooks/voice",
        f"  Status     {public}/webhooks/status",
        "",
        f"  Try it     {gateway} simulate sms --from +15558675310 --body Hello",
        "",
    ]
    click.echo("\n".join(lines))
