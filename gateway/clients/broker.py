"""The broker, where one is configured: carries ids of the outbox's rows to a worker that has a hand free.

It carries hints and nothing else, so nobody waits for it, and whatever it loses, repeats or delivers late changes
nothing: the outbox says what is due and who has it. Celery is an extra and imported only when there is a URL.

A row that is due later is kept here until then. Celery's own way, a message with an ETA, would have each worker fetch
and hold it unacknowledged: Redis would deliver it again after the visibility timeout, and again, and it would count
against what a worker may hold. What is kept here dies with the process; the worker's sweep finds the row.
"""

import contextlib
import heapq
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from typing import Any
from urllib.parse import urlsplit

from gateway.core.errors import ConfigError
from gateway.logs import log
from gateway.settings import Settings

# The queue and the task in it.
OUTBOX = "gateway.outbox"

# So old a hint is worth nothing: the row was found by other means. Long enough for hosts whose clocks differ a little.
HINT_SECONDS = 30

# What is due later than this, or what comes while so much waits, is left to the sweep.
HORIZON = timedelta(seconds=30)
KEPT = 10_000

CONNECT_SECONDS = 2.0
SOCKET_SECONDS = 5.0
AWAY_SECONDS = 2.0
SAY_AGAIN_SECONDS = 60.0


class Broker:
    """Tells of rows, from a thread of its own. Make it after forking, or publish only then."""

    def __init__(self, settings: Settings, now: Callable[[], datetime]) -> None:
        self.app = _app(settings)
        self._now = now
        self._kept: list[tuple[datetime, str]] = []
        self._changed = threading.Condition()
        self._thread: threading.Thread | None = None
        self._connection: Any = None
        self._producer: Any = None
        self._silent_until = 0.0
        self._dropped = 0

    def publish(self, row_id: str, due: datetime) -> None:
        """Tell of a row once it is due. Returns at once, whatever the broker does."""
        with self._changed:
            if len(self._kept) >= KEPT or due - self._now() > HORIZON:
                return
            heapq.heappush(self._kept, (due, row_id))
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="broker", daemon=True)
                self._thread.start()
            self._changed.notify()

    def _run(self) -> None:
        while True:
            row_id = self._next()
            try:
                self._send(row_id)
            except Exception as error:  # Whatever it is, the row is in the outbox and the thread must go on.
                self._drop(error)
                time.sleep(AWAY_SECONDS)

    def _next(self) -> str:
        """Wait for the next row that is due."""
        with self._changed:
            while True:
                wait = (self._kept[0][0] - self._now()).total_seconds() if self._kept else None
                if wait is not None and wait <= 0:
                    return heapq.heappop(self._kept)[1]
                self._changed.wait(wait)

    def _send(self, row_id: str) -> None:
        """Publish an id; a connection that was lost since the last one is made again once."""
        if self._producer is not None:
            try:
                return self._publish(row_id)
            except Exception:
                self._disconnect()
        self._connect()
        return self._publish(row_id)

    def _publish(self, row_id: str) -> None:
        self.app.send_task(
            OUTBOX, (row_id,), producer=self._producer, queue=OUTBOX, expires=HINT_SECONDS, retry=False,
            timeout=SOCKET_SECONDS, confirm_timeout=SOCKET_SECONDS, ignore_result=True,
        )  # fmt: skip

    def _connect(self) -> None:
        confirmed = {} if _is_redis(self.app.conf.broker_write_url) else _CONFIRMED
        self._connection = self.app.connection_for_write(transport_options=confirmed)
        self._producer = self.app.amqp.Producer(self._connection, auto_declare=False)

    def _disconnect(self) -> None:
        with contextlib.suppress(Exception):
            self._connection.release()
        self._connection = self._producer = None

    def _drop(self, error: Exception) -> None:
        """Let go of everything that is due: it would only be older when the broker is back."""
        self._disconnect()
        with self._changed:
            now = self._now()
            self._dropped += 1
            while self._kept and self._kept[0][0] <= now:
                heapq.heappop(self._kept)
                self._dropped += 1
        if time.monotonic() >= self._silent_until:
            self._silent_until = time.monotonic() + SAY_AGAIN_SECONDS
            log.warning("broker_unavailable", message=f"{type(error).__name__}: {error}"[:300], dropped=self._dropped)
            self._dropped = 0


