"""`gateway backfill`: compare with Twilio's log, put in what is missing, and say how far off we were."""

import json
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from gateway import logs
from gateway.cli import running, spans, stopping
from gateway.clients.twilio_log import TwilioLog
from gateway.conversation import runtime
from gateway.conversation.backfill import YOUNG
from gateway.conversation.backfill import backfill as bring_up_to_date
from gateway.core.drift import Drift
from gateway.settings import Settings
from gateway.store import connection

COLUMNS = {
    "in_log": "in Twilio's log",
    "here": "here",
    "drift": "drift",
    "inserted_inbound": "in",
    "inserted_outbound": "out",
    "inserted_calls": "calls",
    "inserted_recordings": "recordings",
    "matched": "matched",
    "repaired": "statuses",
    "ended": "calls ended",
    "left": "left",
}
ALWAYS = ("in_log", "here", "drift")


@click.command("backfill")
@click.option("--since", required=True, help="How far back: 30m, 2h, 3d, or a time such as 2026-03-01T10:00:00Z.")
@click.option("--until", help="Up to when, written like --since; two minutes ago unless given.")
@click.option("--number", "numbers", multiple=True, help="One number of yours (repeat for more); all unless given.")
@click.option("--dry-run", is_flag=True, help="Only say what would be done.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
@stopping.leaves("What was put in stays. The same command finds the rest.")
def backfill(since: str, until: str | None, numbers: tuple[str, ...], dry_run: bool, as_json: bool) -> None:
    """Compare with Twilio's log, put in what is missing and repair statuses that are behind.

    Nobody is answered and nothing is sent. Safe while messages arrive; run twice it changes nothing.

    \b
    Example:  gateway backfill --since 2h --dry-run
    """
    configured = running.connect()
    logs.configure_for_commands(redact=configured.log.redact)
    drift = _run(configured, since, until, numbers, dry_run)
    if as_json:
        click.echo(json.dumps(drift.as_json(), indent=2))
    else:
        _print(drift)


def _run(configured: Settings, since: str, until: str | None, numbers: tuple[str, ...], dry_run: bool) -> Drift:
    serving = runtime.build(configured)
    connection.ping()
    if waiting := serving.spool.depth().waiting:
        raise click.ClickException(
            f"{waiting} events wait in this host's spool and would look as if they were missing. A running gateway "
            "drains it; without one: `gateway spool drain`."
        )
    serving.clock.correct()
    now = serving.clock.now()
    begin, end = spans.read("--since", since, now) or now, spans.read("--until", until, now) or now
    end = min(end, now - YOUNG)
    with _progress(begin, end) as bar:

        def tell(done: datetime, drift: Drift) -> None:
            bar.update(bar.task_ids[0], completed=(done - begin).total_seconds(), entries=drift.total.in_log)

        return bring_up_to_date(serving, TwilioLog(configured), begin, end, numbers=numbers, dry_run=dry_run, tell=tell)


@contextmanager
def _progress(begin: datetime, end: datetime) -> Iterator[Progress]:
    """Show how far it has come, on a terminal only and never among the output."""
    shown = Console(stderr=True)
    columns = (BarColumn(), TextColumn("{task.fields[entries]} entries"), TimeRemainingColumn())
    with Progress(*columns, console=shown, transient=True, disable=not shown.is_terminal) as bar:
        bar.add_task("backfill", total=max((end - begin).total_seconds(), 1), entries=0)
        yield bar


def _print(drift: Drift) -> None:
    span = f"{drift.since:%Y-%m-%d %H:%M:%S} to {drift.until:%Y-%m-%d %H:%M:%S} UTC"
    rows = [(number, tally) for number, tally in sorted(drift.numbers.items())]
    if len(rows) > 1:
        rows.append(("all", drift.total))
    # What is nought everywhere would only push the numbers out of a narrow terminal.
    shown = [name for name in COLUMNS if name in ALWAYS or drift.total.as_row()[name]]
    table = Table(title=f"Twilio's log, {span}", title_justify="left")
    table.add_column("number", no_wrap=True)
    for name in shown:
        table.add_column(COLUMNS[name], justify="right")
    for number, tally in rows:
        table.add_row(number, *(str(tally.as_row()[name]) for name in shown))
    Console().print(table)
    click.echo(_in_words(drift))


def _in_words(drift: Drift) -> str:
    """Say in a sentence what was, or would be, done."""
    tally = drift.total
    missing = sum(count for name, count in tally.as_row().items() if name.startswith("inserted_"))
    changed = missing + tally.matched + tally.repaired + tally.ended
    left = f" {tally.left} still being sent were left alone." if tally.left else ""
    if not changed:
        return f"Nothing is missing: all {tally.here} are here.{left}"
    would = "would be " if drift.dry_run else ""
    return (
        f"{missing} {would}put in, {tally.matched} {would}matched, {tally.repaired} statuses {would}repaired, "
        f"{tally.ended} calls {would}ended.{left}"
    )
