"""`gateway simulate burst`: many people at once, and whether all of it is where it has to be."""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from typing import Any

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TextColumn, TimeRemainingColumn
from rich.table import Table

from gateway.cli import running, stopping
from gateway.cli.simulating.lines import find_line, json_option, to_option, url_option
from gateway.conversation.simulation import burst as load
from gateway.conversation.simulation import verifying
from gateway.conversation.simulation.burst import NO_ANSWER, Burst, Plan, percentile
from gateway.conversation.simulation.forms import OUR_NUMBER
from gateway.conversation.simulation.verifying import Verified
from gateway.core.messages import SMS, WHATSAPP

MISSED = 1
_SHARES = (0.5, 0.95, 0.99)


@click.command()
@click.option("--senders", default=500, show_default=True, type=click.IntRange(1, 100_000), help="So many people.")
@click.option("--rate", default=100.0, show_default=True, type=click.FloatRange(0.1, 5000), help="Messages a second.")
@click.option("--seconds", default=60.0, show_default=True, type=click.FloatRange(0.1, 86_400), help="For so long.")
@click.option("--duplicates", default=0.0, show_default=True, type=click.FloatRange(0, 100), metavar="PERCENT",
              help="So many of them are delivered twice.")  # fmt: skip
@click.option("--max-p95", type=click.FloatRange(min=0, min_open=True), metavar="MS",
              help="Expect 95 of 100 answers within so many milliseconds.")  # fmt: skip
@click.option(
    "--type", "kind", default=SMS, show_default=True, type=click.Choice([SMS, WHATSAPP]), help="What they send."
)
@to_option(OUR_NUMBER)
@url_option
@json_option
def burst(senders: int, rate: float, seconds: float, duplicates: float, max_p95: float | None, kind: str, to: str,
          url: str | None, as_json: bool) -> None:  # fmt: skip
    """Send many messages of many people.

    Each is sent when it is due, however slow the answers are, and latencies count from then. Afterwards what was
    acknowledged is looked up, where MongoDB can be reached: stored once, in the right number of sessions. Ctrl-C ends
    it with the summary so far. Exit code 0: all as expected, 1: something was not, 130: stopped by Ctrl-C.

    The people are made up, but a gateway that sends through Twilio would try to answer them: use one that does not.

    \b
    Examples:  gateway simulate burst --senders 500 --rate 100 --seconds 60
               gateway simulate burst --rate 20 --seconds 10 --duplicates 10 --max-p95 250 --json
    """
    line, plan = find_line(url), Plan(kind, to, senders, rate, seconds, duplicates / 100)
    stored = running.connect_if_known(url)
    line.knock()
    with _progress(plan) as tell:
        done = load.run(line, plan, tell)
    found = _verified(done) if stored and done.acknowledged else None
    missed = list(_missed(done, found, max_p95))
    if as_json:
        click.echo(json.dumps(_plain(done, found, missed), indent=2))
    else:
        _show(done, found)
        for text in missed:
            click.secho(f"  {text}", fg="red")
        if not missed:
            click.secho("  as expected", fg="green")
    if done.interrupted:
        raise SystemExit(stopping.EXIT_CODE)
    if missed:
        raise SystemExit(MISSED)


def _verified(done: Burst) -> Verified | None:
    """Look up what was acknowledged; Ctrl-C ends the waiting for it."""
    shown = Console(stderr=True)
    try:
        with shown.status("Looking up what is stored") if shown.is_terminal else nullcontext():
            return verifying.verify(done)
    except KeyboardInterrupt:
        done.interrupted = True
        return None


@contextmanager
def _progress(plan: Plan) -> Iterator[Callable[[Burst], None]]:
    """Show how far it has come, on a terminal only and never among the output."""
    shown = Console(stderr=True)
    columns = (BarColumn(), TextColumn("{task.fields[told]}"), TimeRemainingColumn())
    with Progress(*columns, console=shown, transient=True, disable=not shown.is_terminal) as bar:
        task = bar.add_task("burst", total=plan.webhooks, told="")

        def tell(so_far: Burst) -> None:
            late, waiting = percentile(list(so_far.lately), 0.95), so_far.sent - so_far.answered
            told = f"{so_far.sent:,} sent, {waiting:,} waiting, p95 {late:,.0f} ms"
            bar.update(task, completed=min(so_far.sent, plan.webhooks), told=told)

        yield tell


