"""`gateway migrate`: the database brought up to date, or told what that would take."""

import json
from typing import Any

import click

from gateway.cli import progress, serving, stopping
from gateway.conversation import migrating
from gateway.conversation.migrating import Plan
from gateway.store.indexes import Change
from gateway.store.migrations import MIGRATIONS
from gateway.store.migrations.records import Record

BY = "gateway migrate"


@click.command()
@click.option("--plan", "plan_only", is_flag=True, help="Say what would be done, and do nothing.")
@click.option(
    "--again",
    type=click.IntRange(1, MIGRATIONS[-1].number),
    help="Go once more through the documents of this migration, which is done.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
@stopping.leaves("What is done is noted. The same command goes on; the gateway may run meanwhile.")
def migrate(plan_only: bool, again: int | None, as_json: bool) -> None:
    """Bring the database up to date: its indexes, and the documents of older versions.

    Safe to run at any time, twice at once and while the gateway serves; one that was stopped goes on where it was.

    \b
    Examples:  gateway migrate --plan
               gateway migrate
    """
    if plan_only and again:
        raise click.UsageError("--plan does nothing: leave --again out.")
    serving.connect()
    if plan_only:
        _print_plan(migrating.plan(), as_json)
        return
    if again and not migrating.again(again):
        raise click.ClickException(f"Migration {again} is not done yet. `gateway migrate` does it.")
    with progress.steps() as tell:
        planned, done = migrating.run(BY, tell=tell)
    _print_done(planned, done, as_json)


def _print_plan(planned: Plan, as_json: bool) -> None:
    if as_json:
        rows = [{**_migration(one.number, one.name), "why": one.why, "documents": n} for one, n in planned.migrations]
        click.echo(json.dumps({"indexes": [_index(one) for one in planned.indexes], "migrations": rows}, indent=2))
        return
    for change in planned.indexes:
        click.echo(f"{change.what} index {change.collection}.{change.index}: {change.why}")
    for one, documents in planned.migrations:
        click.echo(f"migration {one.number} {one.name}, about {documents:,} documents to look at: {one.why}")
    if not planned.indexes and not planned.migrations:
        click.echo("Nothing is to be done.")


def _print_done(planned: Plan, done: list[Record], as_json: bool) -> None:
    if as_json:
        rows = [
            {
                **_migration(one.number, one.name),
                "state": one.state,
                "seen": one.seen,
                "changed": one.changed,
                "problems": list(one.problems),
            }
            for one in done
        ]
        click.echo(json.dumps({"indexes": [_index(one) for one in planned.indexes], "migrations": rows}, indent=2))
        return
    for change in planned.indexes:
        click.echo(f"{_DID[change.what]} index {change.collection}.{change.index}: {change.why}")
    for one in done:
        click.echo(f"migration {one.number} {one.name}: {one.changed:,} changed of {one.seen:,} documents")
        for problem in one.problems:
            click.echo(f"  {problem}")
    click.echo("The database is up to date.")


_DID = {"create": "created", "replace": "replaced", "drop": "dropped"}


def _index(change: Change) -> dict[str, Any]:
    return {"index": f"{change.collection}.{change.index}", "what": change.what, "why": change.why}


def _migration(number: int, name: str) -> dict[str, Any]:
    return {"number": number, "name": name}
