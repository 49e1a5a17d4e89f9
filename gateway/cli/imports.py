"""`gateway import`: conversations from a file, in the foreground, and what became of imports."""

import contextlib
import json
import sys
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from gateway.cli import serving
from gateway.conversation import importing
from gateway.conversation.importing import Hands
from gateway.conversation.layouts import LAYOUTS
from gateway.core.errors import GatewayError
from gateway.core.imported import Tally
from gateway.store import imports
from gateway.store.connection import deadline
from gateway.store.imports import DONE, RUNNING, Import

BY = "gateway import"
READ_SECONDS = 10

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


class FileOrCommand(click.Group):
    """Takes a file where no command of that name is: `gateway import march.jsonl`."""

    def resolve_command(
        self, ctx: click.Context, args: list[str]
    ) -> tuple[str | None, click.Command | None, list[str]]:
        """Find the command; `file` where the first word is none, which is a file then."""
        known = args[0] in self.commands
        return super().resolve_command(ctx, args if known else ["file", *args])

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        """Let options before the file belong to `file`."""
        first = next((one for one in args if not one.startswith("-")), "")
        wants_help = any(one in ctx.help_option_names for one in args[:1])
        if args and first not in self.commands and not wants_help:
            args = ["file", *args]
        return super().parse_args(ctx, args)


@click.group("import", cls=FileOrCommand, subcommand_metavar="FILE | COMMAND")
def import_() -> None:
    """Bring in conversations from a file: an export of a gateway.

    What is here already stays as it is, so a file may be imported again; one that was stopped goes on where it was.
    Nobody is written to, answered or alerted.

    \b
    Examples:  gateway import march.jsonl
               gateway import list
               gateway import show 65f000000000000000000000
    """


@import_.command("file", hidden=True)
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option("--layout", type=click.Choice(list(LAYOUTS)), help="What the file is; recognised unless given.")
@as_json
def import_file(file: Path, layout: str | None, as_json: bool) -> None:
    """Import a file."""
    runtime = serving.build()
    try:
        with _bar(file.stat().st_size) as tell:
            run = importing.run_file(runtime, file, BY, Hands(tell=tell), layout=layout or "")
    except OSError as error:
        raise GatewayError(f"{file} cannot be read: {error.strerror or type(error).__name__}.") from error
    _print(run, as_json)
    if run.state != DONE:
        sys.exit(1)


@contextlib.contextmanager
def _bar(size: int) -> Iterator[Callable[[Import], object]]:
    """Show a bar on a terminal, nothing elsewhere; gives what to tell how far it is."""
    columns = (
        TextColumn("Importing"),
        BarColumn(),
        DownloadColumn(),
        TextColumn("{task.fields[rate]}"),
        TimeRemainingColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), disable=not sys.stderr.isatty(), transient=True) as progress:
        task = progress.add_task("", total=size, rate="")

        def tell(run: Import) -> None:
            progress.update(task, completed=run.position.offset, rate=f"{run.rows_per_second or 0:,.0f} rows/s")

        yield tell


@import_.command("list")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000), help="How many, newest first.")
@as_json
def list_imports(limit: int, as_json: bool) -> None:
    """List imports, newest first."""
    serving.build()
    with deadline(READ_SECONDS):
        found = imports.page(cursor=None, limit=limit).imports
    if as_json:
        click.echo(json.dumps([_as_json(run) for run in found], indent=2))
        return
    if not found:
        click.echo("Nothing was imported yet. Try: gateway import FILE")
        return
    table = Table(box=None, padding=(0, 1, 0, 0))
    for column in ("import", "when (UTC)", "state", "messages", "rejected"):
        table.add_column(column, no_wrap=True)
    table.add_column("file, by", overflow="fold")
    for run in found:
        amounts = (f"{run.tally.messages_imported:,}", f"{run.tally.rejected:,}")
        table.add_row(run.id, f"{run.created_at:%Y-%m-%d %H:%M}", _state(run), *amounts, f"{run.file_name}, {run.by}")
    Console().print(table)


def _state(run: Import) -> str:
    return f"{run.state} {run.position.offset / run.size:.0%}" if run.state == RUNNING and run.size else run.state


@import_.command("show")
@click.argument("import_id", metavar="IMPORT")
@click.option("--rejected", is_flag=True, help="Print the rows that were not taken instead, as JSON lines.")
@as_json
def show_import(import_id: str, rejected: bool, as_json: bool) -> None:
    """Show what came of an import."""
    serving.build()
    with deadline(READ_SECONDS):
        run = imports.get(import_id)
    if run is None:
        raise click.ClickException(f"There is no import {import_id}. `gateway import list` shows which there are.")
    if rejected:
        for one in imports.rejections(run.id):
            click.echo(json.dumps({"row": one.row, "reason": one.reason, "text": one.text}, ensure_ascii=False))
        return
    _print(run, as_json)


def _print(run: Import, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(_as_json(run), indent=2))
        return
    tally = run.tally
    click.echo(f"Import {run.id} of {run.file_name}, layout {run.layout}: {_state(run)}.")
    click.echo(f"  sessions  {tally.sessions_created:,} new, {tally.sessions_existing:,} here already")
    click.echo(f"  messages  {tally.messages_imported:,} new, {tally.messages_duplicate:,} here already")
    for name, (new, here) in _others(tally).items():
        if new or here:
            click.echo(f"  {name:8}  {new:,} new, {here:,} here already")
    click.echo(f"  rejected  {tally.rejected:,} of {run.position.rows:,} rows")
    for problem in tally.problems:
        click.echo(f"  {problem}")
    if tally.rejected:
        click.echo(f"`gateway import show {run.id} --rejected` gives the rejected rows with their reasons.")
    if run.is_complete is False:
        click.echo("The file is not complete: its last line is missing. What came before it is here.")
    if run.error:
        click.echo(run.error)


def _others(tally: Tally) -> dict[str, tuple[int, int]]:
    """Give what came along with conversations: how many are new, and how many were here."""
    return {
        "channels": (tally.channels_created, tally.channels_existing),
        "contacts": (tally.contacts_created, tally.contacts_existing),
        "files": (tally.files_imported, tally.files_existing),
    }


def _as_json(run: Import) -> dict[str, Any]:
    tally = run.tally
    return {
        "id": run.id,
        "state": run.state,
        "layout": run.layout,
        "file_name": run.file_name,
        "by": run.by,
        "created_at": run.created_at.isoformat(),
        "finished_at": run.finished_at and run.finished_at.isoformat(),
        "bytes": run.size,
        "bytes_read": run.position.offset,
        "rows_read": run.position.rows,
        "sessions": {
            "created": tally.sessions_created,
            "existing": tally.sessions_existing,
            "closed": tally.sessions_closed,
        },
        "messages": {"imported": tally.messages_imported, "duplicate": tally.messages_duplicate},
        **{name: {"created": new, "existing": here} for name, (new, here) in _others(tally).items()},
        "rejected": tally.rejected,
        "rows_per_second": run.rows_per_second,
        "complete": run.is_complete,
        "problems": tally.problems,
        "error": run.error or None,
    }
