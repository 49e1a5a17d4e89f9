"""What `gateway import` shows: what came of an import, or would come."""

import contextlib
import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, TextIO

import click

from gateway.cli import import_json, progress
from gateway.conversation import adopting, rehearsal
from gateway.conversation.adopting import Outlook
from gateway.conversation.layouts import OWN
from gateway.conversation.origins import Origin
from gateway.conversation.rehearsal import Told
from gateway.conversation.runtime import Runtime
from gateway.conversation.verifying import Verified
from gateway.core.imported import Tally
from gateway.store import consolidations, rejections
from gateway.store.connection import deadline
from gateway.store.consolidations import AMOUNTS, LAYOUT
from gateway.store.imports import CANCELED, FAILED, RUNNING, Import
from gateway.store.rejections import Rejection

# The most frequent reasons; the rows themselves say all of them.
_REASONS = 10
READ_SECONDS = 10


def rehearse(runtime: Runtime, origin: Origin, rejected: Path | None, wants_json: bool) -> None:
    """Say what would come of an import."""
    with contextlib.ExitStack() as held:
        shown = held.enter_context(progress.of_import("Checking", origin.size))
        lines = _Lines(held.enter_context(rejected.open("w", encoding="utf-8")) if rejected else None)
        done = rehearsal.rehearse(runtime, origin, Told(lines.write, shown.read, shown.at))
    ahead = adopting.outlook() if origin.in_place else None
    if wants_json:
        backup = {"backup": asdict(ahead)} if ahead else {}
        click.echo(json.dumps(import_json.of_rehearsal(done) | backup, indent=2))
        return
    click.echo(f"Dry run of {done.name}, layout {done.layout}. Nothing was written. An import would bring:")
    _amounts(done.tally, done.layout, done.rows)
    if not done.tally.contacts_created + done.tally.contacts_existing:
        click.echo(f"  people    {done.people_new:,} new, {done.people - done.people_new:,} here already")
    for reason, count in done.reasons.most_common(_REASONS):
        click.echo(f"  {count:,} x {reason}")
    for problem in done.tally.problems:
        click.echo(f"  {problem}")
    if ahead:
        click.echo(f"  backup    {_collections(ahead.amounts)}, before anything is changed")
        click.echo(f"  room      {_room(ahead)}")
    if not done.is_complete:
        click.echo("The source is not complete: its end is missing.")
    if done.tally.rejected:
        click.echo(_where(rejected, "--rejected FILE writes the rejected rows to a file."))


def _collections(amounts: Mapping[str, int]) -> str:
    return ", ".join(f"{amount:,} {kind}" for kind, amount in amounts.items())


def _room(ahead: Outlook) -> str:
    free = "" if ahead.free is None else f", and {ahead.free / 1e6:,.0f} MB are free"
    return f"backup and import take some {ahead.needed / 1e6:,.1f} MB{free}"


@dataclass
class _Lines:
    file: TextIO | None = field(default=None)

    def write(self, rejection: Rejection) -> None:
        if self.file:
            self.file.write(json.dumps(rejection.as_json(), ensure_ascii=False) + "\n")


def _where(rejected: Path | None, otherwise: str) -> str:
    return f"The rejected rows with their reasons are in {rejected}." if rejected else otherwise


def keep_rejected(run: Import, path: Path) -> None:
    """Write the rows that were not taken to a file, each with its reason."""
    with path.open("w", encoding="utf-8") as file:
        lines = _Lines(file)
        for one in rejections.of(run.id):
            lines.write(one)


def state(run: Import) -> str:
    """Say how an import stands."""
    if run.undoing_since:
        return "undone" if run.undone_at else "being undone"
    return f"{run.state} {run.position.offset / run.size:.0%}" if run.state == RUNNING and run.size else run.state


def _amounts(tally: Tally, layout: str, rows: int) -> None:
    click.echo(f"  sessions  {tally.sessions_created:,} new, {tally.sessions_existing:,} here already")
    click.echo(f"  messages  {tally.messages_imported:,} new, {tally.messages_duplicate:,} here already")
    for name, (new, here) in import_json.others(tally).items():
        if new or here:
            click.echo(f"  {name:8}  {new:,} new, {here:,} here already")
    # Rows of another program are not those that were put in order: one may hold a session and its messages.
    click.echo(f"  rejected  {tally.rejected:,}" + (f" of {rows:,} rows" if layout == OWN.name else ""))


