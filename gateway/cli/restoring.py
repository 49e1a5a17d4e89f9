"""`gateway channels restore`: what Twilio called for our numbers, put back."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import click
from rich.console import Console

from gateway.cli import asking, changing, numbers, serving
from gateway.clients.twilio_account import TwilioAccount
from gateway.conversation import pointing as use
from gateway.conversation.runtime import Runtime
from gateway.core.accounts import AccountError, Number, Unreachable
from gateway.core.messages import SMS, VOICE
from gateway.core.pointing import PuttingBack, putting_back
from gateway.core.wiring import shown
from gateway.store import pointings
from gateway.store.connection import deadline
from gateway.store.pointings import Pointing


@click.command()
@click.argument("channels", metavar="[NUMBER]...", nargs=-1)
@changing.yes_option
@changing.dry_run_option
@click.option("--force", is_flag=True, help="Also put back what somebody else has changed since.")
@click.option("--forget", is_flag=True, help="Leave what somebody else has changed since, and forget what was there.")
@changing.as_json_option
def restore(channels: tuple[str, ...], yes: bool, dry_run: bool, force: bool, forget: bool, as_json: bool) -> None:
    """Put back what Twilio called before.

    For NUMBER, or for all that were pointed here. Shows what that changes, and asks. What a tunnel changed is put back
    first. What somebody else has changed since is left alone unless --force is given. Exits with 1 where something
    could not be put back, or was left.

    \b
    Examples:  gateway channels restore
               gateway channels restore +15017122661 --yes
    """
    if force and forget:
        raise click.UsageError("Say --force or --forget, not both.")
    changing.require_answer(yes, dry_run, as_json)
    runtime = serving.build_quietly()
    kept = _kept(channels)
    if not kept:
        click.echo(json.dumps({"restored": [], "failed": []}) if as_json else "There is nothing to put back.")
        return
    account = TwilioAccount(runtime.settings)
    account.check()
    if not as_json:
        _show_restoring(account, kept, force=force)
    if dry_run:
        rows = [{"address": one.address, "before": _hidden(one.layers.top.before)} for one in kept]
        said = json.dumps({"would_restore": rows, "failed": []}, indent=2, ensure_ascii=False)
        click.echo(said if as_json else "Nothing was changed.")
        return
    if not yes:
        asking.confirm(f"Put back {changing.amount(len(kept))}?")
    told, failed = changing.each(
        kept,
        lambda one: one.address,
        lambda one: _restore(runtime, account, one, force=force, forget=forget),
        None if as_json else _sentence,
    )
    if as_json:
        click.echo(json.dumps({"restored": told, "failed": failed}, indent=2, ensure_ascii=False))
    sys.exit(1 if failed or any(one["left"] for one in told if not forget) else 0)


def _sentence(done: dict[str, Any]) -> str:
    """Say what became of one number."""
    if done["gone"]:
        return f"{done['address']} is not ours any more: what stood there is forgotten."
    said = [f"{done['address']} is as it was." if not done["left"] else f"{done['address']} is not quite as it was:"]
    if done["left"]:
        said.append(f"somebody else has changed {', '.join(done['left'])} since.")
        said.append("--force puts that back all the same, --forget leaves it for good.")
    if done["remains"]:
        said.append("It had been pointed here for good before; once more puts back what stood there then.")
    return " ".join(said)


def _kept(channels: Iterable[str]) -> list[Pointing]:
    with deadline(10):
        rows = pointings.outstanding()
    if not channels:
        return rows
    lines = []
    for written in channels:
        kinds, line = numbers.meant(written)
        if kinds in ((SMS,), (VOICE,)):
            raise click.UsageError(f"{written[:40]}: a number is put back as a whole. Write {line}.")
        lines.append(line)
        if not any(line in (row.address, row.sid) for row in rows):
            raise click.ClickException(f"Nothing is to be put back of {line[:60]}: it was not pointed here.")
    return [row for row in rows if row.address in lines or row.sid in lines]


def _show_restoring(account: TwilioAccount, kept: Sequence[Pointing], *, force: bool) -> None:
    console = Console(highlight=False, soft_wrap=True, markup=False)
    for one in kept:
        try:
            with numbers.waiting("Asking Twilio"):
                number = account.fetch(one.sid, one.account_sid)
        except Unreachable:
            raise
        except AccountError as error:
            console.print(f"{one.address}: {error}")
            continue
        changing.heading(console, number)
        _show_putting_back(console, number, putting_back(one.layers.top, number.wiring), force=force)


def _show_putting_back(console: Console, number: Number, back: PuttingBack, *, force: bool) -> None:
    for field, value in [*back.values.items(), *(back.changed.items() if force else ())]:
        changing.show_change(console, field, number.wiring[field], value)
    if back.changed and not force:
        console.print(f"  Somebody else has changed {', '.join(back.changed)} since.", style="yellow")
    if not back.values and not back.changed:
        console.print("  is as it was already.")


def _restore(runtime: Runtime, account: TwilioAccount, one: Pointing, *, force: bool, forget: bool) -> dict[str, Any]:
    done = use.restore(runtime.clock, account, one, by=changing.who(), force=force, forget=forget)
    return {
        "address": done.address,
        "put_back": _hidden(done.put_back),
        "left": _hidden(done.left),
        "gone": done.gone,
        "remains": done.remains,
    }


def _hidden(values: Mapping[str, str]) -> dict[str, str]:
    return {name: shown(value) for name, value in values.items()}
