"""A run that makes one of what is here twice: how it is worked on, how far it is, and what came of it."""

import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from gateway.conversation import consolidated
from gateway.conversation.consolidated import Refused
from gateway.conversation.emptying import GRACE
from gateway.conversation.import_runs import LEASE, REST
from gateway.conversation.runtime import Runtime
from gateway.store import heartbeats, import_claims
from gateway.store.connection import deadline
from gateway.store.consolidations import SESSIONS, Note
from gateway.store.imports import Import

_SECONDS = 60
# How often it is said how far a run is, and that it is alive.
_TELL_SECONDS = 2.0


@dataclass(frozen=True, slots=True)
class Found:
    """Contacts, or sessions, that are one: `kept` is what the others are merged into.

    `messages` is how many are in it twice then, and are put aside.
    """

    what: str
    kept: str
    others: tuple[str, ...]
    messages: int = 0


@dataclass(frozen=True, slots=True)
class Dropped:
    """What a contact is in a CRM, who is another one there by now: `kept` is that one, synchronised last."""

    provider: str
    contact: str
    remote_id: str
    kept: str


@dataclass
class Report:
    """What came of it, or would. `left` says what could not be done now, with the reason.

    `run_id` is empty where nothing was done, `is_done` false where it was stopped on the way.
    """

    run_id: str = ""
    is_done: bool = True
    people: int = 0
    contacts_merged: int = 0
    session_groups: int = 0
    sessions_merged: int = 0
    messages_removed: int = 0
    dropped: list[Dropped] = field(default_factory=list)
    left: list[str] = field(default_factory=list)

    @property
    def groups(self) -> int:
        """Give how many groups were consolidated, of people and of sessions."""
        return self.people + self.session_groups


@dataclass(frozen=True)
class Hands:
    """How it is worked on. `wait` sleeps some seconds and says True to stop; `tell` hears of each group.

    `at` hears how many sessions were looked at, of about how many.
    """

    wait: Callable[[float], object] = lambda _seconds: False
    tell: Callable[[Found], object] = lambda _found: None
    at: Callable[[int, int], object] = lambda _done, _of: None


class Stopped(Exception):
    """Whoever runs the process wants it to end, or the run was canceled."""


@dataclass
class Work:
    """A run under way; `run` is None where it is only tried."""

    runtime: Runtime
    by: str
    hands: Hands
    run: Import | None = None
    report: Report = field(default_factory=Report)
    looked_at: int = 0
    of: int = 0
    told: float = 0
    is_serving: bool = False
    watched: deque[tuple[str, datetime]] = field(default_factory=deque)

    @property
    def run_id(self) -> str:
        """Give the run's id; empty where it is only tried."""
        return self.run.id if self.run else ""

    def look(self) -> None:
        """Say every now and then how far this is; Stopped where it is to end."""
        if time.monotonic() - self.told < _TELL_SECONDS:
            return
        self.told = time.monotonic()
        self.hands.at(self.looked_at, self.of)
        if self.run is None:
            return
        now = self.runtime.clock.now()
        facts = {"offset": self.looked_at, "size": self.of}
        with deadline(_SECONDS):
            if not import_claims.note_source(self.run, facts, now + LEASE):
                raise Stopped
            alive = (now - one.seen_at < 3 * timedelta(seconds=one.every_seconds) for one in heartbeats.every())
            self.is_serving = any(alive)
        if self.hands.wait(0):
            raise Stopped

    def do(self, step: Callable[[Runtime, Note, str], int | None], note: Note) -> tuple[bool, int]:
        """Make one of two; gives whether that was done, and how many messages were put aside.

        While the gateway serves, MongoDB has as long a rest afterwards.
        """
        self.look()
        began = time.monotonic()
        try:
            removed = step(self.runtime, note, self.by)
        except Refused as refusal:
            self.report.left.append(str(refusal))
            return False, 0
        if note.kind == SESSIONS:
            self.watched.append((note.mark, self.runtime.clock.now()))
            self.settle()
        if self.is_serving and self.hands.wait((time.monotonic() - began) * REST):
            raise Stopped
        return True, removed or 0

    def settle(self) -> None:
        """Look once more at what was merged a while ago."""
        while self.watched and self.watched[0][1] + GRACE < self.runtime.clock.now():
            consolidated.settle(self.runtime, self.watched.popleft()[0])
