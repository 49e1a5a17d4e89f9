"""Real brokers on loopback, each in a folder and on a port of its own: killed, flushed and started again at will."""

import contextlib
import os
import shutil
import signal
import socket
import subprocess
import time
from abc import ABC, abstractmethod
from collections.abc import Callable
from pathlib import Path
from typing import Any

import kombu
import redis

from gateway.clients.broker import OUTBOX
from gateway.store.embedded import die_with_parent, free_port

# Debian's /usr/sbin/rabbitmq-server is a wrapper that insists on the system's own user and folders.
RABBIT = "/usr/lib/rabbitmq/bin/rabbitmq-server"


def wait_for(condition: Callable[[], Any], seconds: float = 60, what: Callable[[], str] | str = "") -> Any:
    """Wait until something is so, and give it."""
    until = time.monotonic() + seconds
    while not (found := condition()):
        in_vain = time.monotonic() >= until
        assert not in_vain, f"waited {seconds} s in vain for {what() if callable(what) else what}"
        time.sleep(0.02)
    return found


def is_open(port: int) -> bool:
    """Tell whether somebody listens on a port of this host."""
    with socket.socket() as probe:
        return probe.connect_ex(("127.0.0.1", port)) == 0


class Server(ABC):
    """A broker: `url` is where it listens, whenever it does."""

    url: str
    programs: tuple[str, ...]

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self._process: subprocess.Popen[bytes] | None = None

    def missing(self) -> str | None:
        """Name a program that is not installed."""
        return next((program for program in self.programs if shutil.which(program) is None), None)

    def start(self) -> None:
        """Start it; it answers a while later. It dies with the thread that calls this."""
        with (self.folder / "log").open("ab") as out:
            self._process = subprocess.Popen(
                self.command(), env=self.environ(), stdout=out, stderr=out, cwd=self.folder,
                start_new_session=True, preexec_fn=die_with_parent,
            )  # fmt: skip

    @property
    def pid(self) -> int:
        """Tell its process, which leads a group of its own."""
        return self._process.pid if self._process else 0

    def wait_until_ready(self) -> None:
        wait_for(self.answers, 60, f"{self.url}, see {self.folder}/log")

    def kill(self) -> None:
        """Kill it with -9, and whatever it started."""
        if self._process:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()
            self._process = None

    @abstractmethod
    def command(self) -> list[str]:
        """Give the command line that starts it."""

    def environ(self) -> dict[str, str]:
        return dict(os.environ)

    @abstractmethod
    def answers(self) -> bool:
        """Tell whether it takes connections."""

    @abstractmethod
    def waiting(self) -> int:
        """Count what waits for a worker."""

    @abstractmethod
    def flush(self) -> None:
        """Throw away all that waits."""


class Redis(Server):
    """Redis, in memory only."""

    programs = ("redis-server",)

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.port = free_port()
        self.url = f"redis://127.0.0.1:{self.port}/0"

    def command(self) -> list[str]:
        return [
            "redis-server", "--port", str(self.port), "--bind", "127.0.0.1", "--save", "", "--appendonly", "no",
            "--dir", str(self.folder),
        ]  # fmt: skip

    def answers(self) -> bool:
        with contextlib.suppress(redis.ConnectionError), redis.Redis.from_url(self.url) as client:
            return bool(client.ping())
        return False

    def waiting(self) -> int:
        with redis.Redis.from_url(self.url) as client:
            return int(client.llen(f"gateway:{OUTBOX}"))

    def flush(self) -> None:
        with redis.Redis.from_url(self.url) as client:
            client.flushall()


class Rabbit(Server):
    """RabbitMQ, with an epmd, a node name and a cookie of its own."""

    programs = (RABBIT, "epmd")

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        self.port, self.epmd_port = free_port(), free_port()
        self.url = f"amqp://guest:guest@127.0.0.1:{self.port}//"

    def start(self) -> None:
        # Without one a node would start its own, which nobody ends.
        self._epmd = subprocess.Popen(
            ["epmd", "-port", str(self.epmd_port), "-address", "127.0.0.1"],
            stderr=subprocess.DEVNULL, preexec_fn=die_with_parent,
        )  # fmt: skip
        wait_for(lambda: is_open(self.epmd_port), what="epmd")
        super().start()

    def kill(self) -> None:
        super().kill()
        self._epmd.kill()
        self._epmd.wait()

    def command(self) -> list[str]:
        return [RABBIT]

    def environ(self) -> dict[str, str]:
        (self.folder / "rabbitmq.conf").write_text("log.console = true\nlog.file = false\n")
        (self.folder / "plugins").write_text("[].\n")
        return {name: value for name, value in os.environ.items() if not name.startswith(("RABBITMQ_", "ERL_"))} | {
            "HOME": str(self.folder),
            "ERL_EPMD_PORT": str(self.epmd_port),
            "ERL_EPMD_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODENAME": f"gateway-{self.port}@localhost",
            "RABBITMQ_NODE_IP_ADDRESS": "127.0.0.1",
            "RABBITMQ_NODE_PORT": str(self.port),
            "RABBITMQ_DIST_PORT": str(free_port()),
            "RABBITMQ_SERVER_ADDITIONAL_ERL_ARGS": "+S 2:2 -kernel inet_dist_use_interface {127,0,0,1}",
            "RABBITMQ_CONFIG_FILE": str(self.folder / "rabbitmq.conf"),
            "RABBITMQ_ENABLED_PLUGINS_FILE": str(self.folder / "plugins"),
            "RABBITMQ_MNESIA_BASE": str(self.folder / "mnesia"),
            "RABBITMQ_LOG_BASE": str(self.folder),
            "RABBITMQ_LOGS": "-",
            "RABBITMQ_PID_FILE": str(self.folder / "pid"),
        }

    def answers(self) -> bool:
        with contextlib.suppress(OSError), kombu.Connection(self.url, connect_timeout=2) as connection:
            return bool(connection.connect())
        return False

    def waiting(self) -> int:
        with kombu.Connection(self.url) as connection, contextlib.suppress(connection.channel_errors):
            return int(connection.default_channel.queue_declare(OUTBOX, passive=True).message_count)
        return 0

    def flush(self) -> None:
        with kombu.Connection(self.url) as connection, contextlib.suppress(connection.channel_errors):
            connection.default_channel.queue_purge(OUTBOX)


BROKERS: dict[str, type[Server]] = {"redis": Redis, "amqp": Rabbit}
