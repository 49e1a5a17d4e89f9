"""Our channels beside the numbers of the account: how people name them, and how they are listed."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

import click
from rich import box
from rich.console import Console
from rich.table import Table

from gateway.cli import running
from gateway.clients.twilio_account import TwilioAccount
from gateway.core.accounts import AccountError, MessagingService, Number, Unreachable, WrongCredentials
from gateway.core.messages import SMS, VOICE, WHATSAPP
from gateway.core.participant import address
from gateway.core.times import seconds, spoken
from gateway.core.wiring import Difference, differences, expected, method_of, shown, unreachable
from gateway.settings import Settings, idle_ms

# The field that tells where a channel's messages go.
FIRST = {SMS: "sms_url", VOICE: "voice_url", WHATSAPP: "whatsapp_callback_url"}
TRUNK, APPLICATION = "a trunk", "an application"


@dataclass(frozen=True, slots=True)
class Account:
    """What Twilio holds of ours."""

    numbers: Sequence[Number]
    services: Sequence[MessagingService]


def look(account: TwilioAccount) -> Account:
    """Ask Twilio for everything that is to be listed; raises AccountError."""
    return Account([*account.numbers(), *senders(account)], services(account))


def senders(account: TwilioAccount) -> list[Number]:
    """List the WhatsApp senders; an account that may not have any stands in the way of nothing else."""
    return _or_none(account.senders, "WhatsApp senders are left out")


def services(account: TwilioAccount) -> list[MessagingService]:
    """List the Messaging Services, as `senders` does."""
    return _or_none(account.services, "Nobody knows whether a Messaging Service is in the way")


def _or_none(ask: Callable[[], list[Any]], words: str) -> list[Any]:
    try:
        return ask()
    except (WrongCredentials, Unreachable):
        raise
    except AccountError as error:
        click.echo(f"{words}: {error}", err=True)
        return []


def waiting(words: str) -> AbstractContextManager[object]:
    """Show that something takes a while: on a terminal only, and never among the output."""
    return Console(stderr=True).status(f"{words} ...")


def public_url(configured: Settings) -> str:
    """Give the address that Twilio is to call: the settings', else that of the gateway that runs here."""
    found = running.find(configured.data_dir)
    return configured.public_url or (found.public_url if found else "")


def meant(written: str) -> tuple[tuple[str, ...], str]:
    """Read how people name a channel: its types, none for whatever the number takes, and the address at Twilio."""
    kind, colon, rest = written.strip().partition(":")
    kind = kind.lower()
    if colon and kind not in FIRST:
        raise click.UsageError(f"{written[:40]!r} is of no type there is. Write {', '.join(FIRST)} before the number.")
    if not rest and colon:
        raise click.UsageError(f"{written[:40]!r} names no number. Write one as sms:+15017122661.")
    if colon and kind in (SMS, VOICE):
        return (kind,), address(rest).identity
    found = address(written.strip())
    if found.prefix == WHATSAPP or written.strip().startswith("XE"):
        return (WHATSAPP,), f"{WHATSAPP}:{found.number}" if found.number else written.strip()
    return (), found.number or written.strip()


def notes(number: Number, services: Iterable[MessagingService], should: Mapping[str, str]) -> list[str]:
    """Say what keeps messages from coming here although a number's addresses are right."""
    urls = [should[FIRST[kind]] for kind in (SMS, WHATSAPP) if FIRST[kind] in should]
    said = [words for url in urls for one in services if (words := one.overrides(number, url))]
    if number.is_sender and number.status and not number.status.startswith("ONLINE"):
        said.append(f"{number.address} is {number.status} at Twilio: it takes no messages until it is ONLINE.")
    return said


def as_json(found: Sequence[Difference]) -> list[dict[str, Any]]:
    """Give differences for programs; secrets in addresses are hidden."""
    return [
        {
            "channel": one.channel,
            "field": one.field,
            "actual": shown(one.actual),
            "expected": shown(one.expected),
            "why": one.why,
            "breaks": one.breaks,
        }
        for one in found
    ]


