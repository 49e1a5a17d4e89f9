"""`gateway simulate`: be the person at the other end, with correctly signed webhooks."""

import contextlib
import json
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import click

from gateway import settings
from gateway.channels.chat import DEFAULT_SITE, ChatUser
from gateway.cli import running
from gateway.conversation.phoning import OUTCOMES, Phone, SimulationFailed
from gateway.conversation.simulation import (
    OUR_NUMBER,
    OUR_WHATSAPP,
    PERSON,
    Line,
    call_form,
    text_form,
    whatsapp_form,
)
from gateway.core.explain import explain
from gateway.core.times import floor_ms, parse_moment
from gateway.settings import Settings
from gateway.store import outbound
from gateway.store.connection import deadline

_NOT_PUT_THROUGH = (
    "Nobody's telephone rings: calls to {} are not put through. GATEWAY_VOICE__MODE=dial and __DIAL_TO do that."
)
# A worker texts whoever called in vain; without a word after so many seconds there is none.
_TEXTED_WITHIN = 10


def _line(url: str | None, at: str | None, gap: float | None, who: str) -> Line:
    configured = settings.load()
    if not configured.twilio_auth_token:
        raise click.ClickException("TWILIO_AUTH_TOKEN is not set, so nothing can be signed. Set it.")
    found = running.find(configured.data_dir)
    local = found.url if found else f"http://127.0.0.1:{configured.port}"
    public = url or configured.public_url or (found.public_url if found else "") or local
    return Line(configured, (url or local).rstrip("/"), public.rstrip("/"), _moment(configured, at, gap, who))


def _moment(configured: Settings, at: str | None, gap: float | None, who: str) -> datetime | None:
    if at is not None and gap is not None:
        raise click.UsageError("Give --at or --gap, not both.")
    if at is not None:
        try:
            return parse_moment(at)
        except ValueError as error:
            raise click.UsageError(f"--at: {error}") from None
    if gap is not None:
        return _last_times(configured).get(who, floor_ms(datetime.now(UTC))) + timedelta(seconds=gap)
    return None


def _times_path(configured: Settings) -> Path:
    return configured.data_dir / "simulated.json"


def _last_times(configured: Settings) -> dict[str, datetime]:
    with contextlib.suppress(OSError, ValueError):
        times = json.loads(_times_path(configured).read_text())
        return {who: parse_moment(moment) for who, moment in times.items()}
    return {}


def _remember(line: Line, who: str) -> None:
    """Keep when a simulated person spoke last, which is what the next --gap counts from."""
    decided = [step["decision"] for step in line.told if step["decision"] and step["decision"]["received_at"]]
    if not decided:
        return
    times = _last_times(line.configured) | {who: parse_moment(decided[-1]["received_at"])}
    line.configured.data_dir.mkdir(parents=True, exist_ok=True)
    _times_path(line.configured).write_text(json.dumps({name: time.isoformat() for name, time in times.items()}))


def _show(line: Line, as_json: bool) -> None:
    if as_json:
        click.echo(json.dumps(line.told, indent=2, ensure_ascii=False))
        return
    for step in line.told:
        click.secho(step["twiml"] or "(no content)", fg="cyan")
        if step["decision"] and step["decision"]["answer"] == "spooled":
            click.echo("  MongoDB is away: kept in the spool, and filed when it is back (see `gateway spool status`)")
        elif step["decision"]:
            again = " (redelivery: nothing stored)" if step["decision"]["duplicate"] else ""
            click.echo(f"  {explain(step['decision']['decision'])}{again}")
            click.echo(f"  session {step['decision']['session_id']}, message {step['decision']['message_id']}")
            if step["decision"]["answer"] == "queued":
                click.echo(f"  answered by the worker: {line.url}/admin/sessions/{step['decision']['session_id']}")


def _options(function: Any) -> Any:
    """Add what every simulated channel takes."""
    for option in reversed(
        [
            click.option("--from", "sender", default=PERSON, show_default=True, help="Who texts or calls."),
            click.option("--at", help="Received at this time, e.g. 2026-03-01T10:00:00Z (development only)."),
            click.option("--gap", type=float, help="Received this many seconds after the one before."),
            click.option("--sid", help="Use this MessageSid or CallSid; the same one twice is a redelivery."),
            click.option("--url", help="Base URL of another gateway than the one of this folder."),
            click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text."),
        ]
    ):
        function = option(function)
    return function


@click.group()
def simulate() -> None:
    """Text, WhatsApp, phone or chat with the gateway without a Twilio account.

    \b
    Examples:
      gateway simulate sms --from +15558675310 --body Hello
      gateway simulate sms --body "Still there?" --gap 120
      gateway simulate voice --say "I would like a table" --say "For two"
      gateway simulate voice --leave "Please call me back"
      gateway simulate voice --dial no-answer
      gateway simulate chat --from alice --body "Are you open?"
    """


def _message(line: Line, path: str, form: dict[str, str], who: str, as_json: bool) -> None:
    line.post(path, form)
    _remember(line, who)
    _show(line, as_json)


