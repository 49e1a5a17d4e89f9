"""Finding out whom the CRM is to be told of: one worker at a time follows MongoDB's changes.

Neither webhooks nor whoever closes a session do anything for it, and what is stored cannot be lost on the way: the
place in the changes is noted after their contacts are queued, and to queue them again changes nothing.
"""

import secrets
import threading
from collections.abc import Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from gateway.conversation.crm import queue
from gateway.conversation.runtime import Runtime
from gateway.logs import log
from gateway.store import crm_ends, feed, turns
from gateway.store.connection import deadline
from gateway.store.streams import NoChangeStreams, PlaceLost

JOB = "crm_ends"
LEASE = timedelta(seconds=30)
# How often the place is noted while nothing happens: a token too old is worth nothing.
NOTED_EVERY = timedelta(seconds=5)
# What is stored with a moment may come to be there this much later, and hosts' clocks differ.
LATE = timedelta(seconds=30)
# How often messages are looked for where MongoDB tells nobody of changes, and when a session counts as over there.
LOOK_SECONDS = 5.0
NEVER_OVER = timedelta(hours=1)
GRACE = timedelta(minutes=1)
# A place that was lost: all sessions are read once.
SEARCH_SECONDS = 600


def follow(runtime: Runtime, stop: threading.Event) -> None:
    """Queue whoever is to be told of until told to stop, if there is a CRM and no other worker does this."""
    with deadline():
        if runtime.crm is None:
            feed.forget_place(JOB)
            return
        owner, now = secrets.token_hex(8), runtime.clock.now()
        if not turns.take(JOB, owner, now, lease=now + LEASE, due_only=False):
            return
    try:
        _Follower(runtime, owner, stop).run()
    finally:
        with deadline():
            turns.give_back(JOB, owner)


class _Follower:
    """One worker's turn, from where the last one stopped."""

    def __init__(self, runtime: Runtime, owner: str, stop: threading.Event) -> None:
        self._runtime, self._owner, self._stop = runtime, owner, stop
        self._noted = datetime.min.replace(tzinfo=runtime.clock.now().tzinfo)

    def run(self) -> None:
        """Follow the changes; where they are gone, look at what was closed since; where none are told, at messages."""
        with deadline():
            place, until = feed.place(JOB)
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
                if not self._note(batch.place, batch.until or began, now=bool(batch.sessions or batch.merged)):
                    return
                began = self._runtime.clock.now()

    def _catch_up(self, since: datetime) -> None:
        now = self._runtime.clock.now()
        with deadline(SEARCH_SECONDS):
            for sessions in crm_ends.closed_since(since):
                queue.ended(self._runtime, sessions)
                if self._stop.is_set() or not self._note({}, since, now=True):
                    return
        self._note({}, now, now=True)

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
            if not self._note({}, now, now=True):
                return
            self._stop.wait(LOOK_SECONDS)

    def _when_over(self, sessions: Mapping[str, Sequence[str]]) -> None:
        """Queue people for when their sessions are idle for too long."""
        settings = self._runtime.settings.sessions
        usual = [settings.idle_seconds, *settings.idle_seconds_by_type.values()]
        longest = max((one for one in usual if one is not None), default=0)
        over = timedelta(milliseconds=longest) if None not in usual else NEVER_OVER
        queue.ended(self._runtime, sessions, later=over + GRACE)

    def _note(self, place: Mapping[str, Any], until: datetime, *, now: bool) -> bool:
        """Note how far this came; False where it is another worker's turn."""
        moment = self._runtime.clock.now()
        if not now and moment - self._noted < NOTED_EVERY:
            return True
        self._noted = moment
        with deadline():
            return feed.keep_place(JOB, self._owner, place, until, moment + LEASE)