def rows(
    configured: Settings, ours: Iterable[Mapping[str, Any]], account: Account | None, url: str
) -> list[dict[str, Any]]:
    """Put our channels and the account's numbers side by side, by number; `account` is None where nobody was asked."""
    # Adopted collections may hold the number with its `whatsapp:` prefix.
    known = {
        (str(row.get("communication_type")), address(str(row.get("phone_number") or row["id"])).identity): row
        for row in ours
    }
    theirs = {
        (kind, address(one.address).identity): one
        for one in (account.numbers if account else ())
        for kind in one.channels
    }
    keys = sorted({*known, *theirs}, key=lambda key: (key[1], list(FIRST).index(key[0]) if key[0] in FIRST else 9))
    return [
        {
            **_ours(configured, kind, identity, known.get((kind, identity))),
            **_theirs(kind, theirs.get((kind, identity)), account, url),
        }
        for kind, identity in keys
    ]


def _ours(configured: Settings, kind: str, identity: str, row: Mapping[str, Any] | None) -> dict[str, Any]:
    kept = row or {}
    has_own = "idle_seconds" in kept and not kept.get("problem")
    threshold = idle_ms(kept["idle_seconds"]) if has_own else configured.idle_ms_for(kind)
    return {
        "id": kept.get("id") or f"{kind}:{identity}",
        "name": kept.get("name") or identity,
        "phone_number": identity,
        "communication_type": kind,
        "known": row is not None,
        "threshold_seconds": None if threshold is None else seconds(threshold),
        "own_threshold": has_own,
        "responder": kept.get("responder") or configured.reply.responder,
        "own_responder": bool(kept.get("responder")),
        "problem": kept.get("problem"),
        "last_webhook_at": kept.get("last_webhook_at"),
    }


def _theirs(kind: str, number: Number | None, account: Account | None, url: str) -> dict[str, Any]:
    if number is None:
        goes_to = "not in the account" if account and kind in FIRST else ""
        return {"number_sid": None, "goes_to": goes_to, "points_here": None, "differences": [], "notes": []}
    should = {} if unreachable(url) else expected(url, {kind})
    found = differences(number.wiring, should)
    said = notes(number, account.services if account else (), should)
    goes_to = _destination(kind, number, bool(said))
    decisive = {FIRST[kind], method_of(FIRST[kind])}
    elsewhere = (
        bool(said) or goes_to in (TRUNK, APPLICATION) or any(one.field in decisive for one in found if one.breaks)
    )
    return {
        "number_sid": number.sid,
        "goes_to": goes_to,
        "points_here": not elsewhere if should else None,
        "differences": as_json(found),
        "notes": said,
    }


def _destination(kind: str, number: Number, overridden: bool) -> str:
    """Say where messages or calls of one type go."""
    wiring = number.wiring
    application = wiring.get(f"{kind}_application_sid")
    trunk = wiring.get("trunk_sid") if kind == VOICE else ""
    if trunk or application:
        return TRUNK if trunk else APPLICATION
    if overridden:
        return "see below"
    return urlsplit(wiring.get(FIRST[kind], "")).hostname or "nobody"


def show(found: Sequence[Mapping[str, Any]]) -> None:
    """Print the list."""
    if not found:
        click.echo("There are no channels yet: the first message makes one, or `gateway channels add +15017122661`.")
        return
    table = Table(box=box.SIMPLE)
    for column, fixed in (("channel", True), ("threshold", False), ("responder", False), ("Twilio calls", False)):
        table.add_column(column, no_wrap=fixed, overflow="fold")
    for row in found:
        table.add_row(_label(row), _threshold(row), _own(row["responder"], row["own_responder"]), _calls(row))
    # Names are what somebody wrote: no markup.
    Console(markup=False).print(table)
    said = dict.fromkeys(note for row in found for note in row["notes"])
    for words in [*(f"{row['id']}: {row['problem']}" for row in found if row["problem"]), *said]:
        Console(highlight=False, markup=False).print(words)
    if any(row["own_threshold"] or row["own_responder"] for row in found):
        click.echo("* is set for this channel; all else is inherited.")


def _label(row: Mapping[str, Any]) -> str:
    named = row["name"] not in (row["phone_number"], row["id"])
    return f"{row['id']}\n{row['name']}" if named else str(row["id"])


def _own(words: str, is_own: bool) -> str:
    return f"{words} *" if is_own else words


def _threshold(row: Mapping[str, Any]) -> str:
    value = row["threshold_seconds"]
    return _own("never" if value is None else spoken(round(value * 1000)), row["own_threshold"])


def _calls(row: Mapping[str, Any]) -> str:
    if not row["points_here"]:
        return str(row["goes_to"])
    left = len(row["differences"])
    return f"this gateway, {left} to improve" if left else "this gateway"
