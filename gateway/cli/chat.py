"""`gateway chat`: the websites people chat on, and the keys that may stand in their pages."""

import getpass
import json

import click
from rich import box
from rich.console import Console
from rich.table import Table

from gateway.channels.chat import DEFAULT_SITE
from gateway.cli import running, serving
from gateway.conversation import chat_sites
from gateway.conversation.runtime import Runtime
from gateway.core.messages import CHAT
from gateway.store import channels
from gateway.store.connection import deadline

as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


@click.group()
def chat() -> None:
    """Look after the websites people chat on. See docs/api/chat.md.

    \b
    Examples:  gateway chat add shop
               gateway chat publish shop
    """


def _who() -> str:
    return f"command line ({getpass.getuser()})"


@chat.command()
@as_json
def sites(as_json: bool) -> None:
    """List the chat sites.

    \b
    Example:  gateway chat sites
    """
    serving.build()
    with deadline(10):
        rows = [row for row in channels.listed() if row.get("communication_type") == CHAT]
    found = [
        {
            "site": str(row.get("phone_number")),
            "channel": row["id"],
            "publishable_key": chat_sites.key_of(row.get("settings") or {}),
        }
        for row in rows
    ]
    if as_json:
        click.echo(json.dumps(found, indent=2))
        return
    if not found:
        click.echo("Nobody chatted yet, and no site was added. The site `web` is there as soon as somebody does.")
        return
    table = Table(box=box.SIMPLE)
    for column in ("site", "channel", "publishable key"):
        table.add_column(column, no_wrap=column == "publishable key", overflow="fold")
    for one in found:
        table.add_row(one["site"], one["channel"], one["publishable_key"] or "none")
    Console().print(table)


@chat.command()
@click.argument("site")
@as_json
def add(site: str, as_json: bool) -> None:
    """Add a chat SITE: a name of a-z, 0-9 and -. The site `web` needs no adding.

    \b
    Example:  gateway chat add shop
    """
    made = chat_sites.add(serving.build(), site, _who())
    click.echo(json.dumps({"site": site, "channel": made.id}) if as_json else f"The channel of {site} is {made.id}.")


@chat.command()
@click.argument("site", default="web")
@as_json
def publish(site: str, as_json: bool) -> None:
    """Print the publishable key of a SITE, for pages without a server of their own; it is made the first time.

    \b
    Example:  gateway chat publish web
    """
    runtime = serving.build()
    with deadline(10):
        if site != DEFAULT_SITE and chat_sites.find(site) is None:
            raise click.ClickException(f"There is no chat site {site[:60]!r}. `gateway chat add` makes one.")
    key = chat_sites.publish(runtime, site, _who())
    if as_json:
        click.echo(json.dumps({"site": site, "publishable_key": key, "script": _script(runtime, key)}))
        return
    click.echo(key)
    click.echo(f"It may stand in a page:  {_script(runtime, key)}", err=True)
    origins = runtime.settings.chat.origins
    pages = ", ".join(origins) or "none but the gateway's own: set GATEWAY_CHAT__ORIGINS=https://www.example.com"
    click.echo(f"Pages it works on: {pages}.", err=True)


def _script(runtime: Runtime, key: str) -> str:
    configured = runtime.settings
    found = running.find(configured.data_dir)
    local = found.url if found else f"http://127.0.0.1:{configured.port}"
    base = configured.public_url or (found.public_url if found else "") or local
    return f'<script src="{base.rstrip("/")}/chat/widget.js" data-key="{key}" async></script>'


@chat.command()
@click.argument("site")
@as_json
def unpublish(site: str, as_json: bool) -> None:
    """End the publishable key of a SITE, and the tokens of all its visitors.

    \b
    Example:  gateway chat unpublish shop
    """
    if not chat_sites.unpublish(serving.build(), site, _who()):
        raise click.ClickException(f"{site} has no publishable key.")
    click.echo(json.dumps({"unpublished": site}) if as_json else f"The publishable key of {site} works no more.")
