"""What changes in sessions and messages while somebody looks: one change stream a process, and none for nobody."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from queue import SimpleQueue
from typing import Any

from pymongo.errors import OperationFailure, PyMongoError

from gateway.logs import log
from gateway.store.connection import collection
from gateway.store.documents import MessageDocument, SessionDocument

# What comes together is told together: a list is drawn again once, not for each message.
GATHER_SECONDS = 0.3
MOST_GATHERED = 1000
AGAIN_SECONDS = 1.0

_COLLECTIONS = (SessionDocument._get_collection_name(), MessageDocument._get_collection_name())
_WRITTEN = {"ns.coll": {"$in": _COLLECTIONS}, "operationType": {"$in": ["insert", "update", "replace"]}}
_DELETED = {"ns.coll": _COLLECTIONS[0], "operationType": "delete"}
_PIPELINE: list[dict[str, Any]] = [
    {"$match": {"$or": [_WRITTEN, _DELETED]}},
    {"$project": {"documentKey": 1, "ns.coll": 1}},
]


@dataclass(frozen=True, slots=True)
class Changed:
    """A session in which something changed, or one of whose messages did."""

    session_id: str
    channel_id: str


# None says that changes were missed or a session is gone, so anything may have changed.
Batch = frozenset[Changed] | None
Told = SimpleQueue[Batch]


class Changes:
    """Tells everybody in this process who listens. The stream begins with the first and ends after the last."""

    def __init__(self) -> None:
        self._guard = threading.Lock()
        self._listeners: set[Told] = set()
        self._thread: threading.Thread | None = None

    @contextmanager
    def listen(self) -> Iterator[Told]:
        """Give a queue of what changes from now on."""
        told: Told = SimpleQueue()
        with self._guard:
            self._listeners.add(told)
            if self._thread is None:
                self._thread = threading.Thread(target=self._run, name="changes", daemon=True)
                self._thread.start()
        try:
            yield told
        finally:
            with self._guard:
                self._listeners.discard(told)

    def _run(self) -> None:
        token = None
        while not self._is_over():
            try:
                token = self._follow(token)
                continue
            except PyMongoError as error:
                log.warning("changes_interrupted", message=type(error).__name__)
                if isinstance(error, OperationFailure):
                    token = None  # too old to go on from, as the server says
            except Exception:
                # Whatever it is, who listens must not wait for a thread that is gone.
                log.exception("changes_interrupted")
                token = None
            time.sleep(AGAIN_SECONDS)
            self._tell(None)

    def _is_over(self) -> bool:
        with self._guard:
            if not self._listeners:
                self._thread = None
            return self._thread is not threading.current_thread()

    def _follow(self, token: Any) -> Any:
        database = collection(SessionDocument).database
        wait = round(GATHER_SECONDS * 1000)
        with database.watch(_PIPELINE, resume_after=token, max_await_time_ms=wait) as stream:
            while self._listeners:
                found = _gathered(stream)
                if found:
                    self._tell(_sessions_of(found))
            return stream.resume_token

    def _tell(self, batch: Batch) -> None:
        with self._guard:
            for told in self._listeners:
                told.put(batch)


def _gathered(stream: Any) -> dict[str, set[Any]]:
    """Take what comes within a moment: ids by collection."""
    found: dict[str, set[Any]] = {}
    until = time.monotonic() + GATHER_SECONDS
    for _ in range(MOST_GATHERED):
        change = stream.try_next()
        if change:
            found.setdefault(change["ns"]["coll"], set()).add(change["documentKey"]["_id"])
        if time.monotonic() > until:
            break
    return found


def _sessions_of(found: dict[str, set[Any]]) -> Batch:
    sessions, messages = (list(found.get(name, ())) for name in _COLLECTIONS)
    rows = [(row["_id"], row) for row in _find(SessionDocument, sessions, {"channel_id": 1})]
    if len(rows) < len(sessions):
        return None  # nobody can tell any more who saw a session that was deleted
    said = _find(MessageDocument, messages, {"channel_id": 1, "session_id": 1})
    rows += [(row.get("session_id"), row) for row in said]
    return frozenset(Changed(str(session_id), str(row.get("channel_id"))) for session_id, row in rows)


def _find(document: Any, ids: list[Any], fields: dict[str, int]) -> list[dict[str, Any]]:
    return list(collection(document).find({"_id": {"$in": ids}}, fields)) if ids else []


changes = Changes()
