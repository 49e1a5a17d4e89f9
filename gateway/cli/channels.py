"""`gateway channels list|add|set|point|restore`: our numbers, what holds on each, and what Twilio calls for it."""

import json
from collections.abc import Sequence
from typing import Any

import click

from gateway.cli import changing, numbers, pointing, restoring, serving
from gateway.clients.twilio_account import TwilioAccount
from gateway.conversation import channels as use
from gateway.conversation.runtime import Runtime
from gateway.core.accounts import AccountError
from gateway.core.messages import SMS, VOICE, WHATSAPP
from gateway.core.participant import address
from gateway.store import channels as stored
from gateway.store.connection import deadline

INHERIT = "inherit"

# What `use.CannotSet` names, and by which option it was given; all else is a --setting, but for a channel that is gone.
_OPTIONS, _CHANNEL = {"threshold": "--threshold", "responder": "--responder"}, "channel"

_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


@click.group()
def channels() -> None:
    """Look after our numbers: what holds on each, and what Twilio calls for it. See docs/channels.md.

    CHANNEL is sms:+15017122661, voice:+15017122661 or whatsapp:+15017122661; the number alone is its SMS and voice.

    \b
    Examples:
      gateway channels list
      gateway channels add +15017122661
      gateway channels set sms:+15017122661 --threshold 900 --responder llm
      gateway channels point +15017122661 whatsapp:+15017122661
      gateway channels restore
    """


@channels.command("list")
@_as_json
def list_channels(as_json: bool) -> None:
    """List our channels beside the account's numbers.

    Exits with 1 where Twilio could not be asked; what is known here is listed all the same.

    \b
    Examples:  gateway channels list
               gateway channels list --json | jq '.[] | select(.points_here == false)'
    """
    runtime = serving.build_quietly()
    account, failure = TwilioAccount(runtime.settings), None
    found: numbers.Account | None = None
    if account.accounts:
        try:
            with numbers.waiting("Asking Twilio"):
                found = numbers.look(account)
        except AccountError as error:
            failure = error
    with deadline(10):
        ours = stored.listed()
    rows = numbers.rows(runtime.settings, ours, found, numbers.public_url(runtime.settings))
    click.echo(json.dumps(rows, indent=2, ensure_ascii=False, default=str)) if as_json else numbers.show(rows)
    if failure:
        raise failure
    if not account.accounts and not as_json:
        click.echo("Twilio was not asked: TWILIO_ACCOUNT_SID is not set.", err=True)


@channels.command()
@click.argument("channels", metavar="CHANNEL...", nargs=-1, required=True)
@click.option("--unchecked", is_flag=True, help="Do not ask Twilio whether it is ours: a short code, or offline.")
@_as_json
def add(channels: tuple[str, ...], unchecked: bool, as_json: bool) -> None:
    """Add channels before their first message.

    So that they can be set. A channel that nobody added is made by its first message; one that is there already is
    left as it is.

    \b
    Examples:  gateway channels add +15017122661
               gateway channels add whatsapp:+15017122661
               gateway channels add sms:12345 --unchecked
    """
    runtime = serving.build_quietly()
    account = TwilioAccount(runtime.settings)
    told = []
    for written in channels:
        for kind, line, account_sid in _addressed(account, written, unchecked):
            channel_id, is_new = use.add(runtime, kind, address(line), account_sid, changing.who())
            told.append({"id": channel_id, "added": is_new})
    if as_json:
        click.echo(json.dumps(told, indent=2))
        return
    for one in told:
        click.echo(f"{one['id']} {'is added' if one['added'] else 'was there already'}.")


