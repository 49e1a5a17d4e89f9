"""`gateway keys`: make, list and end keys to the REST API."""

import getpass
import json
from datetime import datetime
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table

from gateway import logs
from gateway.cli import running
from gateway.conversation import keys as use
from gateway.conversation.runtime import Clock
from gateway.store import api_keys
from gateway.store.api_keys import SCOPES, ApiKey
from gateway.store.connection import deadline

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


@click.group()
def keys() -> None:
    """Look after the keys to the REST API. See docs/console/operations.md.

    \b
    Examples:  gateway keys add crm --scope read
               gateway keys list
    """


def _connect() -> None:
    logs.configure_for_commands(redact=running.connect().log.redact)


def _who() -> str:
    return f"command line ({getpass.getuser()})"


@keys.command()
@click.argument("name")
@click.option("--scope", "scopes", multiple=True, type=click.Choice(SCOPES), default=["read"], help="More than once.")
@click.option("--channel", "channels", multiple=True, help="Only this channel's id; more than once. All without it.")
@click.option("--days", type=int, help="How long it works; for ever without it.")
@as_json
def add(name: str, scopes: tuple[str, ...], channels: tuple[str, ...], days: int | None, as_json: bool) -> None:
    """Make a key and print it, this once.

    \b
    Example:  gateway keys add crm --scope read --scope write --days 365
    """
    _connect()
    key, secret = use.create(
        name, sorted(set(scopes)), Clock().now(), by=_who(), limited_to=channels or None, days=days
    )
    if as_json:
        click.echo(json.dumps(_facts(key, Clock().now()) | {"key": secret}))
        return
    click.echo(secret)
    click.echo(f"This is the only time it is shown. Scopes: {', '.join(sorted(key.scopes))}.", err=True)


@keys.command("list")
@as_json
def list_keys(as_json: bool) -> None:
    """List all keys, the newest first; never their secrets.

    \b
    Example:  gateway keys list
    """
    _connect()
    with deadline(10):
        found, now = api_keys.every(), Clock().now()
    if as_json:
        click.echo(json.dumps([_facts(key, now) for key in found], indent=2))
        return
    if not found:
        click.echo("There are no keys. Make one: gateway keys add NAME")
        return
    table = Table(box=box.SIMPLE)
    for column in ("prefix", "name", "scopes", "channels", "state", "last used (UTC)"):
        table.add_column(column, no_wrap=column == "prefix", overflow="fold")
    for key in found:
        limited = "all" if key.access.channels is None else ", ".join(sorted(key.access.channels))
        scopes = ", ".join(sorted(key.scopes))
        table.add_row(key.prefix, key.name, scopes, limited, key.state(now), _moment(key.last_used_at) or "never")
    Console().print(table)


@keys.command()
@click.argument("prefix")
@as_json
def revoke(prefix: str, as_json: bool) -> None:
    """End the key of this PREFIX (`gateway keys list`) for good.

    \b
    Example:  gateway keys revoke 1a2b3c4d
    """
    _connect()
    key = use.revoke(prefix.removeprefix("gw_").partition("_")[0], Clock().now(), by=_who())
    if key is None:
        raise click.ClickException(
            f"There is no active key whose PREFIX is {prefix[:20]!r}; a name is not enough, since several may have it. "
            "`gateway keys list` shows them."
        )
    click.echo(json.dumps({"revoked": key.prefix}) if as_json else f"{key.name} ({key.prefix}) works no more.")


def _facts(key: ApiKey, now: datetime) -> dict[str, Any]:
    return {
        "prefix": key.prefix,
        "name": key.name,
        "scopes": sorted(key.scopes),
        "channels": None if key.access.channels is None else sorted(key.access.channels),
        "state": key.state(now),
        "created_at": key.created_at.isoformat(),
        "expires_at": key.expires_at and key.expires_at.isoformat(),
        "last_used_at": key.last_used_at and key.last_used_at.isoformat(),
    }


def _moment(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M}" if at else ""
