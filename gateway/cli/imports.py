"""`gateway import`: conversations from files or a database, in the foreground, and what became of imports."""

import gc
import json
import sys
from pathlib import Path
from typing import Any
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import click

from gateway.cli import asking, import_json, progress, serving, stopping
from gateway.cli import importing as importing_cli
from gateway.cli.consolidate import consolidate
from gateway.conversation import adopting, importing, origins, undoing, verifying
from gateway.conversation.import_runs import Hands
from gateway.conversation.layouts import LAYOUTS
from gateway.conversation.staging import Options
from gateway.core.errors import GatewayError
from gateway.store import consolidations, imports, rejections
from gateway.store.connection import deadline
from gateway.store.consolidations import LAYOUT
from gateway.store.imports import DONE

BY = "gateway import"
READ_SECONDS = importing_cli.READ_SECONDS
_LONGEST_THRESHOLD = 10**9

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


@click.group("import", cls=FileOrCommand, subcommand_metavar="SOURCE... | COMMAND")
def import_() -> None:
    """Bring in conversations: from files, a folder of them, or the database of another program.

    What is here already stays as it is, so a source may be imported again; one that was stopped goes on where it was.
    Nobody is written to, answered or alerted, and nothing is written to the source, unless it lies in the gateway's own
    database (--in-place), and then it is backed up first. The layouts are in docs/moving-in.md; `gateway import file
    --help` lists the options.

    \b
    Examples:  gateway import march.jsonl
               gateway import --dry-run sms-log.csv
               gateway import exported/ --layout node
               gateway import mongodb://old-host/app --layout node
               gateway import "$MONGODB_URI" --layout node --in-place
               gateway import list
               gateway import show 65f000000000000000000000
               gateway import verify 65f000000000000000000000
               gateway import undo 65f000000000000000000000
               gateway import consolidate --dry-run
    """


import_.add_command(consolidate)


def _threshold(_ctx: click.Context, _param: click.Parameter, value: str | None) -> int | str | None:
    """Read seconds as milliseconds; `never` is None, and what was not given is empty."""
    if value is None:
        return ""
    if value == "never":
        return None
    try:
        seconds = float(value)
    except ValueError:
        seconds = -1
    if not 0 <= seconds < _LONGEST_THRESHOLD:
        raise click.BadParameter(f"{value!r} is neither a number of seconds nor `never`.")
    return round(seconds * 1000)


def _zone(_ctx: click.Context, _param: click.Parameter, value: str) -> str:
    try:
        return ZoneInfo(value).key
    except (ValueError, OSError, ZoneInfoNotFoundError):
        raise click.BadParameter(f"{value!r} is no time zone such as Europe/Berlin.") from None


@import_.command("file")
@click.argument("sources", metavar="SOURCE...", nargs=-1, required=True)
@click.option("--layout", type=click.Choice(LAYOUTS), help="What the source is; recognised unless given.")
@click.option("--dry-run", is_flag=True, help="Say what would happen, and write nothing.")
@click.option("--rethread", is_flag=True, help="Make sessions of the messages by the rules that hold here.")
@click.option("--threshold", callback=_threshold, help="Of sessions made here: the pause in seconds that ends one.")
@click.option("--dates", type=click.Choice(["us", "eu"]), help="Whether 03/04/2026 is 4 March (us) or 3 April (eu).")
@click.option("--timezone", default="UTC", callback=_zone, help="Where times are from that say no zone; UTC else.")
@click.option("--line", default="", help="Our number (or site) where the source names none.")
@click.option("--in-place", is_flag=True, help="Take over what lies in the gateway's own database, backed up first.")
@click.option("--rejected", type=click.Path(dir_okay=False, path_type=Path), help="Write the rejected rows to a file.")
@as_json
@stopping.leaves("What is here stays. The same command goes on; `gateway import list` shows how far it is.")
def import_file(sources: tuple[str, ...], dry_run: bool, rejected: Path | None, as_json: bool, **given: Any) -> None:
    """Import files, a folder of them, or a database (mongodb://host/name).

    \b
    Examples:  gateway import file march.jsonl --dry-run
               gateway import file log.csv --layout twilio --timezone Europe/Berlin
    """
    runtime = serving.build()
    # What is loaded stays: looking for garbage in it again and again took a tenth of an import.
    gc.freeze()
    try:
        find = adopting.find if given["in_place"] else origins.find
        origin = find(sources, given["layout"] or "", _options(given), runtime.settings.mongodb_uri)
        if given["threshold"] != "" and not origins.makes_sessions(origin):
            raise GatewayError("--threshold says how sessions are made anew: give --rethread with it.")
        if dry_run:
            importing_cli.rehearse(runtime, origin, rejected, as_json)
            return
        with progress.of_import("Importing", origin.size) as bar:
            run = importing.run_here(runtime, origin, BY, Hands(tell=bar.told, read=bar.read))
    except OSError as error:
        named = error.filename or sources[0]
        raise GatewayError(f"{named} cannot be read: {error.strerror or type(error).__name__}.") from error
    if rejected:
        importing_cli.keep_rejected(run, rejected)
    importing_cli.show(run, as_json, rejected)
    if run.state != DONE:
        sys.exit(1)


