"""Bringing a database up to date: its indexes, then the documents that older versions stored.

Done while the gateway serves, by one process at a time: each batch is followed by a rest as long, is conditional on
what it saw, and is noted, so that whoever is killed is followed by somebody who goes on there.
"""

import contextlib
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial

from gateway import __version__
from gateway.core.errors import GatewayError, StoreUnavailable
from gateway.logs import log
from gateway.store import indexes
from gateway.store.connection import deadline
from gateway.store.indexes import Change
from gateway.store.migrations import MIGRATIONS, Migration, pattern, records
from gateway.store.migrations.records import DONE, Record

# Reading and mending a batch takes some tenths of a second; a busy MongoDB may take a while.
BATCH_SECONDS = 60

# How often to look whether somebody else is through.
LOOK_SECONDS = 1


Tell = Callable[[str, int, int], object]


class Newer(GatewayError):
    """The database was migrated by a newer gateway than this."""


@dataclass(frozen=True, slots=True)
class Standing:
    """What is outstanding here, and what a newer gateway did that this one does not know."""

    outstanding: tuple[Migration, ...]
    newer: tuple[Record, ...]

    @property
    def problem(self) -> str:
        """Say what is wrong, and what would do; empty where nothing is."""
        if self.newer:
            last = self.newer[-1]
            return (
                f"This database was migrated by a newer gateway ({last.version}, migration {last.number} {last.name}); "
                f"this one is {__version__}. Run that version, or restore the backup made before it."
            )
        if self.outstanding:
            names = ", ".join(f"{one.number} {one.name}" for one in self.outstanding)
            return f"Migrations are outstanding ({names}). Run `gateway migrate`; it may run while the gateway serves."
        return ""


@dataclass(frozen=True, slots=True)
class Plan:
    """What `run` would do; beside each migration how many documents it will look at, about."""

    indexes: Sequence[Change]
    migrations: Sequence[tuple[Migration, int]]


def standing() -> Standing:
    """Tell how the documents stand. One read by id; StoreUnavailable where MongoDB is away."""
    with deadline():
        known = records.every()
    newest = MIGRATIONS[-1].number
    return Standing(
        tuple(one for one in MIGRATIONS if one.number not in known or known[one.number].state != DONE),
        tuple(known[number] for number in sorted(known) if number > newest),
    )


def plan() -> Plan:
    """Tell what is to be done, and do nothing. Newer where a newer gateway was here."""
    outstanding = _require_not_newer().outstanding
    with deadline(BATCH_SECONDS):
        return Plan(indexes.plan(), [(one, one.estimate()) for one in outstanding])


def _require_not_newer() -> Standing:
    found = standing()
    if found.newer:
        raise Newer(found.problem)
    return found


def run(
    by: str, *, wait: Callable[[float], object] = time.sleep, patient: bool = True, tell: Tell = lambda *_: None
) -> tuple[Plan, list[Record]]:
    """Do what is outstanding; gives what was planned, and how each migration of it ended.

    `tell` hears what is being done, about how much there is of it, and how much is done. Where another process is at
    work it is waited for, unless told to be impatient: then the rest is left to that one.
    Newer where a newer gateway was here: nothing is touched then.
    """
    planned = plan()
    tell("indexes", len(planned.indexes), 0)
    indexes.apply(planned.indexes)
    done = []
    for migration, documents in planned.migrations:
        told = partial(tell, f"migration {migration.number} {migration.name}", documents)
        ended = _bring_through(migration, by, wait, told, patient=patient)
        if ended is None:
            break
        done.append(ended)
    return planned, done


def _bring_through(
    migration: Migration, by: str, wait: Callable[[float], object], tell: Callable[[int], object], *, patient: bool
) -> Record | None:
    """Come back when a migration is done, by whomever; None where another is at it and we are not to wait."""
    while True:
        with deadline():
            record = records.claim(migration, secrets.token_hex(8), by)
            known = records.every()[migration.number]
        if record:
            _walk(migration, record, wait, tell)
        elif known.state == DONE:
            return known
        elif not patient:
            return None
        else:
            wait(LOOK_SECONDS)


def _walk(migration: Migration, record: Record, wait: Callable[[float], object], tell: Callable[[int], object]) -> None:
    """Go on to the end, or until somebody else has the claim."""
    facts = {"number": migration.number, "name": migration.name}
    log.info("migration_started", **facts, seen=record.seen, by=record.by)
    place, seen = record.place or {}, record.seen
    try:
        while True:
            began = time.monotonic()
            with deadline(BATCH_SECONDS):
                rows = migration.next(place)
                if rows:
                    place = {"after": rows[-1]["_id"]}
                    if not records.advance(record, place["after"], len(rows), migration.mend(rows)):
                        return
                    seen += len(rows)
                    tell(seen)
                if len(rows) < pattern.AT_ONCE:
                    break
            wait(time.monotonic() - began)
        with deadline():
            records.finish(record)
    except BaseException:
        with contextlib.suppress(StoreUnavailable), deadline():
            records.release(record)
        raise
    log.info("migration_finished", **facts)


def again(number: int) -> bool:
    """Let `run` go once more through the documents of a migration that is done; False where it is not."""
    _require_not_newer()
    with deadline():
        return records.again(number)


def at_start(by: str) -> None:
    """Spare developers the migration; what stops it shows in every answer and needs no crash here."""
    try:
        run(by, patient=False)
    except StoreUnavailable as error:
        log.error("store_unavailable", message=str(error)[:300])
    except GatewayError as error:
        log.error("migrations", message=str(error))


class Watch:
    """Says in the log, once, what is outstanding, and once when it is not any more."""

    def __init__(self) -> None:
        self._said = ""

    def look(self) -> None:
        """Look; a MongoDB that is away is told elsewhere."""
        try:
            found = standing()
        except StoreUnavailable:
            return
        if found.problem != self._said:
            self._said = found.problem
            (log.warning if found.problem else log.info)("migrations", message=found.problem or "All are done.")
