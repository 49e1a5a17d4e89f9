"""MongoDB: whether it takes writes so that they last, and whether what the gateway needs in it is there."""

from collections.abc import Iterator
from dataclasses import replace

from gateway.conversation import migrating
from gateway.conversation.doctor.findings import Finding, Mend, Patient, ok, said, warning, wrong
from gateway.conversation.migrating import Standing
from gateway.conversation.runtime import OFFSET_WARNING_MS
from gateway.core.errors import ConfigError, StoreUnavailable
from gateway.store import connection, health, indexes
from gateway.store.connection import deadline
from gateway.store.health import MongoDB
from gateway.store.indexes import DROP, Change

BY = "gateway doctor"
AWAY = "MongoDB is away"

# Lists the indexes of some forty collections.
READ_SECONDS = 5

_SHOWN = 8


def mongodb_answers(patient: Patient) -> Iterator[Finding]:
    """Check that MongoDB is reached, takes writes, and keeps them whatever dies."""
    try:
        connection.connect(patient.settings)
    except ConfigError as error:
        yield said(str(error), blocks="no MongoDB is set")
        return
    found = health.mongodb()
    if not found.problem:
        try:
            connection.ping()
        except StoreUnavailable as error:
            found = replace(found, problem=f"it takes no writes: {error}")
        patient.clock.correct()
    yield from judged(found)


def judged(found: MongoDB) -> Iterator[Finding]:
    """Say how MongoDB is."""
    if found.problem:
        yield wrong(
            f"MongoDB does not answer: {found.problem.partition(', full error')[0].rstrip('.')}.",
            "Start it, or correct MONGODB_URI. Meanwhile webhooks are kept in the spool (docs/outages.md).",
            blocks=AWAY,
        )
        return
    who = f"replica set {found.set_name}" if found.set_name else "no replica set"
    yield ok(f"Answers in {found.round_trip_ms} ms: MongoDB {found.version}, {who}.")
    yield from _kept(found)
    yield from _clock(found.offset_ms or 0)


def _kept(found: MongoDB) -> Iterator[Finding]:
    """Say whether a write that is confirmed is there for good."""
    if not {"w: majority", "j: true"} <= set(found.write_concern.split(", ")):
        yield wrong(
            f"Writes wait for {found.write_concern or 'nothing'}, so what was answered may be lost.",
            "Take w, journal and wtimeoutMS out of MONGODB_URI: the gateway asks for majority and journal itself.",
        )
    if any(one.role == "standalone" for one in found.members):
        yield wrong(
            "A MongoDB that is no replica set: nothing is told to programs, and it cannot fail over.",
            "Start mongod with --replSet rs0, once: mongosh --eval 'rs.initiate()'",
        )
    away = [one.address for one in found.members if one.role == "not reached"]
    if away:
        yield warning(f"Not reached: {', '.join(away)}.", "Start it, or take it out of the set.")


def _clock(offset_ms: int) -> Iterator[Finding]:
    if abs(offset_ms) > OFFSET_WARNING_MS:
        yield warning(
            f"This host's clock is {offset_ms} ms off MongoDB's.",
            "Check the time synchronisation of both (timedatectl, chronyc tracking).",
        )


def indexes_are_there(_patient: Patient) -> Iterator[Finding]:
    """Check that every query has its index, and say which indexes are somebody else's."""
    with deadline(READ_SECONDS):
        changes, others = indexes.survey()
    lacking = [change for change in changes if change.what != DROP]
    if lacking:
        what = f"{_counted(lacking, 'index', 'indexes')} missing or otherwise: pages are slow, sessions may be double."
        yield wrong(what, "gateway migrate", mend=_migrate(changes))
    elif changes:
        what = f"{_counted(changes, 'index', 'indexes')} not needed any more; each costs every write."
        yield warning(what, "gateway migrate", mend=_migrate(changes))
    else:
        yield ok("All indexes are there.")
    if others:
        named = ", ".join(f"{one.collection}.{one.index}{' (unique)' if one.unique else ''}" for one in others[:_SHOWN])
        yield warning(
            f"{_counted(others, 'index is', 'indexes are', verb=False)} not the gateway's: {named}"
            f"{', ...' if len(others) > _SHOWN else ''}.",
            "Each costs every write, and a unique one may refuse some. Drop what nobody needs.",
        )


def _counted(found: "list[Change] | list[indexes.Foreign]", one: str, many: str, *, verb: bool = True) -> str:
    is_are = (" is" if len(found) == 1 else " are") if verb else ""
    return f"{len(found)} {one if len(found) == 1 else many}{is_are}"


def _migrate(changes: "list[Change]") -> Mend:
    lines = tuple(f"{one.what} {one.collection}.{one.index}: {one.why}" for one in changes)
    return Mend("Bring the indexes up to date, as `gateway migrate` does", lines, _migrated)


def _migrated() -> str:
    planned, done = migrating.run(BY)
    told = [f"{len(planned.indexes)} indexes", *(f"migration {one.number} {one.name}" for one in done)]
    return f"Done: {', '.join(told)}."


def documents_are_of_this_version(_patient: Patient) -> Iterator[Finding]:
    """Check that no migration is outstanding, and that no newer gateway was here."""
    yield from judged_documents(migrating.standing())


def judged_documents(standing: Standing) -> Iterator[Finding]:
    """Say whether the documents are those of this version."""
    if standing.newer:
        yield said(standing.problem)
    elif standing.outstanding:
        lines = tuple(f"migration {one.number} {one.name}: {one.why}" for one in standing.outstanding)
        mend = Mend("Migrate the documents, as `gateway migrate` does", lines, _migrated)
        yield said(standing.problem, mend=mend)
    else:
        yield ok("All migrations are done.")
