"""What was acknowledged, looked up where it has to be: stored once, and in the right sessions."""

import itertools
import time
from collections import defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from gateway.conversation.simulation.burst import Burst
from gateway.store import counted_sessions
from gateway.store.connection import deadline
from gateway.store.counted_sessions import Filed

# Where nothing changes for so long, nothing more comes.
PATIENCE_SECONDS = 15
READ_SECONDS = 60


@dataclass(frozen=True, slots=True)
class Verified:
    """What is stored of a burst. `beyond` are messages in its sessions that nobody sent, or twice.

    `misfiled` are the people whose messages are in other sessions than their pauses call for, `miscounted` the
    sessions that count other than they have (I5).
    """

    acknowledged: int
    missing: Sequence[str]
    sessions: int
    sessions_expected: int
    beyond: int = 0
    misfiled: Sequence[str] = field(default=())
    miscounted: Sequence[str] = field(default=())

    @property
    def as_expected(self) -> bool:
        """Tell whether nothing is wrong."""
        right = self.sessions == self.sessions_expected
        return right and not (self.missing or self.beyond or self.misfiled or self.miscounted)


def verify(burst: Burst) -> Verified:
    """Compare what was acknowledged with what is stored; waits as long as more of it comes in from a spool."""
    found, until = _verify(burst), time.monotonic() + PATIENCE_SECONDS
    while not found.as_expected and time.monotonic() < until:
        time.sleep(1)
        before, found = found, _verify(burst)
        if found != before:
            until = time.monotonic() + PATIENCE_SECONDS
    return found


def _verify(burst: Burst) -> Verified:
    with deadline(READ_SECONDS):
        # What was not acknowledged may be stored all the same: then it is one of its session's messages.
        stored = counted_sessions.filed(list(burst.senders))
        session_ids = sorted({one.session_id for one in stored.values()})
        counted = counted_sessions.sessions(session_ids)
    people = _by_sender(burst.senders, stored)
    expected = {sender: _sessions_of(said) for sender, said in people.items()}
    return Verified(
        acknowledged=len(burst.acknowledged),
        missing=sorted(burst.acknowledged - stored.keys()),
        sessions=len(session_ids),
        sessions_expected=sum(expected.values()),
        beyond=sum(one.inbound for one in counted.values()) - len(stored),
        misfiled=[sender for sender, said in people.items()
                  if len({one.session_id for one in said}) != expected[sender]],
        miscounted=[one.id for one in counted.values() if one.message_count != one.inbound + one.outbound],
    )  # fmt: skip


def _by_sender(senders: Mapping[str, str], stored: Mapping[str, Filed]) -> dict[str, list[Filed]]:
    people: dict[str, list[Filed]] = defaultdict(list)
    for sid, one in stored.items():
        people[senders[sid]].append(one)
    for said in people.values():
        said.sort(key=lambda one: one.at)
    return people


def _sessions_of(said: Sequence[Filed]) -> int:
    """Count the sessions that somebody's pauses call for, by the thresholds their messages were judged by."""
    return 1 + sum(_rolls_over(earlier, later) for earlier, later in itertools.pairwise(said))


def _rolls_over(earlier: Filed, later: Filed) -> bool:
    threshold = later.threshold_seconds
    return threshold is not None and (threshold == 0 or (later.at - earlier.at).total_seconds() > threshold)
