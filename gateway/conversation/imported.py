"""A batch of imported rows, stored: all sessions before all messages, then counted.

Nothing here answers, sends or tells anybody: what waited to be sent where it comes from is canceled here, and a
session that waits for a person is silent. May be repeated: `intent` says what was here before the first attempt.
"""

import time
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from typing import Any

from gateway.conversation import alerts, carried, optouts
from gateway.conversation.layouts import OWN
from gateway.conversation.runtime import Runtime
from gateway.core.daily import day_of
from gateway.core.emails import user_email
from gateway.core.imported import MessageRow, Read, Rejected, Remark, SessionRow, Tally
from gateway.core.participant import Participant, address
from gateway.core.sessions import IDLE
from gateway.store import carried as stored
from gateway.store import channels, contacts, import_changes, imported_batches, importing, rejections, senders
from gateway.store.connection import deadline
from gateway.store.contacts import Contact, Sender
from gateway.store.exporting import WITHOUT
from gateway.store.importing import Here
from gateway.store.imports import Import, Step
from gateway.store.rejections import Rejection

# Reading, storing and counting a batch takes a tenth of a second; a busy MongoDB may take a while.
BATCH_SECONDS = 60

# Clocks differ, but not by that.
LATEST = timedelta(days=1)
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
    people: dict[str, Contact] = field(default_factory=dict)
    senders: dict[Sender, Contact] = field(default_factory=dict)
    named: dict[Sender, Sender] = field(default_factory=dict)

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
        imported_batches.keep(run.id, reads[-1].position.rows, sorted(batch.sessions), batch.stored)
        rejections.keep(run.id, batch.rejections, batch.now)
    return Step(
        position=reads[-1].position,
        tally=batch.tally,
        seconds=time.monotonic() - began,
        channels=batch.channels,
        days={day_of(message["createdAt"]) for message in batch.stored},
        oldest_stored=min((message["storedAt"] for message in batch.stored), default=None),
        ends=any(isinstance(read.row, Remark) and read.row.ends for read in reads),
    )


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
    _meet(batch, [row.document for row in new])
    for row in new:
        batch.sessions[row.id] = _session(batch, row)
    batch.tally.sessions_existing += len(existing)
    _carry(batch, [row for row in existing if row.document.get("opted_out")], crm)


def _carry(batch: Batch, out: Sequence[SessionRow], crm: Sequence[tuple[str, str, Any]]) -> None:
    """Keep what is said of people in sessions that are here, and whom a CRM knows them as."""
    contact_of = {one: session["contact_id"] for one, session in batch.sessions.items()}
    contact_of |= importing.contacts_of({*(row.id for row in out), *(one[0] for one in crm)} - contact_of.keys())
    for row in out:
        _carry_over(batch, contact_of.get(row.id), row.document)
    carried.carry_crm(batch, [(one, contact_of.get(one), *known) for one, *known in crm])


def _meet(batch: Batch, documents: Sequence[Mapping[str, Any]]) -> None:
    """Find or make the people of sessions, but for those who are to be looked at one by one."""
    batch.people |= importing.people({document["contact_id"] for document in documents if document.get("contact_id")})
    asked, shared = {sender(one) for one in documents if not one.get("contact_id")}, _shared(batch)
    batch.senders |= senders.known(asked, shared)
    batch.named = with_emails({sender(one) for one in documents} - batch.senders.keys(), batch.run.layout)
    new = {batch.named.get(one, one): one for one in asked - batch.senders.keys()}
    made = senders.make(new, batch.now, shared=shared, import_id=batch.run.id)
    batch.senders |= {new[one]: contact for one, contact in made.items()}


def _shared(batch: Batch) -> Collection[str]:
    return batch.runtime.settings.contacts.shared


def _session(batch: Batch, row: SessionRow) -> dict[str, Any]:
    """Prepare a session."""
    document = {name: one for name, one in row.document.items() if name not in _NOT_STORED["sessions"]}
    document |= {"channel_id": _channel(batch, document), "import_id": batch.run.id}
    moment = document.get("createdAt") or document["last_message_at"]
    document |= {name: document.get(name) or moment for name in ("createdAt", "last_message_at")}
    document["keys"] = document.get("keys") or keys_of(document)
    _give_contact(batch, document)
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


def keys_of(document: Mapping[str, Any]) -> list[str]:
    """Give what a session is found by where it does not say so itself: its sender's number on our line."""
    metadata = document.get("metadata") or {}
    person, ours = str(metadata.get("fromNumber") or ""), str(metadata.get("toNumber") or "")
    if not person or not ours:
        return []
    return [f"{document['communication_type']}|{address(ours).identity}|{address(person).identity}"]