def connect(settings: Settings, now: Callable[[], datetime]) -> Broker | None:
    """Make the broker of these settings, if there is one; connects only when something is published."""
    return Broker(settings, now) if settings.broker.url else None


def reach(settings: Settings) -> str:
    """Connect once, as a worker does; gives why that failed, without the password, or nothing. ConfigError as usual."""
    try:
        with _app(settings).connection_for_write(connect_timeout=CONNECT_SECONDS) as connection:
            connection.ensure_connection(errback=_give_up)
            connection.channel().close()
    except ConfigError:
        raise
    except Exception as error:  # Each transport has its own.
        return f"{type(error).__name__}: {error}".replace(urlsplit(settings.broker.url).password or "\0", "***")[:200]
    return ""


def _give_up(error: Exception, _pause: float) -> None:
    """Try no second time."""
    raise error


def label(settings: Settings) -> str:
    """Name the broker without its password."""
    url = urlsplit(settings.broker.url)
    return f"{url.scheme}://{url.hostname}{f':{url.port}' if url.port else ''}"


def _app(settings: Settings) -> Any:
    """Make the Celery app, or say in one line why not."""
    try:
        from celery import Celery

        app = Celery("gateway", set_as_current=False)
        app.conf.update(_configuration(settings))
        # Finds out now whether the transport's library is there and the URL is one.
        app.connection_for_write().transport  # noqa: B018
    except ImportError:
        raise ConfigError(
            "GATEWAY_BROKER__URL is set and Celery is not installed. Install the extra `celery` "
            "(pip install 'gateway[celery]'), or unset it: the outbox works alone."
        ) from None
    except (ValueError, KeyError) as error:
        # What the library says may quote a part of the password.
        reason = "" if "@" in settings.broker.url else f" ({error})"
        raise ConfigError(
            f"GATEWAY_BROKER__URL is not usable{reason}. Write it as redis://host:6379/0 or amqp://user:password@host//."
        ) from None
    return app


def _configuration(settings: Settings) -> dict[str, Any]:
    url = settings.broker.url
    return {
        # Not broker_url: that one gives way to a CELERY_BROKER_URL somebody set for another application.
        "broker_read_url": url,
        "broker_write_url": url,
        "broker_connection_timeout": CONNECT_SECONDS,
        "broker_connection_retry_on_startup": True,
        "broker_connection_max_retries": None,
        "broker_heartbeat": 30,
        "broker_transport_options": _redis_options(settings) if _is_redis(url) else {},
        "task_default_queue": OUTBOX,
        # A hint is not worth a write to the broker's disk.
        "task_default_delivery_mode": "transient",
        "task_serializer": "json",
        "accept_content": ["json"],
        "task_acks_late": True,
        "task_ignore_result": True,
        "worker_prefetch_multiplier": 1,
        "worker_enable_remote_control": False,
        "worker_hijack_root_logger": False,
    }


def _is_redis(url: str) -> bool:
    return url.startswith("redis")


# RabbitMQ says nothing to a publisher unless it is asked to, so a dead connection would be noticed minutes later.
_CONFIRMED = {"confirm_publish": True, "read_timeout": SOCKET_SECONDS, "write_timeout": SOCKET_SECONDS}


def _redis_options(settings: Settings) -> dict[str, Any]:
    return {
        # What a worker took and did not acknowledge is given to another after this time, not after an hour. While the
        # work goes on the row is claimed, so an early repetition finds nothing to do.
        "visibility_timeout": settings.outbox.lease_seconds + 10,
        # Looked for every 2 s, each time; kombu's own 10 s and every 10th time make 100 s.
        "unacked_restore_interval": 2,
        "unacked_restore_throttle": 1,
        # Other Celery applications in the same database have keys of the same names and longer timeouts.
        "global_keyprefix": "gateway:",
        "socket_connect_timeout": CONNECT_SECONDS,
        "socket_timeout": SOCKET_SECONDS,
        "socket_keepalive": True,
        "health_check_interval": 10,
    }
