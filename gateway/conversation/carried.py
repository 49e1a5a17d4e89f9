"""Channels, contacts and files of an import: what is here already stays, and everything comes in once.

Somebody who is here under another id is not made twice: they learn what they are known by elsewhere, and keep every
STOP (I12). A contact that was merged into one who is somebody else here comes in as one of their own.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from gateway.conversation import optouts
from gateway.core import carried, identifiers
from gateway.core.imported import CarriedRow, PieceRow, Read
from gateway.core.participant import Address, address
from gateway.store import carried as store
from gateway.store import channels, crm_carrying
from gateway.store.crm_carrying import Claim
from gateway.store.groups import IDENTIFIERS, unescaped

if TYPE_CHECKING:
    from gateway.conversation.imported import Batch

_Rows = Sequence[tuple[Read, CarriedRow]]


def put(batch: "Batch", reads: Sequence[Read]) -> None:
    """Store what a batch has of channels, contacts, merges and STOPs, in the order in which they need each other."""
    rows = [(read, read.row) for read in reads if isinstance(read.row, CarriedRow)]
    if not rows:
        return
    _channels(batch, _of(rows, carried.CHANNEL))
    _contacts(batch, _of(rows, carried.CONTACT))
    _merges(batch, _of(rows, carried.MERGE))
    for read, row in _of(rows, carried.SUPPRESSION):
        if not store.put_suppression(row, batch.run.id):
            batch.reject(
                read, "The STOPs of forgotten people here have a salt of their own, so this one means nothing."
            )


def known(reads: Sequence[Read]) -> set[str]:
    """Tell which channels, contacts and files of some rows are here, under their own id or another; writes nothing."""
    rows = [(read, read.row) for read in reads if isinstance(read.row, CarriedRow)]
    lines = [row for _, row in _of(rows, carried.CHANNEL)]
    people = [row for _, row in _of(rows, carried.CONTACT)]
    for row in people:
        _identify(row)
    holders = store.holders(people)
    return {
        *store.here(carried.CHANNEL, [row.id for row in lines]),
        *(row.id for row in lines if channels.find(row.document["communication_type"], _number(row))),
        *store.here(carried.CONTACT, [row.id for row in people]),
        *(row.id for row in people if _holder(row, holders)),
        *store.whole([read.row for read in reads if isinstance(read.row, PieceRow)]),
    }


def _number(row: CarriedRow) -> Address:
    return address(row.document["phone_number"])


def _of(rows: _Rows, kind: str) -> list[tuple[Read, CarriedRow]]:
    return [(read, row) for read, row in rows if row.kind == kind]


def _channels(batch: "Batch", rows: _Rows) -> None:
    here = store.here(carried.CHANNEL, [row.id for _, row in rows], batch.run.id) if rows else {}
    for _, row in rows:
        kind, line = row.document["communication_type"], _number(row)
        known = None if row.id in here else channels.find(kind, line)
        if known is None and row.id not in here and store.put([row], batch.run.id):
            known = channels.find(kind, line)  # somebody texted that number at this very moment
        if known or not here.get(row.id, True):
            batch.tally.channels_existing += 1
        else:
            batch.tally.channels_created += 1
        batch.channels[row.id] = known.id if known else row.id
    if rows:
        batch.runtime.channels.forget()


def _contacts(batch: "Batch", rows: _Rows) -> None:
    if not rows:
        return
    here = store.here(carried.CONTACT, [row.id for _, row in rows], batch.run.id)
    for _, row in rows:
        _identify(row)
    holders = store.holders([row for _, row in rows if row.id not in here])
    new: list[CarriedRow] = []
    for _, row in rows:
        if row.id in here:
            if not here[row.id]:
                _is_here(batch, row, row.id)
            else:
                batch.tally.contacts_created += 1  # by an attempt before
        elif holder := _holder(row, holders):
            _is_here(batch, row, holder)
        else:
            new.append(row)
    _insert(batch, new)


def _identify(row: CarriedRow) -> None:
    """Give a contact of an older export the forms that people are found by."""
    forms = identifiers.of(*(row.document.get(name) or () for name in IDENTIFIERS))
    if forms and not row.document.get("identifiers"):
        row.document["identifiers"] = forms


def _insert(batch: "Batch", rows: Sequence[CarriedRow]) -> None:
    """Store new contacts; one who wrote at this very moment is here."""
    heads = {str(row.document["merged_into"]) for row in rows if row.document.get("merged_into")}
    known = store.contacts_here(heads) | {row.id for row in rows}
    for row in rows:
        head = row.document.get("merged_into")
        if head and head not in known:
            del row.document["merged_into"]
            batch.tally.problems.append(
                f"Contact {row.id} was merged into {head}, who is another contact here. Merge them if they are one."
            )
        if stops := store.said_stop(row.document):
            row.document["opted_out"] = stops | (row.document.get("opted_out") or {})
    taken = store.put(rows, batch.run.id)
    batch.tally.contacts_created += len(rows) - len(taken)
    holders = store.holders(taken)
    for row in taken:
        if holder := _holder(row, holders):
            _is_here(batch, row, holder)


def _holder(row: CarriedRow, holders: dict[tuple[str, str], str]) -> str:
    """Give who has something that a contact is known by; the first thing that is known decides."""
    known = ((name, one) for name in store.UNIQUE for one in row.document.get(name) or ())
    return next((holders[one] for one in known if one in holders), "")


def _is_here(batch: "Batch", row: CarriedRow, contact_id: str) -> None:
    """Leave a contact as it is, but for what it is known by elsewhere and said STOP to."""
    batch.tally.contacts_existing += 1
    if contact_id != row.id:
        store.learn(contact_id, row.document, batch.run.id)
        _carry_crm(batch, contact_id, row)
    for line, word in (row.document.get("opted_out") or {}).items():
        said_at = word.get("at") or batch.now
        optouts.carry_over(batch.runtime, contact_id, [unescaped(line)], said_at, import_id=batch.run.id)


def _carry_crm(batch: "Batch", contact_id: str, row: CarriedRow) -> None:
    claims = [Claim(contact_id, provider, theirs) for provider, theirs in (row.document.get("crm") or {}).items()]
    for (_, provider, _), dropped in zip(claims, crm_carrying.carry(claims, batch.run.id), strict=True):
        if dropped:
            batch.tally.problems.append(f"Contact {contact_id} is not {dropped} at {provider}: of two, the newest is.")


def _merges(batch: "Batch", rows: _Rows) -> None:
    if not rows:
        return
    here = store.here(carried.MERGE, [row.id for _, row in rows], batch.run.id)
    contacts = store.contacts_here({row.document[side] for _, row in rows for side in ("survivor", "absorbed")})
    new = []
    for read, row in rows:
        if {row.document["survivor"], row.document["absorbed"]} <= contacts:
            new += [row] if row.id not in here else []
        else:
            batch.reject(read, "One of its contacts is another one here, so nothing is to be undone.")
    store.put(new, batch.run.id)


def carry_crm(batch: "Batch", said: Sequence[tuple[str, str | None, str, Any]]) -> None:
    """Let contacts be whom sessions say they are at a CRM; of two, whoever was synchronised last, and say so.

    `said` are the session, its contact, the CRM, and whom that knows.
    """
    known = [(session_id, Claim(contact_id, *rest)) for session_id, contact_id, *rest in said if contact_id]
    all_dropped = crm_carrying.carry([claim for _, claim in known], batch.run.id)
    for (session_id, (contact_id, provider, theirs)), dropped in zip(known, all_dropped, strict=True):
        if dropped:
            kept = theirs["contact_id"] if dropped != theirs["contact_id"] else "another one, synchronised last"
            batch.tally.problems.append(
                f"Session {session_id}: at {provider} its contact {contact_id} is {kept}, and not {dropped}."
            )


def put_files(batch: "Batch", reads: Sequence[Read]) -> None:
    """Store the pieces of files, whose messages are here by now; with its last piece a file is there."""
    rows = [(read, read.row) for read in reads if isinstance(read.row, PieceRow)]
    if not rows:
        return
    store.take_files()
    pieces = [piece for _, piece in rows]
    named, whole = store.named(pieces), store.whole(pieces, batch.run.id)
    for read, piece in rows:
        is_last = piece.number == piece.pieces - 1
        if piece.file_id in whole:
            batch.tally.files_imported += is_last and whole[piece.file_id]
            batch.tally.files_existing += is_last and not whole[piece.file_id]
        elif piece.file_id not in named:
            if is_last:
                batch.reject(read, f"Message {piece.message_id} is not here, or does not name this file.")
        else:
            store.put_piece(piece)
            if is_last:
                _close(batch, read, piece)


def _close(batch: "Batch", read: Read, piece: PieceRow) -> None:
    if store.close(piece, store.hash_of(piece), batch.run.id, batch.now):
        batch.tally.files_imported += 1
    else:
        batch.reject(read, "The file is not whole, or not the one that its message names.")