def _give_contact(batch: Batch, document: dict[str, Any]) -> None:
    """Let a session belong to whoever is behind it, who is made with the id they had unless they are here."""
    whose, theirs = sender(document), document.get("contact_id")
    same = _same(batch, theirs) if theirs else None
    known = same or (_behind(batch, whose, theirs) if whose.person.identities else None)
    document["contact_id"] = theirs if same else known.id if known else None
    if known is None:
        return
    batch.senders[whose] = known
    out: Collection[str] = known.opted_out
    if document.get("opted_out"):
        out = _carry_over(batch, known.id, document)
        if not set(out) <= set(known.opted_out):
            batch.people = {name: one for name, one in batch.people.items() if one.id != known.id}
            batch.senders = {name: one for name, one in batch.senders.items() if one.id != known.id}
    if out:
        document["opted_out"] = list(dict.fromkeys([*(document.get("opted_out") or ()), *out]))


def sender(document: Mapping[str, Any]) -> Sender:
    """Read who a session is with."""
    metadata = document.get("metadata") or {}
    number, ours = metadata.get("fromNumber"), str(metadata.get("toNumber") or "")
    person = Participant(_identities(document), number, str(number or ""))
    return Sender(person, address(ours).number)


def _behind(batch: Batch, whose: Sender, contact_id: str | None) -> Contact | None:
    """Find whose session it is as if its first message came in now, or make them."""
    return batch.senders.get(whose) or contacts.resolve(
        batch.named.get(whose, whose).person,
        batch.now,
        as_id=contact_id,
        line=whose.line,
        shared=_shared(batch),
        import_id=batch.run.id,
    )


def with_emails(asked: Collection[Sender], layout: str) -> dict[Sender, Sender]:
    """Let users of a site be whoever has the e-mail they are called by: programs named people so. Gives only those.

    Not where they are here already and no import brought them, nor in an export of ours, which says who is who.
    """
    emails = {one: user_email(one.person.identities) for one in asked} if layout != OWN.name else {}
    called = [one for one, email in emails.items() if email]
    here = senders.known_otherwise(called)
    return {
        one: replace(one, person=replace(one.person, identities=(*one.person.identities, emails[one])))
        for one in called
        if one not in here
    }


def _same(batch: Batch, contact_id: str) -> Contact | None:
    """Give the contact of that id, if it is here: whoever it was merged into, and whatever is known of it by now."""
    known = batch.people.get(contact_id) or importing.person(contact_id)
    if known:
        batch.people[contact_id] = known
    return known


def _identities(document: Mapping[str, Any]) -> tuple[str, ...]:
    """Read who a session is with from the keys it is found by: `type|our number|identity`, or the identity alone."""
    kind = f"{document['communication_type']}|"
    keys = [key.split("|", 2)[-1] if key.startswith(kind) else key for key in document.get("keys") or keys_of(document)]
    return tuple(dict.fromkeys(key for key in keys if key and not key.startswith("call:")))


def _carry_over(batch: Batch, contact_id: str | None, document: Mapping[str, Any]) -> tuple[str, ...]:
    if contact_id is None:
        return ()
    said_by = document.get("last_message_at") or document["createdAt"]
    return optouts.carry_over(
        batch.runtime, contact_id, document.get("opted_out") or (), said_by, import_id=batch.run.id
    )


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
    spans = {one: importing.span(session) for one, session in batch.sessions.items()}
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
    odd = put.here | importing.put_messages(messages)
    importing.count({one: span.messages for one, span in spans.items() if one not in odd})
    importing.recount(also | odd)
    batch.stored = messages
    batch.tally.messages_imported += len(messages)


def not_here(session_id: str) -> str:
    """Say why a message is not taken that has no session."""
    return f"Its session {session_id} is not here."


def _message(batch: Batch, row: MessageRow, home: Here, people: Collection[str]) -> dict[str, Any]:
    document = {name: one for name, one in row.document.items() if name not in _NOT_STORED["messages"]}
    document |= {"storedAt": document.get("storedAt") or document["createdAt"], "import_id": batch.run.id}
    document["session_id"] = home.id
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


def future(now: datetime, document: Mapping[str, Any], *names: str) -> str:
    """Say which moment lies ahead, as nothing that happened does; empty where none does."""
    ahead = next((name for name in names if document.get(name) and document[name] > now + LATEST), "")
    return f"{ahead}: {document[ahead].isoformat()} lies in the future." if ahead else ""
