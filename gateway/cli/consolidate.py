"""`gateway import consolidate`: what is here twice is made one."""

import json
import sys
import time
from dataclasses import asdict

import click

from gateway.cli import importing as importing_cli
from gateway.cli import progress, serving, stopping
from gateway.conversation import consolidating
from gateway.conversation.consolidation import Dropped, Found, Hands, Report

BY = "gateway import consolidate"

# Of many that could not be done, or were dropped, the first; JSON has all.
_SHOWN = 20


@click.command()
@click.option("--dry-run", is_flag=True, help="Say what would become one, and write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines instead of text: one a group, then the report.")
@stopping.leaves("The same command goes on.")
def consolidate(dry_run: bool, as_json: bool) -> None:
    """Make one of what is here twice: contacts of one person, sessions that are one conversation, and their messages.

    Safe while the gateway serves, which it leaves half of the time to, and as often as you like. One that is stopped
    goes on when it is run again. `gateway import undo` takes it back. What counts as a duplicate is in
    docs/moving-in.md.

    \b
    Examples:  gateway import consolidate --dry-run
               gateway import consolidate
    """
    runtime = serving.build()
    tell = _as_line if as_json else _in_words
    with progress.of_import("Checking" if dry_run else "Consolidating", 1) as bar:
        hands = Hands(wait=_pause, tell=tell, at=bar.counted)
        report = consolidating.consolidate(runtime, BY, hands, is_dry=dry_run)
    if as_json:
        click.echo(json.dumps({"dry_run": dry_run, "groups": report.groups, **asdict(report)}))
    else:
        _show(report, dry_run)
    if not report.is_done:
        sys.exit(1)


def _pause(seconds: float) -> bool:
    """Rest; whoever wants it to end presses Ctrl-C, which ends this too."""
    time.sleep(seconds)
    return False


def _as_line(found: Found) -> None:
    line = {"what": found.what, "kept": found.kept, "merged": found.others, "messages": found.messages}
    click.echo(json.dumps(line))


def _in_words(found: Found) -> None:
    twice = f" ({found.messages:,} messages twice)" if found.messages else ""
    click.echo(f"{found.what}: {', '.join(found.others)} into {found.kept}{twice}")


def _show(report: Report, dry_run: bool) -> None:
    if not report.groups and not report.left and report.is_done:
        click.echo("Nothing is here twice.")
        return
    click.echo("Dry run. Nothing was written. It would come to:" if dry_run else _head(report))
    importing_cli.show_merged(asdict(report))
    _list([_dropped(one) for one in report.dropped], "of a CRM, whose contact is another one now")
    _list(report.left, "left as they were")


def _head(report: Report) -> str:
    if not report.is_done:
        return "Stopped. The same command goes on. So far:"
    return f"Consolidation {report.run_id}: done." if report.run_id else "Done:"


def _dropped(one: Dropped) -> str:
    return f"{one.provider}: contact {one.remote_id} of {one.contact}, {one.kept} was synchronised last"


def _list(lines: list[str], what: str) -> None:
    if lines:
        click.echo(f"  {len(lines):,} {what}:")
    for line in lines[:_SHOWN]:
        click.echo(f"    {line}")
    if len(lines) > _SHOWN:
        click.echo("    ... (--json gives all)")
