"""A batch of imported rows, stored: all sessions before all messages, then counted.

Nothing here answers, sends or tells anybody: what waited to be sent where it comes from is canceled here, and a
session that waits for a person is silent. May be repeated: `intent` says what was here before the first attempt.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from gateway.conversation import alerts, carried, imported_people
from gateway.conversation.layouts import OWN
from gateway.conversation.runtime import Runtime
from gateway.core.imported import MessageRow, Read, Rejected, Remark, SessionRow, Tally, future
from gateway.core.participant import address
from gateway.core.sessions import IDLE
from gateway.store import carried as stored
from gateway.store import channels, import_changes, imported_batches, imported_counts, importing, rejections
from gateway.store.connection import deadline
from gateway.store.contacts import Contact, Sender
from gateway.store.exporting import WITHOUT
from gateway.store.import_claims import Step
from gateway.store.importing import Here
from gateway.store.imports import Import
from gateway.store.rejections import Rejection

# Reading, storing and counting a batch takes a tenth of a second; a busy MongoDB may take a while.
BATCH_SECONDS = 60

SAID = ("createdAt", "storedAt")
MOMENTS = ("createdAt", "first_message_at", "last_message_at", "last_inbound_at")

_NOT_STORED = {name: frozenset(fields) | {"message_count"} for name, fields in WITHOUT.items()}


@dataclass
class Batch:
    """Rows on their way into MongoDB, and what becomes of them.

    `people` are those that sessions named by their id, `senders` those they name by how they write, and `named` how
    those also do who are called by an e-mail; `sessions` are those that it brings, by their ids.
    """

    runtime: Runtime
    run: Import
    now: datetime
    known: Mapping[str, Collection[str]]
    tally: Tally = field(default_factory=Tally)
    channels: dict[str, str] = field(default_factory=dict)
    rejections: list[Rejection] = field(default_factory=list)
    sessions: dict[str, dict[str, Any]] = field(default_factory=dict)
    stored: list[dict[str, Any]] = field(default_factory=list)
    brought: bytes = b""
    people: dict[str, Contact] = field(default_factory=dict)
    senders: dict[Sender, Contact] = field(default_factory=dict)
    named: dict[Sender, Sender] = field(default_factory=dict)

    def write_down(self, messages: Sequence[Mapping[str, Any]]) -> None:
        """Write down what is being stored, to be kept with the import once it is."""
        self.brought = imported_batches.packed(sorted(self.sessions), messages)

    def reject(self, read: Read, reason: str) -> None:
        """Leave a row out, and keep it with the reason."""
        self.tally.rejected += 1
        written = read.written.decode("utf-8", "replace").strip()
        self.rejections.append(
            Rejection(read.position.rows, reason, written, read.place or f"row {read.position.rows}")
        )


def look(reads: Sequence[Read]) -> dict[str, list[str]]:
    """Tell what of a batch is here already."""
    sessions = {read.row.id for read in reads if isinstance(read.row, SessionRow)}
    messages = {read.row.id for read in reads if isinstance(read.row, MessageRow)}
    with deadline(BATCH_SECONDS):
        return {
            "sessions": sorted(importing.known_sessions(sessions)),
            "messages": sorted(importing.known_messages(messages)),
        }


def put(runtime: Runtime, run: Import, reads: Sequence[Read], known: Mapping[str, Collection[str]]) -> Step:
    """Store a batch; gives what is to be noted of it."""
    began = time.monotonic()
    batch = Batch(runtime, run, runtime.clock.now(), {name: set(ids) for name, ids in known.items()})
    with deadline(BATCH_SECONDS):
        for read in reads:
            _simple(batch, read)
        carried.put(batch, reads)
        _sessions(batch, reads)
        _store(batch, _messages(batch, reads))
        carried.put_files(batch, reads)
        imported_batches.keep(run.id, reads[-1].position.rows, batch.brought)
        rejections.keep(run.id, batch.rejections, batch.now)
    return Step(
        position=reads[-1].position,
        tally=batch.tally,
        seconds=time.monotonic() - began,
        channels=batch.channels,
        days=_days(batch.stored),
        oldest_stored=min((message["storedAt"] for message in batch.stored), default=None),
        ends=any(isinstance(read.row, Remark) and read.row.ends for read in reads),
    )


def _days(messages: Sequence[Mapping[str, Any]]) -> set[datetime]:
    days = {message["createdAt"].date() for message in messages}
    return {datetime(day.year, day.month, day.day, tzinfo=UTC) for day in days}


def _simple(batch: Batch, read: Read) -> None:
    match read.row:
        case Rejected(reason):
            batch.reject(read, reason)
        case Remark(problem) if problem:
            batch.tally.problems.append(problem)


def _sessions(batch: Batch, reads: Sequence[Read]) -> None:
    here, new, existing, crm = set(batch.known["sessions"]), [], [], []
    for read in reads:
        if not isinstance(read.row, SessionRow):
            continue
        row = read.row
        told = row.document.pop("crm", {})
        if row.id in here:
            existing.append(row)
        elif reason := future(batch.now, row.document, *MOMENTS):
            batch.reject(read, reason)
            told = {}
        else:
            new.append(row)
        here.add(row.id)
        crm += [(row.id, *known) for known in told.items()]
    imported_people.meet(batch, [row.document for row in new])
    for row in new:
        batch.sessions[row.id] = _session(batch, row)
    batch.tally.sessions_existing += len(existing)
    _carry(batch, [row for row in existing if row.document.get("opted_out")], crm)


def _carry(batch: Batch, out: Sequence[SessionRow], crm: Sequence[tuple[str, str, Any]]) -> None:
    """Keep what is said of people in sessions that are here, and whom a CRM knows them as."""
    contact_of = {one: session["contact_id"] for one, session in batch.sessions.items()}
    contact_of |= importing.contacts_of({*(row.id for row in out), *(one[0] for one in crm)} - contact_of.keys())
    for row in out:
        imported_people.carry_over(batch, contact_of.get(row.id), row.document)
    carried.carry_crm(batch, [(one, contact_of.get(one), *known) for one, *known in crm])


def _session(batch: Batch, row: SessionRow) -> dict[str, Any]:
    """Prepare a session."""
    document = {name: one for name, one in row.document.items() if name not in _NOT_STORED["sessions"]}
    document |= {"channel_id": _channel(batch, document), "import_id": batch.run.id}
    moment = document.get("createdAt") or document["last_message_at"]
    document |= {name: document.get(name) or moment for name in ("createdAt", "last_message_at")}
    document["keys"] = document.get("keys") or imported_people.keys_of(document)
    imported_people.give_contact(batch, document)
    if document["status"] == "active":
        if document["keys"]:
            document["open_keys"] = document["keys"]
        else:
            document |= {"status": "closed", "closed_reason": IDLE, "closed_at": document["last_message_at"]}
    if asked := (document.get("needs_person") or {}).get("at"):
        alerts.silence(batch.runtime, row.id, asked)
    batch.tally.sessions_created += 1
    return document


def _channel(batch: Batch, document: Mapping[str, Any]) -> str:
    """Find the channel a session belongs to: that of its id, else that of its number, else a new one."""
    theirs, kind = str(document["channel_id"]), str(document["communication_type"])
    known = batch.channels.get(theirs) or batch.run.channels.get(theirs)
    if known:
        return known
    if batch.runtime.channels.get(theirs) is None:
        number = str((document.get("metadata") or {}).get("toNumber") or theirs.removeprefix(f"{kind}:"))
        line = address(number)
        found = channels.find(kind, line)
        if found is None:
            importing.add_channel(theirs, kind, line.identity, line.label, batch.run.id)
            batch.runtime.channels.forget()
        batch.channels[theirs] = found.id if found else theirs
    else:
        batch.channels[theirs] = theirs
    return batch.channels[theirs]


def _messages(batch: Batch, reads: Sequence[Read]) -> list[dict[str, Any]]:
    """Prepare the messages that are new."""
    rows = [(read, read.row) for read in reads if isinstance(read.row, MessageRow)]
    homes = importing.sessions_here({row.session_id for _, row in rows} - batch.sessions.keys())
    homes |= {one: Here(one, session["channel_id"], session["contact_id"]) for one, session in batch.sessions.items()}
    people = stored.contacts_here(
        {str(row.document["contact_id"]) for _, row in rows if row.document.get("contact_id")}
    )
    here, new = set(batch.known["messages"]), []
    for read, row in rows:
        home = homes.get(row.session_id)
        if row.id in here:
            batch.tally.messages_duplicate += 1
        elif home is None:
            batch.reject(read, not_here(row.session_id))
        elif reason := future(batch.now, row.document, *SAID):
            batch.reject(read, reason)
        else:
            new.append(_message(batch, row, home, people))
            here.add(row.id)
    return new


def _store(batch: Batch, messages: list[dict[str, Any]]) -> None:
    """Store sessions, their messages, and then how many these are: in this order, for it may end anywhere.

    A session is known to be empty until it is counted, so what a killed process left behind is found.
    """
    spans = {one: imported_counts.span(session) for one, session in batch.sessions.items()}
    for message in messages:
        if span := spans.get(message["session_id"]):
            span.include(message)
    put = importing.put_sessions([session | spans[one].times() for one, session in batch.sessions.items()])
    # One that an attempt before stored may have been merged since.
    merged = importing.sessions_here(put.here)
    for message in messages:
        message["session_id"] = merged[one].id if (one := message["session_id"]) in merged else one
    for one in sorted(put.closed):
        batch.tally.sessions_closed += 1
        batch.tally.problems.append(f"Session {one} is closed here: its sender has another open session.")
    also = {message["session_id"] for message in messages} - batch.sessions.keys()
    import_changes.note_counts(batch.run.id, also)
    odd = put.here | importing.put_messages(messages, lambda: batch.write_down(messages))
    imported_counts.count({one: span.messages for one, span in spans.items() if one not in odd})
    imported_counts.recount(also | odd)
    batch.stored = messages
    batch.tally.messages_imported += len(messages)


def not_here(session_id: str) -> str:
    """Say why a message is not taken that has no session."""
    return f"Its session {session_id} is not here."


def _message(batch: Batch, row: MessageRow, home: Here, people: Collection[str]) -> dict[str, Any]:
    document = dict(row.document)
    for name in document.keys() & _NOT_STORED["messages"]:
        del document[name]
    document["storedAt"] = document.get("storedAt") or document["createdAt"]
    document["import_id"], document["session_id"] = batch.run.id, home.id
    if theirs := document.get("channel_id"):
        document["channel_id"] = batch.channels.get(theirs) or batch.run.channels.get(theirs) or home.channel_id
    whose = document.get("contact_id")
    # In an export of ours nobody is somebody too: who withheld their number.
    if whose not in people and (whose or batch.run.layout != OWN.name):
        document["contact_id"] = home.contact_id
    is_waiting = document.get("status") == "queued" and not document.get("provider_sid")
    if document.get("direction") == "outbound" and is_waiting:
        document |= {"status": "canceled", "error_message": "It was imported before it was sent."}
        document["status_history"] = [
            *(document.get("status_history") or ()),
            {"status": "canceled", "at": batch.now},
        ]
    return document
