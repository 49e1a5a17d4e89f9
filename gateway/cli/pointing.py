"""`gateway channels point`: what Twilio calls for our numbers, changed after showing it."""

import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import click
from rich.console import Console

from gateway.cli import asking, changing, numbers, serving
from gateway.clients.twilio_account import TwilioAccount
from gateway.conversation import pointing as use
from gateway.conversation.runtime import Runtime
from gateway.core import accounts
from gateway.core.accounts import MessagingService, NotOurs, Number
from gateway.core.messages import WHATSAPP
from gateway.core.wiring import Difference, differences


@dataclass(frozen=True, slots=True)
class Plan:
    """What is to become of one number."""

    number: Number
    should: dict[str, str]
    found: Sequence[Difference]
    notes: Sequence[str]


@click.command()
@click.argument("channels", metavar="[CHANNEL]...", nargs=-1)
@click.option("--all", "everything", is_flag=True, help="All numbers and WhatsApp senders of the account.")
@click.option("--url", help="The address of the gateway, instead of PUBLIC_URL.")
@changing.yes_option
@changing.dry_run_option
@changing.as_json_option
def point(
    channels: tuple[str, ...], everything: bool, url: str | None, yes: bool, dry_run: bool, as_json: bool
) -> None:
    """Let Twilio call this gateway for CHANNEL.

    Shows what that changes, and asks.

    Voice, SMS and WhatsApp addresses, fallbacks and status callbacks, with retries (#rc=2&rp=ct,5xx). What stood there
    is kept, and `gateway channels restore` puts it back. May be stopped and repeated at any time. Exits with 1 where
    something could not be changed.

    \b
    Examples:  gateway channels point +15017122661 --dry-run
               gateway channels point sms:+15017122661 whatsapp:+15017122661
               gateway channels point --all --yes
    """
    if bool(channels) == everything:
        raise click.UsageError("Say which CHANNEL to point, or --all.")
    if url and not re.fullmatch(r"https?://[^\s#?]+", url):
        raise click.UsageError(f"--url {url[:80]!r}: write it as https://gateway.example.com.")
    changing.require_answer(yes, dry_run, as_json)
    runtime = serving.build_quietly()
    here = url or numbers.public_url(runtime.settings)
    use.require_callable(here)
    account = TwilioAccount(runtime.settings)
    with numbers.waiting("Asking Twilio"):
        plans = _plans(account, channels, here)
    left = [plan for plan in plans if plan.found]
    if not as_json:
        _show_plans(plans)
    if dry_run or not left:
        _tell_plans(plans, as_json, dry_run)
        return
    if not yes:
        asking.confirm(f"Change {changing.amount(len(left))}?")
    told, failed = changing.each(
        left,
        lambda plan: plan.number.address,
        lambda plan: _point(runtime, account, plan),
        None if as_json else _sentence,
    )
    if as_json:
        click.echo(json.dumps({"pointed": told, "failed": failed}, indent=2, ensure_ascii=False))
    elif told:
        click.echo("`gateway channels restore` puts back what stood there.")
    sys.exit(1 if failed else 0)


def _plans(account: TwilioAccount, channels: Iterable[str], url: str) -> list[Plan]:
    """Find out what is to be changed, of each number once."""
    wanted: dict[str, tuple[Number, set[str]]] = {}
    for number, kinds in _chosen(account, channels):
        wanted.setdefault(number.sid, (number, set()))[1].update(kinds)
    services = numbers.services(account)
    return [_plan(number, kinds, url, services) for number, kinds in wanted.values()]


def _chosen(account: TwilioAccount, channels: Iterable[str]) -> list[tuple[Number, Iterable[str]]]:
    """Give the numbers that somebody means with the types of channel; all that take any, where nobody says which."""
    meant = [numbers.meant(written) for written in channels]
    listed: list[Number] = []
    if not meant or any(kinds != (WHATSAPP,) for kinds, _ in meant):
        listed += account.numbers()
    if not meant or any(kinds == (WHATSAPP,) for kinds, _ in meant):
        listed += numbers.senders(account)
    if not meant:
        return [(number, number.channels) for number in listed if number.channels]
    return [(number, kinds or number.channels) for kinds, line in meant for number in [_found(account, listed, line)]]


def _found(account: TwilioAccount, listed: Sequence[Number], line: str) -> Number:
    number = accounts.find(listed, line)
    if number is None:
        raise NotOurs(
            f"{line[:60]} is none of the {len(listed)} numbers and WhatsApp senders of {', '.join(account.accounts)}. "
            "`gateway channels list` shows them."
        )
    return number


def _plan(number: Number, kinds: Iterable[str], url: str, services: Iterable[MessagingService]) -> Plan:
    should = use.wanted(number, url, tuple(kinds))
    return Plan(number, should, differences(number.wiring, should), numbers.notes(number, services, should))


def _point(runtime: Runtime, account: TwilioAccount, plan: Plan) -> dict[str, Any]:
    done = use.point(runtime.clock, account, plan.number, plan.should, by=changing.who(), seen=plan.number.wiring)
    return {"address": plan.number.address, "changed": numbers.as_json(done.changed), "notes": list(plan.notes)}


def _show_plans(plans: Sequence[Plan]) -> None:
    console = Console(highlight=False, soft_wrap=True, markup=False)
    for plan in plans:
        changing.heading(console, plan.number)
        for one in plan.found:
            changing.show_change(console, one.field, one.actual, one.expected)
            if one.field.endswith("_sid"):
                console.print(f"      {one.why}", style="yellow")
        if not plan.found:
            console.print("  points here already.")
        for words in plan.notes:
            console.print(f"  Mind: {words}", style="yellow", soft_wrap=False)


def _tell_plans(plans: Sequence[Plan], as_json: bool, dry_run: bool) -> None:
    if as_json:
        rows = [
            {"address": one.number.address, "changed": numbers.as_json(one.found), "notes": list(one.notes)}
            for one in plans
        ]
        key = "would_point" if dry_run else "pointed"
        click.echo(json.dumps({key: rows, "failed": []}, indent=2, ensure_ascii=False))
    elif dry_run:
        click.echo("Nothing was changed.")


def _sentence(done: Mapping[str, Any]) -> str:
    return f"{done['address']} points here now{', but mind what is said above' if done['notes'] else ''}."
