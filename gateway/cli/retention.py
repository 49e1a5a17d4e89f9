"""`gateway cleanup`: old conversations out, and back in."""

import contextlib
import json
import re
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path
from typing import Any

import click

from gateway.cli import progress, serving, stopping
from gateway.conversation import retention
from gateway.conversation.retention import Cleaned, Order
from gateway.conversation.runtime import Runtime
from gateway.core.errors import GatewayError
from gateway.store import archive, restoring
from gateway.store.retention import Amount

_SPANS = {"h": timedelta(hours=1), "d": timedelta(days=1), "w": timedelta(weeks=1)}
# What belongs to a conversation, statuses and recordings, may still come for hours.
_SHORTEST = timedelta(days=1)


class Span(click.ParamType[timedelta]):
    """A span such as 90d, 36h or 6w."""

    name = "span"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> timedelta:
        """Read a span of at least a day."""
        written = re.fullmatch(r"(\d{1,6})([hdw])", str(value).strip().lower())
        if not written:
            self.fail(f"{value!r} is no span. Write days, hours or weeks: 90d, 36h, 6w.", param, ctx)
        span = int(written[1]) * _SPANS[written[2]]
        if span < _SHORTEST:
            self.fail(f"{value!r} is under a day: conversations may still be going on. Write 1d or more.", param, ctx)
        return span


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


@click.command()
@click.option("--older-than", type=Span(), help="Delete what had no message for so long: 90d, 36h, 6w; at least 1d.")
@click.option(
    "--archive",
    "to",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Write it to this file first (JSON lines; packed if it ends in .gz). An archive of yours is added to.",
)
@click.option("--dry-run", is_flag=True, help="Only say what would be deleted.")
@click.option(
    "--at-twilio/--not-at-twilio",
    default=None,
    help="Take texts, files and recordings out of Twilio's log too; else as retention.redact_at_twilio says.",
)
@click.option(
    "--restore",
    "source",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    help="Instead of deleting, put back what an archive holds. May be repeated.",
)
@as_json
@stopping.leaves("Each conversation is whole or gone. The same command goes on.")
def cleanup(
    older_than: timedelta | None,
    to: Path | None,
    dry_run: bool,
    at_twilio: bool | None,
    source: Path | None,
    as_json: bool,
) -> None:
    """Delete old conversations with their messages and files, or bring them back.

    Open ones are closed first. A conversation stays while something of it waits to be sent, or a call is on. May be
    stopped at any time; the next run goes on.

    \b
    Examples:  gateway cleanup --older-than 90d --dry-run
               gateway cleanup --older-than 90d --archive old.jsonl.gz
               gateway cleanup --restore old.jsonl.gz
    """
    if (older_than is None) == (source is None):
        raise click.UsageError("Say either --older-than 90d, to delete, or --restore FILE.")
    if source and (to or dry_run or at_twilio):
        raise click.UsageError("--restore goes with no other option but --json.")
    runtime = serving.build()
    if source:
        _restore(runtime, source, as_json)
    elif older_than and dry_run:
        _preview(runtime, older_than, as_json)
    elif older_than:
        redact = runtime.settings.retention.redact_at_twilio if at_twilio is None else at_twilio
        _clean(runtime, older_than, to, redact, as_json)


def _preview(runtime: Runtime, older_than: timedelta, as_json: bool) -> None:
    now = runtime.clock.now()
    found = retention.preview(now - older_than, now)
    if as_json:
        click.echo(json.dumps({"older_than": (now - older_than).isoformat(), "dry_run": True, **asdict(found)}))
        return
    what = _say(found)
    click.echo(f"Would delete {what}: their last message came before {now - older_than:%Y-%m-%d %H:%M} UTC.")
    click.echo("Nothing was changed.")


def _clean(runtime: Runtime, older_than: timedelta, to: Path | None, at_twilio: bool, as_json: bool) -> None:
    bound = runtime.clock.now() - older_than
    with contextlib.ExitStack() as stack:
        written = stack.enter_context(archive.Archive(to)) if to else None
        tell = stack.enter_context(progress.bar("Deleting", retention.count(bound), "sessions"))
        order = Order(bound, written, at_twilio, progress=lambda gone: tell(gone.sessions))
        done = retention.clean(runtime, order)
    if as_json:
        where = {"archive": str(to)} if to else {}
        click.echo(json.dumps({"older_than": bound.isoformat(), **done.as_counts(), **where}))
        return
    _tell(done, to)


def _tell(done: Cleaned, to: Path | None) -> None:
    closed = f"; {done.closed:,} of them {'was' if done.closed == 1 else 'were'} still open" if done.closed else ""
    click.echo(f"Deleted {_say(done.gone)}{closed}.")
    if to and done.gone.sessions:
        click.echo(f"They are in {to}; `gateway cleanup --restore {to}` brings them back.")
    if done.stayed:
        click.echo(f"Left {done.stayed:,} where something came at that very moment.")
    if done.not_redacted:
        click.echo(f"Left {done.not_redacted:,} that Twilio did not redact; the log says why. Run it again later.")


def _say(found: Amount) -> str:
    return serving.amount(found.sessions, found.messages, found.files, found.bytes)


def _restore(runtime: Runtime, source: Path, as_json: bool) -> None:
    try:
        with progress.bar("Restoring", source.stat().st_size, "bytes") as tell:
            new = restoring.restore(source, tell)
    except OSError as error:
        raise GatewayError(f"The archive {source} cannot be read: {error.strerror}.") from error
    if as_json:
        click.echo(json.dumps(asdict(new)))
        return
    click.echo(f"Brought back {_say(new)}; what was there already stayed as it is.")
    if runtime.settings.retention.days:
        click.echo(f"The worker will delete it again: retention.days is {runtime.settings.retention.days}. Raise it.")
