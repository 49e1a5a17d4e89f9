"""`gateway spool`: look after what arrived while MongoDB was away."""

import json
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table

from gateway import logs, settings
from gateway.cli import progress, running, stopping
from gateway.conversation import draining, runtime
from gateway.conversation.runtime import Clock
from gateway.core.times import ms_between, spoken
from gateway.store.spool import Record, Spool

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


@click.group()
def spool() -> None:
    """Look after this host's spool: what arrived while MongoDB was away.

    \b
    It drains by itself as soon as MongoDB takes writes again. See docs/outages.md.

    \b
    Examples:  gateway spool status
               gateway spool list --set-aside
    """


def _spool() -> Spool:
    configured = settings.load()
    return Spool(configured.spool_dir, max_bytes=configured.spool.max_bytes)


@spool.command()
@as_json
def status(as_json: bool) -> None:
    """Say how much waits, since when, and what could not be applied. Exit code 1 where something could not.

    \b
    Example:  gateway spool status --json
    """
    kept = _spool()
    depth = kept.depth()
    waited = ms_between(depth.oldest, Clock().now()) if depth.oldest else 0
    if as_json:
        facts: dict[str, Any] = {
            "path": str(kept.path),
            "waiting": depth.waiting,
            "set_aside": depth.set_aside,
            "oldest": depth.oldest and depth.oldest.isoformat(),
            "bytes": depth.bytes,
        }
        click.echo(json.dumps(facts, indent=2))
    else:
        click.echo(f"{kept.path} ({depth.bytes / 1000:,.0f} kB)")
        since = f", the oldest for {spoken(waited // 1000 * 1000)}" if depth.oldest else ""
        click.echo(f"  {depth.waiting} waiting{since}")
        hint = ": `gateway spool list` says why, `gateway spool retry` tries them again" if depth.set_aside else ""
        click.echo(f"  {depth.set_aside} set aside{hint}")
    raise SystemExit(1 if depth.set_aside else 0)


@spool.command("list")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 10_000), help="At most so many.")
@click.option("--set-aside", "set_aside", is_flag=True, help="Only what could not be applied.")
@as_json
def list_records(limit: int, set_aside: bool, as_json: bool) -> None:
    """List what is in the spool, what was received first at the top; never what people wrote.

    \b
    Example:  gateway spool list --set-aside
    """
    kept = _spool()
    aside = kept.oldest(limit, set_aside=True)
    rows = [(record, "set aside") for record in aside]
    if not set_aside:
        rows += [(record, "waiting") for record in kept.oldest(limit - len(rows))]
    if as_json:
        click.echo(json.dumps([_facts(record, state) for record, state in rows], indent=2))
        return
    if not rows:
        click.echo("Nothing is set aside." if set_aside else "Nothing is in the spool.")
        return
    table = Table(box=box.SIMPLE)
    for name in ("received (UTC)", "what", "id"):
        table.add_column(name, no_wrap=True)
    table.add_column("why it is set aside")
    for record, _ in rows:
        received = f"{record.received_at:%m-%d %H:%M:%S}"
        table.add_row(received, record.kind.replace("_", " "), record.key, record.error)
    Console().print(table)


def _facts(record: Record, state: str) -> dict[str, Any]:
    return {
        "id": record.key,
        "kind": record.kind,
        "received_at": record.received_at.isoformat(),
        "state": state,
        "tries": record.tries,
        "error": record.error,
    }


@spool.command()
@as_json
@stopping.leaves("What was applied is in MongoDB, the rest is in the spool. The same command goes on.")
def drain(as_json: bool) -> None:
    """Apply what waits, now. The web processes of a running gateway do so by themselves.

    \b
    Example:  gateway spool drain
    """
    configured = running.connect()
    logs.configure(fmt=configured.log.format, redact=configured.log.redact)
    waiting = _spool().depth().waiting
    with progress.bar("Applying", waiting, "events") as tell:
        done = draining.drain(runtime.build(configured), tell)
    if done.elsewhere:
        raise click.ClickException("A running gateway is draining the spool already; see `gateway spool status`.")
    if as_json:
        click.echo(json.dumps({"applied": done.applied, "set_aside": done.set_aside}))
    else:
        click.echo(f"{done.applied} applied, {done.set_aside} set aside.")


@spool.command()
@as_json
def retry(as_json: bool) -> None:
    """Let what was set aside be tried again, once its cause is mended.

    \b
    Example:  gateway spool retry && gateway spool drain
    """
    count = _spool().retry()
    click.echo(json.dumps({"retried": count}) if as_json else f"{count} will be tried again.")