def show(run: Import, wants_json: bool, rejected: Path | None = None) -> None:
    """Say what came of an import; `rejected` is where the rejected rows were written."""
    if wants_json:
        click.echo(json.dumps(import_json.of_import(run), indent=2))
        return
    if run.layout == LAYOUT:
        click.echo(f"Consolidation {run.id} of {run.file_name}: {state(run)}.")
        with deadline(READ_SECONDS):
            show_merged(run.consolidated or consolidations.amounts(run.id))
    else:
        click.echo(f"Import {run.id} of {run.file_name}, layout {run.layout}: {state(run)}.")
        _amounts(run.tally, run.layout, run.position.rows)
    if run.people is not None:
        click.echo(f"  people    {run.people:,}")
    for problem in run.tally.problems:
        click.echo(f"  {problem}")
    if run.in_place and not run.undone_at:
        click.echo(f"  backup    {_backup(run)}")
    if run.tally.rejected:
        click.echo(_where(rejected, f"`gateway import show {run.id} --rejected` gives the rejected rows."))
    if run.is_complete is False:
        click.echo("The source is not complete: its end is missing. What came before it is here.")
    if run.error:
        click.echo(run.error)
    if run.in_place and run.state in (FAILED, CANCELED) and not run.undoing_since:
        click.echo(f"What lay here is in the backup. To put it back: gateway import undo {run.id}")
    if run.undone_at:
        click.echo(f"Taken back on {run.undone_at:%Y-%m-%d %H:%M} UTC.")
    elif run.undoing_since:
        click.echo(f"It is being taken back. Should nobody do so: `gateway import undo {run.id}` goes on.")


def _backup(run: Import) -> str:
    if not (held := run.in_place.get("backup")):
        return "not made yet"
    return f"{_collections(held)}, in sessions_before_{run.id} and so on"


def show_list(runs: Sequence[Import]) -> None:
    """List imports, each with its file in a line of its own: that may be long."""
    click.echo(f"{'import':24}  {'when (UTC)':16}  {'state':12}  {'messages':>9}  {'rejected':>8}")
    for run in runs:
        messages = -run.consolidated.get("messages_removed", 0) or run.tally.messages_imported
        amounts = f"{messages:>9,}  {run.tally.rejected:>8,}"
        click.echo(f"{run.id:24}  {run.created_at:%Y-%m-%d %H:%M}  {state(run):12}  {amounts}")
        click.echo(f"    {run.file_name}, by {run.by}")


def show_merged(amounts: Mapping[str, Any]) -> None:
    """Say what a consolidation made one, or would."""
    of = {name: int(amounts.get(name) or 0) for name in AMOUNTS}
    click.echo(f"  people    {of['people']:,} had {of['contacts_merged']:,} contacts too many")
    click.echo(f"  sessions  {of['session_groups']:,} had {of['sessions_merged']:,} duplicates")
    click.echo(f"  messages  {of['messages_removed']:,} were there twice")


def show_verified(done: Verified, wants_json: bool) -> None:
    """Say what came of a comparison."""
    if wants_json:
        click.echo(json.dumps(import_json.of_comparison(done), indent=2))
        return
    source = "its backup" if done.run.in_place else "its source"
    of = source if done.of_source else "what was noted when it was imported"
    what = "Consolidation" if done.run.layout == LAYOUT else "Import"
    click.echo(f"{what} {done.run.id} of {done.run.file_name}, compared with {of}:")
    click.echo(f"  sessions  {done.sessions:,}")
    click.echo(f"  messages  {done.messages:,}")
    if done.people:
        click.echo(f"  people    {done.people:,}")
    for what, count in done.counts.most_common():
        click.echo(f"  {what}: {count:,}")
    if done.extra:
        click.echo(f"  extra: {done.extra:,}")
    if done.written_since:
        click.echo(f"  written since by another application: {done.written_since:,}")
    for what, about, session_id in done.differences:
        click.echo(f"  {what}: {about}" + (f" of session {session_id}" if about != session_id else ""))
    click.echo("All of it is here as it came." if done.is_same else "Something differs.")


def show_undone(run: Import, wants_json: bool) -> None:
    """Say what was taken back of an import."""
    if wants_json:
        click.echo(json.dumps(import_json.of_import(run), indent=2))
        return
    if run.layout == LAYOUT:
        click.echo(f"Consolidation {run.id} of {run.file_name} is taken back:")
        show_merged(run.undone)
        if kept := run.undone.get("sessions_kept"):
            click.echo(f"{kept:,} stay: somebody split or merged them since.")
        return
    click.echo(f"Import {run.id} of {run.file_name} is taken back:")
    for name in ("sessions", "messages", "people"):
        click.echo(f"  {name:8}  {run.undone.get(name, 0):,}")
    if apart := run.undone.get("taken_apart"):
        click.echo(f"{apart:,} merges of consolidations were undone for it.")
    if kept := run.undone.get("sessions_kept"):
        click.echo(f"{kept:,} sessions stay: something was said in them since, or somebody split or merged them.")
    if left := run.in_place.get("left"):
        click.echo(f"{left:,} documents stay in the backup, sessions_before_{run.id} and so on, for theirs stay here.")