def _missed(done: Burst, found: Verified | None, max_p95: float | None) -> Iterator[str]:
    for status, latencies in sorted(done.latencies.items()):
        if not 200 <= status < 300:
            why = f" ({', '.join(sorted(done.errors))})" if status == NO_ANSWER else ""
            yield f"{len(latencies):,} {'got no answer' if status == NO_ANSWER else f'were answered {status}'}{why}"
    if done.differing:
        yield f"{len(done.differing):,} redeliveries got another answer, first {min(done.differing)}"
    p95 = percentile(done.all_latencies, 0.95)
    if max_p95 is not None and p95 > max_p95:
        yield f"p95 is {p95:,.0f} ms, over {max_p95:,.0f}"
    if found:
        yield from _misplaced(found)


def _misplaced(found: Verified) -> Iterator[str]:
    if found.missing:
        yield f"{len(found.missing):,} were acknowledged and are not in MongoDB (see `gateway spool status`), first {found.missing[0]}"  # noqa: E501
    if found.beyond:
        yield f"{found.beyond:,} messages are stored that nobody sent, or twice"
    if found.misfiled:
        expected = f"{found.sessions:,} sessions instead of {found.sessions_expected:,}"
        yield f"{len(found.misfiled):,} people have other sessions than their pauses call for: {expected}"
    if found.miscounted:
        yield f"{len(found.miscounted):,} sessions count other than they have, first {found.miscounted[0]}"


def _show(done: Burst, found: Verified | None) -> None:
    rate = done.sent / done.seconds if done.seconds else 0
    ended = "Interrupted: " if done.interrupted else ""
    again = f" ({done.redelivered:,} of them again)" if done.redelivered else ""
    people = f"{len(set(done.senders.values())):,} people"
    click.echo(f"{ended}{done.sent:,} webhooks{again} of {people} in {done.seconds:.1f} s, {rate:.1f} a second")
    table = Table(box=None, padding=(0, 2, 0, 0))
    table.add_column("answered", no_wrap=True)
    for name in ("webhooks", "p50 ms", "p95 ms", "p99 ms", "slowest"):
        table.add_column(name, justify="right", no_wrap=True)
    for status, latencies in sorted(done.latencies.items()):
        figures = [f"{percentile(latencies, share):,.0f}" for share in _SHARES]
        name = str(status) if status != NO_ANSWER else "not at all"
        table.add_row(name, f"{len(latencies):,}", *figures, f"{max(latencies):,.0f}")
    Console(highlight=False).print(table)
    if found is None:
        click.echo("What is stored was not looked up.")
    else:
        stored = found.acknowledged - len(found.missing)
        click.echo(
            f"{stored:,} of {found.acknowledged:,} acknowledged messages are stored, in {found.sessions:,} sessions."
        )


def _plain(done: Burst, found: Verified | None, missed: list[str]) -> dict[str, Any]:
    by_status = {
        "none" if status == NO_ANSWER else str(status): {
            "webhooks": len(latencies),
            **{f"p{round(share * 100)}_ms": round(percentile(latencies, share), 1) for share in _SHARES},
            "slowest_ms": round(max(latencies), 1),
        }
        for status, latencies in sorted(done.latencies.items())
    }
    stored = found and {
        "acknowledged": found.acknowledged,
        "missing": list(found.missing),
        "sessions": found.sessions,
        "sessions_expected": found.sessions_expected,
        "beyond": found.beyond,
        "people_misfiled": len(found.misfiled),
        "sessions_miscounted": list(found.miscounted),
    }
    return {
        "webhooks": done.sent,
        "redelivered": done.redelivered,
        "people": len(set(done.senders.values())),
        "seconds": round(done.seconds, 3),
        "interrupted": done.interrupted,
        "answered": by_status,
        "errors": dict(done.errors),
        "differing": sorted(done.differing),
        "stored": stored,
        "as_expected": not missed,
        "missed": missed,
    }
