"""`gateway simulate sms` and `whatsapp`: one message, with all that may come with it."""

import click

from gateway.cli.simulating.lines import find_line, options, remember, show, to_option
from gateway.conversation.phoning import new_sid
from gateway.conversation.simulation import files
from gateway.conversation.simulation.forms import (
    OUR_NUMBER,
    OUR_WHATSAPP,
    Place,
    Said,
    text_form,
    whatsapp_form,
)
from gateway.conversation.simulation.line import Line

_media = click.option(
    "--media", "attached", multiple=True, metavar="FILE-OR-URL", help="A file that comes with it; may be repeated."
)
_body = click.option("--body", help="What it says; Hello unless something else comes.")


def _send(line: Line, path: str, form: dict[str, str], who: str, as_json: bool) -> None:
    line.post(path, form)
    remember(line, who)
    show(line, as_json)


def _said(line: Line, body: str | None, attached: tuple[str, ...], sid: str | None) -> tuple[Said, str]:
    """Give what is said, and the SID that its files are named by."""
    sid = sid or new_sid("MM" if attached else "SM")
    media = tuple(files.attach(line.configured, one, sid) for one in attached)
    return Said("Hello" if body is None and not media else body or "", media), sid


@click.command()
@to_option(OUR_NUMBER)
@_body
@_media
@options
def sms(sender: str, to: str, body: str | None, attached: tuple[str, ...], at: str | None, gap: float | None,
        sid: str | None, url: str | None, as_json: bool) -> None:  # fmt: skip
    """Send one text, or with --media an MMS.

    \b
    Examples:  gateway simulate sms --body "Are you open?"
               gateway simulate sms --media photo.jpg --body "It looks like this"
    """
    who = f"sms {sender} {to}"
    line = find_line(url, at, gap, who)
    said, sid = _said(line, body, attached, sid)
    _send(line, "/webhooks/sms", text_form(line.configured, sender, to, said, sid=sid), who, as_json)


@click.command()
@to_option(OUR_WHATSAPP, "Our WhatsApp sender.")
@_body
@_media
@click.option("--button", help="Press the quick reply button of this text.")
@click.option("--payload", help="What the button stands for; its text unless given.")
@click.option("--choose", help="Choose the entry of this title from a list.")
@click.option("--choice-id", help="The id of the entry; its title unless given.")
@click.option("--location", metavar="LATITUDE,LONGITUDE", help="Share a place, e.g. 34.746481,-92.289595.")
@click.option("--address", default="", help="The address of the place.")
@click.option("--label", default="", help="The name of the place.")
@click.option("--reply-to", default="", metavar="SID", help="The SID of the message of ours that this answers.")
@click.option("--name", default="Ada Example", show_default=True, help="The sender's profile name.")
@options
def whatsapp(sender: str, to: str, body: str | None, attached: tuple[str, ...], button: str | None,
             payload: str | None, choose: str | None, choice_id: str | None, location: str | None, address: str,
             label: str, reply_to: str, name: str, at: str | None, gap: float | None, sid: str | None,
             url: str | None, as_json: bool) -> None:  # fmt: skip
    """Send one WhatsApp message.

    --from may also be a user id, such as US.13491208655302741918.

    \b
    Examples:  gateway simulate whatsapp --body "A table for two?"
               gateway simulate whatsapp --media voice.ogg
               gateway simulate whatsapp --button Confirm --payload confirm_42
               gateway simulate whatsapp --choose Haircut --choice-id svc_haircut
               gateway simulate whatsapp --location 34.746481,-92.289595 --label "Example Plaza"
    """
    _check_one_of(
        {"--button": button, "--choose": choose, "--location": location, "--body or --media": body or attached},
        {"--payload": (payload, "--button", button), "--choice-id": (choice_id, "--choose", choose),
         "--address": (address, "--location", location), "--label": (label, "--location", location)},
    )  # fmt: skip
    who = f"whatsapp {sender} {to}"
    line = find_line(url, at, gap, who)
    said, sid = _said(line, body, attached, sid)
    rich = Said(
        said.body,
        said.media,
        button=(button, payload or button) if button else None,
        choice=(choose, choice_id or choose) if choose else None,
        place=_place(location, address, label) if location else None,
        answers=reply_to,
    )
    form = whatsapp_form(line.configured, sender, to, rich, name=name, sid=sid)
    _send(line, "/webhooks/whatsapp", form, who, as_json)


def _check_one_of(kinds: dict[str, object], parts: dict[str, tuple[object, str, object]]) -> None:
    """Refuse what no message of WhatsApp's is, rather than drop a part of it."""
    given = [option for option, value in kinds.items() if value]
    if len(given) > 1:
        raise click.UsageError(f"A message is one of these: give {' or '.join(given)}, not both.")
    for option, (value, owner, owned) in parts.items():
        if value and not owned:
            raise click.UsageError(f"{option} belongs to {owner}: give that too.")


def _place(location: str, address: str, label: str) -> Place:
    latitude, _, longitude = (part.strip() for part in location.partition(","))
    try:
        within = abs(float(latitude)) <= 90 and abs(float(longitude)) <= 180
    except ValueError:
        within = False
    if not within:
        raise click.UsageError(f"--location {location!r} is no place. Write it as 34.746481,-92.289595.")
    return Place(latitude, longitude, address, label)
