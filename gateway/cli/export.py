"""`gateway export`: sessions with their messages, as a file."""

import contextlib
import json
import os
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

import click
from rich.console import Console

from gateway.cli import serving, spans, stopping
from gateway.conversation import export as exporting
from gateway.conversation.export import Order, Written
from gateway.core.errors import GatewayError
from gateway.store import listing
from gateway.store.connection import deadline
from gateway.store.exporting import Selected
from gateway.store.listing import Wanted

BY = "gateway export"


@click.command()
@click.option("--session", "session_id", help="One session, by its id.")
@click.option("--type", "communication_type", type=click.Choice(listing.TYPES), help="Of this type.")
@click.option("--since", help="With a message since: 30d, 12h, 45m or an ISO 8601 time.")
@click.option(
    "--format", "file_format", default="jsonl", show_default=True, type=click.Choice(list(exporting.FORMATS)),
    help="JSON lines hold everything; CSV has a line for each message.",
)  # fmt: skip
@click.option(
    "--output", type=click.Path(dir_okay=False, path_type=Path), help="Write to this file, not to the screen."
)
@click.option("--media", is_flag=True, help="With the files that people sent, which may be large. Only as JSONL.")
@click.option("--force", is_flag=True, help="Replace the file if it is there.")
@click.option("--json", "as_json", is_flag=True, help="With --output: print how much it was as JSON.")
@stopping.leaves("The export is not complete: run it again.")
def export(
    session_id: str | None,
    communication_type: str | None,
    since: str | None,
    file_format: str,
    media: bool,
    output: Path | None,
    force: bool,
    as_json: bool,
) -> None:
    """Write sessions with all their messages as JSON lines or CSV.

    Without --session, --type and --since the JSON lines hold everything that moves to another gateway: channels and
    contacts too. `gateway import` reads them back.

    \b
    Examples:  gateway export --media --output everything.jsonl
               gateway export --session 65f000000000000000000000
               gateway export --type sms --since 30d --format csv --output sms.csv
    """
    if session_id and (communication_type or since):
        raise click.UsageError("--session names one; --type and --since choose among all.")
    if as_json and not output:
        raise click.UsageError("--json tells about a file: give --output.")
    if output and output.exists() and not force:
        raise click.ClickException(f"{output} is there already. Give --force to replace it.")
    if media and file_format != "jsonl":
        raise click.UsageError("--media: files are written as JSONL only.")
    runtime = serving.build()
    begin = spans.read("--since", since, runtime.clock.now())
    wanted = Wanted(communication_type=communication_type or "", since=begin)
    selected = Selected(None, wanted, _known(session_id) if session_id else "")
    everything = file_format == "jsonl" and not (session_id or communication_type or since)
    order = Order(selected, file_format, BY, everything=everything, media=media)
    with _destination(output) as file:
        _write(exporting.export(runtime, order), file, order.written)
    _tell(order.written, output, as_json)


def _known(session_id: str) -> str:
    with deadline(10):
        if listing.one(session_id, None) is None:
            raise click.ClickException(f"There is no session {session_id}.")
    return session_id


@contextlib.contextmanager
def _destination(output: Path | None) -> Iterator[BinaryIO]:
    """Open the file beside its place, where it comes only when all of it is written; nobody else may read it."""
    if output is None:
        yield sys.stdout.buffer
        return
    part = output.with_name(f"{output.name}.part")
    try:
        descriptor = os.open(part, os.O_CREAT | os.O_WRONLY | os.O_TRUNC, 0o600)
        try:
            with os.fdopen(descriptor, "wb") as file:
                yield file
            part.replace(output)
        finally:
            part.unlink(missing_ok=True)
    except OSError as error:
        raise GatewayError(f"{output} cannot be written: {error.strerror or type(error).__name__}.") from error


def _write(pieces: Iterator[bytes], file: BinaryIO, written: Written) -> None:
    """Write all of it; on a terminal, say meanwhile how far it is. GatewayError where it is not complete."""
    with Console(stderr=True).status("Exporting") as shown:
        for piece in pieces:
            file.write(piece)
            shown.update(f"Exporting: {written.sessions:,} sessions, {written.messages:,} messages")
        file.flush()
    if not written.complete:
        raise GatewayError("MongoDB went away in the midst, so the export is not complete. Run it again.")


def _tell(written: Written, output: Path | None, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps({"file": str(output), **written.amount}))
        return
    where = f" to {output}" if output else ""
    others = "".join(f", {number:,} {kind}s" for kind, number in written.others.items())
    amount = f"{written.sessions:,} sessions with {written.messages:,} messages{others}"
    click.echo(f"Exported {amount}{where}.", err=True)