@simulate.command()
@click.option("--to", default=OUR_NUMBER, show_default=True, help="Our number.")
@click.option("--body", default="Hello", show_default=True)
@_options
def sms(sender: str, to: str, body: str, at: str | None, gap: float | None, sid: str | None,
        url: str | None, as_json: bool) -> None:  # fmt: skip
    """Send one text."""
    who = f"sms {sender} {to}"
    line = _line(url, at, gap, who)
    _message(line, "/webhooks/sms", text_form(line.configured, sender, to, body, sid=sid), who, as_json)


@simulate.command()
@click.option("--to", default=OUR_WHATSAPP, show_default=True, help="Our WhatsApp sender.")
@click.option("--body", default="Hello", show_default=True)
@click.option("--name", default="Ada Example", show_default=True, help="The sender's profile name.")
@_options
def whatsapp(sender: str, to: str, body: str, name: str, at: str | None, gap: float | None, sid: str | None,
             url: str | None, as_json: bool) -> None:  # fmt: skip
    """Send one WhatsApp message; --from may also be a user id such as US.13491208655302741918."""
    who = f"whatsapp {sender} {to}"
    line = _line(url, at, gap, who)
    form = whatsapp_form(line.configured, sender, to, body, name=name, sid=sid)
    _message(line, "/webhooks/whatsapp", form, who, as_json)


@simulate.command()
@click.option("--from", "user_id", default="alice", show_default=True, help="The site's id of its user.")
@click.option("--to", "site", default=DEFAULT_SITE, show_default=True, help="The chat site.")
@click.option("--body", default="Hello", show_default=True)
@click.option("--email", default="", help="An address that is proved to be theirs.")
@click.option("--name", help="How the user is called.")
@click.option("--at", help="Received at this time, e.g. 2026-03-01T10:00:00Z.")
@click.option("--gap", type=float, help="Received this many seconds after the one before.")
@click.option("--id", "message_id", help="The page's id of the message; the same one twice is the same message.")
@click.option("--url", help="Base URL of another gateway than the one of this folder.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
def chat(user_id: str, site: str, body: str, email: str, name: str | None, at: str | None, gap: float | None,
         message_id: str | None, url: str | None, as_json: bool) -> None:  # fmt: skip
    """Say something on a website, and wait for the answer (a gateway in development only)."""
    who = f"chat {user_id} {site}"
    line = _line(url, at, gap, who)
    line.chat(ChatUser(site, user_id, email.lower(), name=name), body, message_id=message_id)
    _remember(line, who)
    _show(line, as_json)


@simulate.command()
@click.option("--to", default=OUR_NUMBER, show_default=True, help="Our number.")
@click.option("--say", "--body", "said", multiple=True, help="What the caller says, one turn each.")
@click.option("--press", "pressed", multiple=True, help="Digits the caller keys in, after what was said.")
@click.option("--dial", "outcome", type=click.Choice(OUTCOMES), help="What becomes of a call that is put through.")
@click.option("--leave", "message", help="The message the caller leaves, where the call is recorded or put through.")
@click.option("--hold", is_flag=True, help="Do not hang up: the call stays on.")
@_options
def voice(sender: str, to: str, said: tuple[str, ...], pressed: tuple[str, ...], outcome: str | None,
          message: str | None, hold: bool, at: str | None, gap: float | None, sid: str | None, url: str | None,
          as_json: bool) -> None:  # fmt: skip
    """Make one call: the greeting, a turn for each --say and --press, and the hang-up.

    Where calls are put through, --dial says whether anybody answers, and the text to a caller whom nobody answered is
    shown.
    """
    who = f"voice {sender} {to}"
    line = _line(url, at, gap, who)
    phone = Phone(line.post, line.public_url, call_form(line.configured, sender, to, sid=sid))
    turns = [{"SpeechResult": words, "Confidence": "0.92"} for words in said]
    turns += [{"Digits": digits} for digits in pressed]
    try:
        phone.talk(turns)
        if outcome and not phone.put_through(outcome):
            raise SimulationFailed(_NOT_PUT_THROUGH.format(to))
        if message and not phone.leave(message):
            raise SimulationFailed(f"Nothing asks for a message: calls to {to} are no voicemail. See docs/voice.md.")
    finally:
        # Whatever went wrong, a call that is never over would keep its session open for hours.
        if line.told and not hold:
            phone.hang_up(10 * (1 + len(turns)))
        _remember(line, who)
        if url is None and outcome not in (None, "completed"):
            line.told += _text_back(phone.form["CallSid"])
        _show(line, as_json)


def _text_back(call_sid: str) -> list[dict[str, Any]]:
    """Wait for what a caller is texted whom nobody answered; a step as those of the call, or none."""
    if not running.connect().mongodb_uri:
        return []
    until = time.monotonic() + _TEXTED_WITHIN
    while time.monotonic() < until:
        with deadline():
            if sent := outbound.get(f"text-back:{call_sid}"):
                return [{"path": "text-back", "twiml": f"Texted to the caller: {sent.text}", "decision": None}]
        time.sleep(0.2)
    return []
