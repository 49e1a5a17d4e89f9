"""An attempt at the provider: what must be known before it, what is noted then, and what is stored after it.

A worker's hands that come to the same step while another trip to MongoDB is under way make the next one together:
each step is then one command for all of them, and one wait for the journal. What is read, written and required of a
row is the same as if it were alone; what is wrong with a trip is raised for each that shared it. A trip's deadline
begins with the trip, so these functions are called outside of any.
"""

from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta

from pymongo import ASCENDING, UpdateOne

from gateway.core.combining import Combiner, Item, Result
from gateway.store import contacts, delivery, outbound
from gateway.store.connection import collection, deadline
from gateway.store.documents import CallbackDocument, MessageDocument, OutboxDocument
from gateway.store.outbound import Outbound
from gateway.store.outbox import DONE, WAITING, Row
from gateway.store.outbox_claims import mine

# Of people with long queues not everything is read: theirs are looked at one by one.
READ_AHEAD = 4


@dataclass(frozen=True, slots=True)
class Known:
    """What is known of a row's message: who opted out of what, and whether others to the person may go first."""

    message: Outbound | None
    opted_out: tuple[str, ...] = ()
    crowded: bool = False


@dataclass(frozen=True, slots=True)
class Confirmed:
    """What is to be done once a message went out: let the next one go, apply statuses that came before its id."""

    next_waits: bool
    statuses_wait: bool


@dataclass(frozen=True, slots=True)
class Beginning:
    """An attempt that begins `now`; until when the claim is to hold."""

    row: Row
    now: datetime
    until: datetime


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the provider said of a message: its id there, and the first status, if it is one."""

    row: Row
    sid: str
    status: str | None
    now: datetime


def look(row: Row) -> Known:
    """Look up what decides whether a row's message is sent now; StoreUnavailable."""
    return _looks.do(row, _in_time(look_all))


def begin(row: Row, now: datetime, lease: timedelta) -> bool:
    """Note that the provider is about to be called; False where the claim is lost and it must not be.

    The first attempt's time stays: what a look-up did not show yet may have been created as early as that.
    """
    return _beginnings.do(Beginning(row, now, now + lease), _in_time(begin_all))


def confirm(row: Row, sid: str, status: str | None, now: datetime) -> Confirmed:
    """Store the id that the provider gave a message, and the status if there is one, then end its row."""
    return _outcomes.do(Outcome(row, sid, status, now), _in_time(confirm_all))


_looks: Combiner[Row, Known] = Combiner()
_beginnings: Combiner[Beginning, bool] = Combiner()
_outcomes: Combiner[Outcome, Confirmed] = Combiner()


def _in_time(trip: Callable[[Sequence[Item]], Sequence[Result]]) -> Callable[[Sequence[Item]], Sequence[Result]]:
    def timed(items: Sequence[Item]) -> Sequence[Result]:
        with deadline():
            return trip(items)

    return timed


def look_all(rows: Sequence[Row]) -> list[Known]:
    """Look up what decides whether messages are sent now, each as if it were alone."""
    messages = outbound.get_all([row.id for row in rows])
    out = contacts.all_opted_out([one.place.contact_id for one in messages.values() if one.place.contact_id])
    alone = _alone({row.lane for row in rows if row.lane}, READ_AHEAD * len(rows))
    known = []
    for row in rows:
        message = messages.get(row.id)
        lines = out.get(message.place.contact_id or "", ()) if message else ()
        known.append(Known(message, lines, bool(row.lane) and row.lane not in alone))
    return known


def _alone(lanes: set[str], most: int) -> set[str]:
    """Tell of which lanes it is certain that no two rows wait; reads so many at most."""
    wanted = {"lane": {"$in": list(lanes)}, "state": WAITING}
    found = collection(OutboxDocument).find(wanted, {"_id": 0, "lane": 1}).sort("lane", ASCENDING).limit(most)
    waiting = Counter(one["lane"] for one in found)
    read_to = max(waiting) if waiting.total() == most else None
    return {lane for lane in lanes if waiting[lane] <= 1 and (read_to is None or lane < read_to)}


def begin_all(beginnings: Sequence[Beginning]) -> list[bool]:
    """Note that the provider is about to be called for several rows; tells of each whether it may be."""
    rows = collection(OutboxDocument)
    if rows.bulk_write([_noted(one) for one in beginnings], ordered=False).matched_count == len(beginnings):
        return [True] * len(beginnings)
    # Nobody else has a claim's name, nor writes this under it.
    wanted = {"_id": {"$in": [one.row.id for one in beginnings]}, "state": WAITING}
    noted = {
        (found["_id"], found.get("owner"), found.get("last_attempt_at"))
        for found in rows.find(wanted, {"owner": 1, "last_attempt_at": 1})
    }
    return [(one.row.id, one.row.owner, one.now) in noted for one in beginnings]


def _noted(one: Beginning) -> UpdateOne:
    first = {"$ifNull": ["$attempted_at", one.now]}
    noted = {"attempted_at": first, "last_attempt_at": one.now, "due": one.until}
    return UpdateOne(mine(one.row) | {"due": {"$gt": one.now}}, [{"$set": noted}])


def confirm_all(outcomes: Sequence[Outcome]) -> list[Confirmed]:
    """Store what became of messages, then end their rows: one that ended first would never get its id."""
    _store(outcomes)
    _end(outcomes)
    waiting = _behind({one.row.lane for one in outcomes if one.row.lane})
    parked = collection(CallbackDocument).find({"about": {"$in": [one.sid for one in outcomes]}}, {"about": 1})
    early = {callback["about"] for callback in parked}
    return [Confirmed(one.row.lane in waiting, one.sid in early) for one in outcomes]


def _store(outcomes: Sequence[Outcome]) -> None:
    updates = [delivery.sent(one.row.id, one.sid, one.status, one.now) for one in outcomes]
    collection(MessageDocument).bulk_write(updates, ordered=False)


def _end(outcomes: Sequence[Outcome]) -> None:
    updates = [UpdateOne(mine(one.row), {"$set": {"state": DONE, "finished_at": one.now}}) for one in outcomes]
    collection(OutboxDocument).bulk_write(updates, ordered=False)


def _behind(lanes: set[str]) -> set[str]:
    wanted = {"lane": {"$in": list(lanes)}, "state": WAITING, "behind": True}
    return set(collection(OutboxDocument).distinct("lane", wanted)) if lanes else set()