def _addressed(account: TwilioAccount, written: str, unchecked: bool) -> list[tuple[str, str, str | None]]:
    """Give type, address and account of each channel that somebody means."""
    kinds, line = numbers.meant(written)
    if unchecked:
        if not address(line).number:
            raise click.UsageError(
                f"{line[:40]!r} is no number. Write one as +15017122661, or a short code as sms:12345."
            )
        own = account.accounts[0] if account.accounts else None
        if line.isdecimal() and VOICE in kinds:
            raise click.UsageError(f"{line} is a short code, which takes no calls. Add sms:{line}.")
        return [(kind, line, own) for kind in kinds or ((SMS,) if line.isdecimal() else (SMS, VOICE))]
    with numbers.waiting("Asking Twilio"):
        number = account.find(line)
    taken = [kind for kind in (SMS, VOICE, WHATSAPP) if kind in number.channels and kind in (kinds or number.channels)]
    if not taken:
        takes = ", ".join(sorted(number.channels)) or "neither texts nor calls"
        raise click.ClickException(f"{line} takes {takes}, not {', '.join(kinds)}.")
    return [(kind, number.address, number.account_sid) for kind in taken]


@channels.command("set")
@click.argument("channels", metavar="CHANNEL...", nargs=-1, required=True)
@click.option("--threshold", help="When a new session begins: seconds, `never`, or `inherit` from the settings.")
@click.option("--responder", help="Who answers: a responder's name, or `inherit`.")
@click.option("--name", help="What the channel is called.")
@click.option("--setting", "settings", multiple=True, metavar="NAME=VALUE",
              help="Another of its settings, e.g. mode=dial; NAME= inherits. More than once.")  # fmt: skip
@_as_json
def set_channels(
    channels: tuple[str, ...],
    threshold: str | None,
    responder: str | None,
    name: str | None,
    settings: tuple[str, ...],
    as_json: bool,
) -> None:
    """Set threshold, responder and name of channels.

    And whatever else a channel may have of its own. It holds everywhere within five seconds.

    \b
    Examples:  gateway channels set sms:+15017122661 --threshold 900 --responder llm
               gateway channels set +15017122661 whatsapp:+15017122661 --responder inherit
               gateway channels set voice:+15017122661 --setting mode=dial --setting dial_to=+15558675310
    """
    given: dict[str, Any] = {"name": name} if name else {}
    if threshold is not None:
        given["idle_seconds"] = None if threshold == INHERIT else threshold
    if responder is not None:
        given["responder"] = None if responder == INHERIT else responder
    if settings:
        given["settings"] = dict(_pair(one) for one in settings)
    if not given:
        raise click.UsageError("Say what to set: --threshold, --responder, --name or --setting.")
    runtime = serving.build_quietly()
    rows = [row for written in channels for row in _known(written)]
    told = [_set(runtime, row, given) for row in rows]
    if as_json:
        click.echo(json.dumps(told, indent=2))
        return
    for one in told:
        changed = f"changed {', '.join(one['changed'])}" if one["changed"] else "nothing was changed"
        click.echo(f"{one['id']}: {changed}.")


def _pair(written: str) -> tuple[str, str | None]:
    name, equals, value = written.partition("=")
    if not equals:
        raise click.UsageError(f"--setting {written[:40]}: write NAME=VALUE, e.g. mode=dial.")
    return name.strip(), value.strip() or None


def _known(written: str) -> Sequence[dict[str, Any]]:
    """Find the channels that somebody means among ours."""
    with deadline(10):
        listed = stored.listed()
    if by_id := [row for row in listed if row["id"] == written.strip()]:
        return by_id
    kinds, line = numbers.meant(written)
    identities = {address(line).identity, line}
    found = [
        row
        for row in listed
        if row.get("phone_number") in identities and row.get("communication_type") in (kinds or (SMS, VOICE))
    ]
    if not found:
        raise click.ClickException(
            f"There is no channel {written.strip()[:60]}. `gateway channels list` shows them, `gateway channels add` "
            "makes one before its first message."
        )
    return found


def _set(runtime: Runtime, row: dict[str, Any], given: dict[str, Any]) -> dict[str, Any]:
    try:
        changed = use.configure(runtime, row["id"], use.amended(row, given), changing.who())
    except use.CannotSet as error:
        if error.name == _CHANNEL:
            raise
        raise click.BadParameter(str(error), param_hint=_OPTIONS.get(error.name, "--setting")) from None
    return {"id": row["id"], "changed": list(changed)}


channels.add_command(pointing.point)
channels.add_command(restoring.restore)
