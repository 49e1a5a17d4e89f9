"""`gateway import consolidate`: what is here twice is made one."""

import json
from dataclasses import asdict

import click

from gateway.cli import serving
from gateway.conversation import consolidating
from gateway.conversation.consolidating import Dropped, Found, Report

BY = "gateway import consolidate"

# Of many that could not be done, or were dropped, the first; JSON has all.
_SHOWN = 20


@click.command()
@click.option("--dry-run", is_flag=True, help="Say what would become one, and write nothing.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON lines instead of text: one a group, then the report.")
def consolidate(dry_run: bool, as_json: bool) -> None:
    """Make one of what is here twice: contacts of one person, and sessions that are one conversation.

    Everything can be undone, contact by contact and session by session. Safe while the gateway serves, and as often
    as you like. What counts as a duplicate is in docs/moving-in.md.

    \b
    Examples:  gateway import consolidate --dry-run
               gateway import consolidate
    """
    runtime = serving.build()
    tell = _as_line if as_json else _in_words
    report = consolidating.consolidate(runtime, BY, is_dry=dry_run, tell=tell)
    if as_json:
        click.echo(json.dumps({"dry_run": dry_run, "groups": report.groups, **asdict(report)}))
        return
    _show(report, dry_run)


def _as_line(found: Found) -> None:
    click.echo(json.dumps({"what": found.what, "kept": found.kept, "merged": found.others}))


def _in_words(found: Found) -> None:
    click.echo(f"{found.what}: {', '.join(found.others)} into {found.kept}")


def _show(report: Report, dry_run: bool) -> None:
    if not report.groups and not report.left:
        click.echo("Nothing is here twice.")
        return
    click.echo("Dry run. Nothing was written. It would come to:" if dry_run else "Done:")
    click.echo(f"  people    {report.people:,} had {report.contacts_merged:,} contacts too many")
    click.echo(f"  sessions  {report.session_groups:,} had {report.sessions_merged:,} duplicates")
    click.echo(f"  messages  {report.messages_duplicate:,} are there twice and stay")
    _list([_dropped(one) for one in report.dropped], "of a CRM, whose contact is another one now")
    _list(report.left, "left as they were")


def _dropped(one: Dropped) -> str:
    return f"{one.provider}: contact {one.remote_id} of {one.contact}, {one.kept} was synchronised last"


def _list(lines: list[str], what: str) -> None:
    if lines:
        click.echo(f"  {len(lines):,} {what}:")
    for line in lines[:_SHOWN]:
        click.echo(f"    {line}")
    if len(lines) > _SHOWN:
        click.echo("    ... (--json gives all)")
