"""What commands that change numbers at Twilio have in common: shown first, asked, then done one after the other."""

import getpass
from collections.abc import Callable, Sequence
from typing import Any

import click
from rich.console import Console

from gateway.conversation.pointing import CannotPoint
from gateway.core.accounts import AccountError, Number, Unreachable
from gateway.core.wiring import shown

as_json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text; asks nothing.")
yes_option = click.option("--yes", is_flag=True, help="Do not ask.")
dry_run_option = click.option("--dry-run", is_flag=True, help="Only say what would be changed.")


def require_answer(yes: bool, dry_run: bool, as_json: bool) -> None:
    """Refuse to ask where nobody could answer."""
    if as_json and not yes and not dry_run:
        raise click.UsageError("--json asks nothing: say --yes or --dry-run with it.")


def each(
    things: Sequence[Any],
    name: Callable[[Any], str],
    do: Callable[[Any], dict[str, Any]],
    say: Callable[[dict[str, Any]], str] | None,
) -> tuple[list[dict[str, Any]], list[dict[str, str]]]:
    """Do one after the other, `say` what was done, and go on when one fails; gives what was done and what failed."""
    told: list[dict[str, Any]] = []
    failed: list[dict[str, str]] = []
    for thing in things:
        try:
            told.append(do(thing))
            if say:
                click.echo(say(told[-1]))
        except (AccountError, CannotPoint) as error:
            failed.append({"address": name(thing), "error": str(error)})
            if say:
                click.echo(f"{name(thing)}: {error}", err=True)
            if isinstance(error, Unreachable):
                break
    return told, failed


def heading(console: Console, number: Number) -> None:
    """Name the number that what follows is about."""
    named = f" ({number.name})" if number.name not in (number.address, number.address.rpartition(":")[2]) else ""
    console.print(f"{number.address}{named}", style="bold")


def show_change(console: Console, field: str, now: str, then: str) -> None:
    """Show a field as it is and as it will be."""
    console.print(f"  {field}")
    if now:
        console.print(f"    - {shown(now)}", style="red")
    console.print(f"    + {shown(then) or '(nothing)'}", style="green")


def amount(count: int) -> str:
    """Say how many numbers."""
    return "1 number" if count == 1 else f"{count} numbers"


def who() -> str:
    """Name who runs the command, as the console names who is logged in."""
    return f"{getpass.getuser()} (command line)"