def _options(given: dict[str, Any]) -> Options:
    return Options(
        rethread=given["rethread"],
        threshold_ms=given["threshold"],
        dates=given["dates"] or "",
        zone=given["timezone"],
        line=given["line"].strip(),
    )


@import_.command("list")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 1000), help="How many, newest first.")
@as_json
def list_imports(limit: int, as_json: bool) -> None:
    """List imports, newest first.

    \b
    Example:  gateway import list --limit 5
    """
    serving.build()
    with deadline(READ_SECONDS):
        found = imports.page(cursor=None, limit=limit).imports
    if as_json:
        click.echo(json.dumps([import_json.of_import(run) for run in found], indent=2))
        return
    if not found:
        click.echo("Nothing was imported yet. Try: gateway import FILE")
        return
    importing_cli.show_list(found)


@import_.command("show")
@click.argument("import_id", metavar="IMPORT")
@click.option("--rejected", is_flag=True, help="Print the rows that were not taken instead, as JSON lines.")
@click.option("--merged", is_flag=True, help="Print what a consolidation made one instead, as JSON lines.")
@as_json
def show_import(import_id: str, rejected: bool, merged: bool, as_json: bool) -> None:
    """Show what came of an import or a consolidation.

    \b
    Examples:  gateway import show 65f000000000000000000000
               gateway import show 65f000000000000000000000 --rejected > rejected.jsonl
    """
    serving.build()
    with deadline(READ_SECONDS):
        run = imports.get(import_id)
    if run is None:
        raise click.ClickException(f"There is no import {import_id}. `gateway import list` shows which there are.")
    if rejected:
        for one in rejections.of(run.id):
            click.echo(json.dumps(one.as_json(), ensure_ascii=False))
        return
    if merged:
        for line in consolidations.lines(run.id):
            click.echo(json.dumps(line))
        return
    importing_cli.show(run, as_json)


@import_.command("verify")
@click.argument("import_id", metavar="IMPORT")
@as_json
@stopping.leaves("Nothing was changed.")
def verify_import(import_id: str, as_json: bool) -> None:
    """Count and compare again what an import brought with what is here; exit code 1 where something differs.

    With its source, where that is still on this host as it was; else with what the import noted of each message.

    \b
    Example:  gateway import verify 65f000000000000000000000
    """
    runtime = serving.build()
    with progress.of_import("Comparing", 1) as bar:
        done = verifying.verify(runtime, import_id, bar.counted)
    importing_cli.show_verified(done, as_json)
    if not done.is_same:
        sys.exit(1)


@import_.command("undo")
@click.argument("import_id", metavar="IMPORT")
@click.option("--yes", is_flag=True, help="Do not ask.")
@as_json
@stopping.leaves("It may be taken back in part. The same command goes on.")
def undo_import(import_id: str, yes: bool, as_json: bool) -> None:
    """Take an import or a consolidation back: everything is as it was before, but for what was said since.

    Sessions that an import brought and in which something was said since stay, with their people. Should it be
    stopped, run it again: it goes on.

    \b
    Example:  gateway import undo 65f000000000000000000000
    """
    runtime = serving.build()
    with deadline(READ_SECONDS):
        run = imports.get(import_id)
    if run and not run.undone_at and not yes:
        told = f"{run.tally.sessions_created:,} sessions and {run.tally.messages_imported:,} messages"
        if run.layout == LAYOUT:
            told = f"{sum(run.consolidated.get(name, 0) for name in ('contacts_merged', 'sessions_merged')):,} merges"
        asking.confirm(f"Take back {told} of {run.file_name}?")
    with progress.of_import("Taking back", 1) as bar:
        run = undoing.undo(runtime, import_id, BY, undoing.Hands(tell=bar.counted))
    importing_cli.show_undone(run, as_json)
