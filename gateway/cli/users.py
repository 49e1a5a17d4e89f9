"""`gateway users`: who may log in to the console."""

import json
import secrets
import sys
from typing import cast

import click
from rich.console import Console
from rich.table import Table

from gateway.cli import serving
from gateway.conversation import people
from gateway.core.access import ROLES, Role
from gateway.store import users as stored
from gateway.store.connection import deadline
from gateway.store.users import Listed

# Who did it, in the audit.
COMMAND_LINE = "command line"

_PATIENCE_SECONDS = 10

_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
_role = click.option("--role", type=click.Choice(ROLES), help="admin, agent (reads and answers) or viewer (reads).")
_channel = click.option(
    "--channel", "channels", multiple=True, help="Limit to this channel id, e.g. sms:+15017122661; may be repeated."
)


@click.group("users")
def users() -> None:
    """Manage who may log in to the admin page.

    \b
    Examples:  gateway users add ada
               gateway users list
    """


@users.command()
@click.argument("name")
@_role
@_channel
@click.option("--password-stdin", is_flag=True, help="Read the password from standard input.")
@click.option("--replace", is_flag=True, help="Give an existing user a new password and end their logins.")
@_as_json
def add(
    name: str, role: str | None, channels: tuple[str, ...], password_stdin: bool, replace: bool, as_json: bool
) -> None:
    """Add a user (an admin, if nothing else is said), with a password that is read or made up and shown once.

    \b
    Examples:
      gateway users add ada
      gateway users add ben --role agent --channel sms:+15017122661
    """
    password = sys.stdin.readline().rstrip("\n") if password_stdin else secrets.token_urlsafe(12)
    people.check_password(password)
    runtime = serving.build()
    with deadline(_PATIENCE_SECONDS):
        is_there = stored.exists(name)
    if replace and is_there:
        if role or channels:
            raise click.UsageError("--replace changes the password only; `gateway users set` changes the rest.")
        people.reset_password(runtime, COMMAND_LINE, name, password)
    else:
        people.add(runtime, COMMAND_LINE, name, password, cast(Role, role or "admin"), list(channels) or None)
    shown = {} if password_stdin else {"password": password}
    if as_json:
        click.echo(json.dumps({"name": name, **shown}))
    else:
        click.echo(f"User {name} may log in." + (f" Password: {password}" if shown else ""))


@users.command("set")
@click.argument("name")
@_role
@_channel
@click.option("--every-channel", is_flag=True, help="Limit to no channels any more.")
def change(name: str, role: str | None, channels: tuple[str, ...], every_channel: bool) -> None:
    """Give a user another role, or other channels.

    \b
    Example:  gateway users set ben --role viewer --every-channel
    """
    if channels and every_channel:
        raise click.UsageError("Give --channel or --every-channel, not both.")
    runtime = serving.build()
    with deadline(_PATIENCE_SECONDS):
        if (user := stored.get(name)) is None:
            raise click.ClickException(f"There is no user {name!r}. `gateway users list` shows who there is.")
        kept = None if every_channel or role == "admin" else user.access.channels
        people.change(runtime, COMMAND_LINE, name, cast(Role, role or user.access.role), list(channels) or kept)
        changed = stored.get(name)
    if changed:
        click.echo(f"User {name}: {changed.access.role}, {_sees(changed)}.")


@users.command()
@click.argument("name")
def remove(name: str) -> None:
    """Take a user away and end their logins; what they wrote stays.

    \b
    Example:  gateway users remove ben
    """
    runtime = serving.build()
    with deadline(_PATIENCE_SECONDS):
        people.remove(runtime, COMMAND_LINE, name)
    click.echo(f"User {name} is removed.")


@users.command("list")
@_as_json
def show(as_json: bool) -> None:
    """List who may log in, and what they may do.

    \b
    Example:  gateway users list
    """
    serving.build()
    with deadline(_PATIENCE_SECONDS):
        everybody = stored.everybody()
    if as_json:
        click.echo(json.dumps([_plain(user) for user in everybody]))
        return
    table = Table("Name", "Role", "Sees", "Last login", box=None, pad_edge=False)
    for user in everybody:
        seen = f"{user.logged_in_at:%Y-%m-%d %H:%M} UTC" if user.logged_in_at else "never"
        table.add_row(user.access.name, user.access.role, _sees(user), seen)
    Console().print(table)


def _sees(user: Listed) -> str:
    return "every channel" if user.access.channels is None else ", ".join(sorted(user.access.channels))


def _plain(user: Listed) -> dict[str, object]:
    channels = user.access.channels
    return {
        "name": user.access.name,
        "role": user.access.role,
        "channels": None if channels is None else sorted(channels),
        "logged_in_at": user.logged_in_at.isoformat() if user.logged_in_at else None,
    }
