"""What another application left in our own database, taken over where it lies: kept aside first, and put back by undo.

First all of it is copied, as bytes, into collections beside it. Then what is in the copy just so is taken out, and what
was written meanwhile goes into the copy too. Only then is anything imported, from the copy. Each step may be repeated.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from gateway.channels import CHANNELS as TYPES
from gateway.conversation import origins
from gateway.conversation.layouts import BadFile, choose
from gateway.conversation.origins import Origin
from gateway.conversation.runtime import Runtime
from gateway.conversation.sources import Table
from gateway.conversation.staging import Options
from gateway.core.checking import BadRow
from gateway.core.foreign_lines import kind_of, line
from gateway.core.plain import Fields
from gateway.store import adopted, foreign, imports
from gateway.store.adopted import CHANNELS, KINDS, MESSAGES, SESSIONS, Raw
from gateway.store.connection import deadline
from gateway.store.imports import CANCELED, FAILED, Import

LAYOUT = "node"
BACKUP, ASIDE, IMPORT, RESTORED = "backup", "aside", "import", "restored"
BEGUN = {"step": BACKUP}

# A page of theirs may lie behind millions of ours.
STEP_SECONDS = 600
_TRIES = 20

Note = Callable[[Mapping[str, Any]], None]


@dataclass(frozen=True, slots=True)
class Outlook:
    """What is to be backed up: how many documents of each collection, the bytes needed, and those free, if known."""

    amounts: Mapping[str, int]
    needed: int
    free: int | None


def find(given: Sequence[str], layout: str, options: Options, ours: str) -> Origin:
    """Look at what another application left in our own database; BadFile where it cannot be taken over, or is none."""
    uri = _ours(given, layout, options, ours)
    with deadline(STEP_SECONDS):
        begun = imports.in_place_unfinished()
        _refuse_after_failure()
        problem = adopted.obstacle()
        tables = _tables(uri, begun.id if begun and begun.in_place["step"] != BACKUP else "")
    if problem:
        raise BadFile(problem)
    if begun and dict(begun.options) != origins.as_stored(options):
        raise BadFile(f"Import {begun.id} of it is not at its end. Go on with the options it was begun with.")
    try:
        choose(LAYOUT, tables)
    except BadFile:
        raise BadFile("Nothing of another application lies in the gateway's database, or not any more.") from None
    name, size = foreign.label(uri), sum(table.size for table in tables)
    place = f"{name}:in place"
    if begun is None:
        _refuse_without_room(name)
    return Origin(LAYOUT, name, size, place, options, tables=tables, in_place=True)


def _ours(given: Sequence[str], layout: str, options: Options, ours: str) -> str:
    if len(given) != 1 or "://" not in given[0]:
        raise BadFile("--in-place is for a database: gateway import mongodb://host/database --layout node --in-place.")
    if layout not in ("", LAYOUT):
        raise BadFile(f"--in-place is for the layout {LAYOUT}. Leave it away to copy.")
    if options.rethread:
        raise BadFile("--in-place keeps the sessions as they are: leave --rethread away, or copy.")
    if not foreign.is_same(given[0], ours):
        raise BadFile(
            f"--in-place takes over what lies in the gateway's own database, {foreign.label(ours)}, and this is "
            f"{foreign.label(given[0])}. Set MONGODB_URI to it, or leave --in-place away, to copy."
        )
    return ours


def _refuse_after_failure() -> None:
    for import_id in adopted.backups():
        run = imports.get(import_id)
        if run and run.state in (FAILED, CANCELED) and not run.undone_at:
            raise BadFile(
                f"Import {run.id} of it did not come to its end. Take it back first: gateway import undo {run.id}"
            )


def _refuse_without_room(name: str) -> None:
    """Refuse where the disk has no room for a copy and what is imported."""
    seen = outlook()
    if seen.free is not None and seen.free < seen.needed:
        raise BadFile(
            f"The backup and the import take some {seen.needed / 1e6:,.0f} MB, and {seen.free / 1e6:,.0f} MB are free "
            f"where {name} lies. Make room first."
        )


def outlook() -> Outlook:
    """Tell what a backup would hold and take."""
    with deadline(STEP_SECONDS):
        needed, free = adopted.room()
        return Outlook(adopted.amounts(), needed, free)


def _tables(uri: str, import_id: str = "") -> list[Table]:
    return origins.tables_of(adopted.sources(uri, import_id))


def kept_aside(runtime: Runtime, run: Import, origin: Origin, note: Note, tick: Callable[[int], object]) -> Origin:
    """Keep aside what is there, or go on with that; gives what is to be imported: the backup.

    `note` is given how far it is, and `tick` how many documents were copied. BadFile where the backup is not whole.
    """
    step = run.in_place["step"]
    if step == BACKUP:
        note({"backup": _back_up(run, tick), "step": ASIDE})
    if step in (BACKUP, ASIDE):
        for kind in (SESSIONS, MESSAGES):
            _take_out(run, kind, note)
        _mend_channels(run, note)
        note({"step": IMPORT})
    with deadline():
        known = imports.get(run.id) or run
    return _of_backup(runtime, known, origin)


def _back_up(run: Import, tick: Callable[[int], object]) -> dict[str, int]:
    """Copy all of theirs; gives how many documents of each collection."""
    copied = dict.fromkeys(KINDS, 0)
    with deadline(STEP_SECONDS):
        adopted.drop(run.id)
    for kind in KINDS:
        pages = adopted.pages(kind)
        while page := _next(pages):
            with deadline(STEP_SECONDS):
                adopted.keep(kind, run.id, page)
            copied[kind] += len(page)
            tick(sum(copied.values()))
    with deadline(STEP_SECONDS):
        held = adopted.amounts(run.id)
    for kind, amount in copied.items():
        if held[kind] != amount:
            raise BadFile(f"The backup has {held[kind]:,} of {amount:,} {kind}. Nothing was changed. {_take_back(run)}")
    return copied


def _next(pages: Any) -> list[Raw]:
    with deadline(STEP_SECONDS):
        return next(pages, [])


def _take_out(run: Import, kind: str, note: Note) -> None:
    """Take out what is in the backup just so, and put into the backup what was written since it was made."""
    for _ in range(_TRIES):
        is_changed = False
        pages = adopted.pages(kind)
        while page := _next(pages):
            note({})
            with deadline(STEP_SECONDS):
                if late := adopted.keep_latest(kind, run.id, page):
                    note({"late": late})
                is_changed |= adopted.take_out(kind, page) < len(page)
        if not is_changed:
            return
    raise BadFile(f"Another application keeps changing {kind}. Nothing is lost. Stop it. {_take_back(run)}")


def _take_back(run: Import) -> str:
    return f"Take this back (gateway import undo {run.id}), and start anew."


def _mend_channels(run: Import, note: Note) -> None:
    """Let their channels serve as ours; one without a number, or like one that is here, is only in the backup."""
    pages = adopted.pages(CHANNELS)
    while page := _next(pages):
        note({})
        wrong = [one for one in page if _mended(one) != {}]
        with deadline(STEP_SECONDS):
            adopted.keep_latest(CHANNELS, run.id, wrong)
            for one in wrong:
                fields = _mended(one)
                if fields is None or not adopted.mend_channel(one, run.id, fields):
                    adopted.take_out(CHANNELS, [one])


def _mended(channel: Raw) -> dict[str, str] | None:
    """Give what a channel needs to be one of ours: nothing where it is; None where it says no number, or no type."""
    if isinstance(channel.get("phone_number"), str) and channel.get("communication_type") in TYPES:
        return {}
    fields = Fields(dict(channel))
    number = fields.text("phone_number")
    try:
        kind = kind_of(fields.text("communication_type", "type")) or line("", "", number).kind
    except BadRow:
        return None
    return {"phone_number": number, "communication_type": kind} if number else None


def _of_backup(runtime: Runtime, run: Import, origin: Origin) -> Origin:
    with deadline(STEP_SECONDS):
        tables = _tables(runtime.settings.mongodb_uri, run.id)
    late = int(run.in_place.get("late") or 0)
    if late:
        told = f"{late:,} documents were written while the backup was made; they came in too. Stop who writes there."
        tables[0] = replace(tables[0], remarks=lambda: [told])
    return replace(origin, tables=tables, size=sum(table.size for table in tables))


def again(runtime: Runtime, run: Import) -> Origin | None:
    """Give what an import found, from its backup; None where that is not whole any more."""
    if not is_whole(run):
        return None
    origin = Origin(run.layout, run.file_name, 0, run.place, Options(**run.options), in_place=True)
    return _of_backup(runtime, run, origin)


def written_since() -> int:
    """Count the sessions and messages that another application wrote here and nobody took over."""
    with deadline(STEP_SECONDS):
        return adopted.written_since()


def can_be_put_back(run: Import) -> bool:
    """Tell whether all is there to put back what lay here before an import, or nothing is to be."""
    return run.in_place["step"] in (BACKUP, RESTORED) or is_whole(run)


def is_whole(run: Import) -> bool:
    """Tell whether the backup that an import made is all there."""
    with deadline(STEP_SECONDS):
        held = adopted.amounts(run.id)
    return all(held[kind] >= amount for kind, amount in run.in_place["backup"].items())


def keep_what_came_since(run: Import, hold: Callable[[], None]) -> None:
    """Move what the other application wrote since into the backup: with its sessions it would be deleted."""
    if run.in_place["step"] in (ASIDE, IMPORT):
        for kind in (SESSIONS, MESSAGES):
            _take_out(run, kind, lambda _facts: hold())


def put_back(run: Import, hold: Callable[[], None]) -> None:
    """Put back what lay here before an import, and delete the backup if none of it has to stay there.

    Sessions of the import that stay, for something was said in them since, keep theirs away.
    """
    step, left = run.in_place["step"], 0
    with deadline(STEP_SECONDS):
        stay = adopted.brought(run.id)
    for kind in KINDS if step in (ASIDE, IMPORT) else ():
        pages = adopted.pages(kind, run.id)
        while page := _next(pages):
            wanted = [one for one in page if not _belongs(kind, one, stay)]
            with deadline(STEP_SECONDS):
                left += len(page) - len(wanted) + adopted.put_back(kind, wanted)
            hold()
    with deadline(STEP_SECONDS):
        if step != RESTORED:
            imports.note_put_back(run.id, RESTORED, left)
        if not (left or run.in_place.get("left")):
            adopted.drop(run.id)


def _belongs(kind: str, one: Raw, sessions: set[str]) -> bool:
    if kind == CHANNELS or not sessions:
        return False
    fields = Fields(dict(one))
    names = ("_id", "id") if kind == SESSIONS else ("session_id", "conversation_id", "chat_id")
    return fields.text(*names) in sessions
