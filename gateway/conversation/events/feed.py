"""Finding out what happened: one worker at a time follows MongoDB's changes and queues what programs are told.

The webhook writes what it always wrote, and nothing more: what is stored is what is told, so nothing stored can be
lost on the way, whoever is killed. The place in the changes is noted after their events are queued; a worker that
dies in between leads to the same rows again, which are there.
"""

import threading
from collections.abc import Iterator, Mapping, Sequence
from datetime import datetime
from typing import Any

from gateway.conversation import following
from gateway.conversation.events import queue
from gateway.conversation.following import LATE, LOOK_SECONDS, Turn
from gateway.conversation.runtime import Runtime
from gateway.core.notifications import Event
from gateway.core.times import MILLISECOND
from gateway.logs import log
from gateway.store import feed, occurrences
from gateway.store.connection import deadline
from gateway.store.occurrences import HISTORY
from gateway.store.streams import NoChangeStreams, PlaceLost
from gateway.store.subscriptions import Subscription

JOB = "events"
BATCH = 500
PASS_SECONDS = 60


def follow(runtime: Runtime, stop: threading.Event) -> None:
    """Queue what happens until told to stop, if somebody listens and no other worker does this."""
    with deadline():
        listening = queue.listening(runtime)
    with following.turn(runtime, JOB, wanted=bool(listening)) as mine:
        if mine:
            Follower(runtime, mine, stop).run()


class Follower:
    """One worker's turn at following, from where the last one stopped."""

    def __init__(self, runtime: Runtime, mine: Turn, stop: threading.Event) -> None:
        self._runtime, self._turn, self._stop = runtime, mine, stop
        self._told: set[str] = set()

    def run(self) -> None:
        """Follow the changes; where they are gone or not told at all, go by when messages were stored."""
        place, until = self._turn.place()
        with deadline():
            since = until or _first(queue.listening(self._runtime), self._runtime.clock.now())
        try:
            self._follow(place, since)
        except PlaceLost:
            log.warning(
                "events_place_lost",
                message="MongoDB no longer knows what changed since the worker last looked. Messages stored since are "
                "told; what became of sessions and of older messages meanwhile is not.",
                since=since.isoformat(),
            )
            self._catch_up(since)
        except NoChangeStreams:
            log.warning(
                "events_without_changes",
                message="MongoDB is no replica set, so only stored messages are told, and neither the closing of "
                "sessions nor later statuses. Make it a replica set of one member.",
            )
            self._look(since)

    def _follow(self, place: Mapping[str, Any] | None, since: datetime) -> None:
        with feed.follow(place, since - LATE) as batches:
            began = self._runtime.clock.now()
            for batch in batches:
                if not self._tell(batch.events) or not self._turn.note(
                    batch.place, batch.until or began, now=bool(batch.events)
                ):
                    return
                began = self._runtime.clock.now()

    def _catch_up(self, since: datetime) -> None:
        """Tell of the messages stored meanwhile, then let the next turn follow from here."""
        now = self._runtime.clock.now()
        since = max(since - LATE, now - HISTORY)
        for events, _, until in stored(since, now):
            if not self._tell(events) or not self._turn.note(None, until, now=bool(events)):
                return
        self._turn.note(None, now, now=True)

    def _look(self, since: datetime) -> None:
        """Look for new messages again and again."""
        while not self._stop.is_set():
            now = self._runtime.clock.now()
            seen, self._told = self._told, set()
            for events, _, _ in stored(since - LATE, now):
                self._told |= {event.id for event in events}
                if not self._tell([event for event in events if event.id not in seen]):
                    return
            since = now
            if not self._turn.note(None, now, now=True):
                return
            self._stop.wait(LOOK_SECONDS)

    def _tell(self, events: Sequence[Event]) -> bool:
        """Queue events; False where nobody listens any more, or this is to stop."""
        if self._stop.is_set():
            return False
        if not events and self._turn.was_noted_lately():
            return True
        # Whoever subscribed before something happened is in the list that is read after it.
        with deadline(PASS_SECONDS):
            listening = queue.listening(self._runtime)
            queue.tell(self._runtime, events, listening)
        return bool(listening)


def _first(listening: Sequence[Subscription], now: datetime) -> datetime:
    """Give since when somebody listens."""
    return min((one.listens_since for one in listening if one.listens_since), default=now)


def stored(since: datetime, until: datetime, *, history: bool = False) -> Iterator[tuple[list[Event], int, datetime]]:
    """Tell what the messages stored in a time say has happened, some at once: events, of how many, up to when.

    With `history` also of what was old when it was stored.
    """
    while True:
        with deadline(PASS_SECONDS):
            rows = occurrences.stored(since, until, BATCH)
            events = occurrences.of_messages(rows, history=history)
        if not rows:
            return
        since = rows[-1]["storedAt"] + MILLISECOND
        yield events, len(rows), since
