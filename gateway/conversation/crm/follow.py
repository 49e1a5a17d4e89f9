"""Finding out whom the CRM is to be told of: one worker at a time follows MongoDB's changes.

Neither webhooks nor whoever closes a session do anything for it, and what is stored cannot be lost on the way: the
place in the changes is noted after their contacts are queued, and to queue them again changes nothing.
"""

import threading
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from gateway.conversation import following
from gateway.conversation.crm import queue
from gateway.conversation.following import LATE, LOOK_SECONDS, Turn
from gateway.conversation.runtime import Runtime
from gateway.logs import log
from gateway.store import crm_ends
from gateway.store.connection import deadline
from gateway.store.streams import NoChangeStreams, PlaceLost

JOB = "crm_ends"
# When a session counts as over where MongoDB tells nobody of changes.
NEVER_OVER = timedelta(hours=1)
GRACE = timedelta(minutes=1)
# A place that was lost: all sessions are read once.
SEARCH_SECONDS = 600


def follow(runtime: Runtime, stop: threading.Event) -> None:
    """Queue whoever is to be told of until told to stop, if there is a CRM and no other worker does this."""
    with following.turn(runtime, JOB, wanted=runtime.crm is not None) as mine:
        if mine:
            _Follower(runtime, mine, stop).run()


class _Follower:
    """One worker's turn, from where the last one stopped."""

    def __init__(self, runtime: Runtime, mine: Turn, stop: threading.Event) -> None:
        self._runtime, self._turn, self._stop = runtime, mine, stop

    def run(self) -> None:
        """Follow the changes; where they are gone, look at what was closed since; where none are told, at messages."""
        place, until = self._turn.place()
        since = until or self._runtime.clock.now()
        try:
            self._follow(place, since)
        except PlaceLost:
            log.warning(
                "crm_place_lost",
                message="MongoDB no longer knows what changed since the worker last looked. All sessions that were "
                "closed since are synchronised.",
                since=since.isoformat(),
            )
            self._catch_up(since - LATE)
        except NoChangeStreams:
            log.warning(
                "crm_without_changes",
                message="MongoDB is no replica set, so sessions are synchronised when they must be over, not when "
                "they are. Make it a replica set of one member.",
            )
            self._look(since)

    def _follow(self, place: Mapping[str, Any] | None, since: datetime) -> None:
        with crm_ends.follow(place, since - LATE) as batches:
            began = self._runtime.clock.now()
            for batch in batches:
                if self._stop.is_set():
                    return
                queue.ended(self._runtime, batch.sessions)
                queue.merged(self._runtime, batch.merged)
                if not self._turn.note(batch.place, batch.until or began, now=bool(batch.sessions or batch.merged)):
                    return
                began = self._runtime.clock.now()

    def _catch_up(self, since: datetime) -> None:
        now = self._runtime.clock.now()
        with deadline(SEARCH_SECONDS):
            for sessions in crm_ends.closed_since(since):
                queue.ended(self._runtime, sessions)
                if self._stop.is_set() or not self._turn.note({}, since, now=True):
                    return
        self._turn.note({}, now, now=True)

    def _look(self, since: datetime) -> None:
        since -= LATE
        while not self._stop.is_set():
            now = self._runtime.clock.now()
            reached = since
            while reached < now and not self._stop.is_set():
                with deadline(SEARCH_SECONDS):
                    sessions, reached = crm_ends.stored(reached, now)
                self._when_over(sessions)
            since = now - LATE
            if not self._turn.note({}, now, now=True):
                return
            self._stop.wait(LOOK_SECONDS)

    def _when_over(self, sessions: Mapping[str, Sequence[str]]) -> None:
        """Queue people for when their sessions are idle for too long."""
        settings = self._runtime.settings.sessions
        usual = [settings.idle_seconds, *settings.idle_seconds_by_type.values()]
        longest = max((one for one in usual if one is not None), default=0)
        over = timedelta(milliseconds=longest) if None not in usual else NEVER_OVER
        queue.ended(self._runtime, sessions, later=over + GRACE)
