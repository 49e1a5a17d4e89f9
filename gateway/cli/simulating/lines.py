"""What all simulated people share: whom they reach, when they speak, and how what they were told is shown."""

import contextlib
import json
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, TypeVar

import click

from gateway import settings
from gateway.cli import running
from gateway.cli.entries import printable_lines
from gateway.conversation.simulation.forms import PERSON
from gateway.conversation.simulation.line import Line, signing_token, stored_answer
from gateway.core.explain import explain, unanswered
from gateway.core.participant import is_address
from gateway.core.replies import NOBODY
from gateway.core.times import floor_ms, parse_moment
from gateway.settings import Settings
from gateway.store.answers import NONE, QUEUED

_Command = TypeVar("_Command", bound=Callable[..., Any])

# Somebody whom --gap took into the future writes on there, not in the past.
_A_MOMENT = timedelta(seconds=1)

url_option = click.option("--url", help="Base URL of another gateway than the one of this folder.")
json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
at_option = click.option("--at", help="Received at this time, e.g. 2026-03-01T10:00:00Z (development only).")
gap_option = click.option(
    "--gap", type=float, help="Received this many seconds after the one before. What follows goes on from there."
)


def _addressed(_context: click.Context, _option: click.Parameter, value: str) -> str:
    if not is_address(value):
        raise click.BadParameter(f"{value!r} is no number. Write one as {PERSON}.")
    return value


def to_option(ours: str, says: str = "Our number.") -> Callable[[_Command], _Command]:
    """Give the option that says which of our numbers is texted or called."""
    return click.option("--to", default=ours, show_default=True, callback=_addressed, help=says)


def options(function: Any) -> Any:
    """Add what every simulated message or call takes."""
    for option in (
        json_option,
        url_option,
        click.option("--sid", help="Use this MessageSid or CallSid; the same one twice is a redelivery."),
        gap_option,
        at_option,
        click.option(
            "--from", "sender", default=PERSON, show_default=True, callback=_addressed, help="Who texts or calls."
        ),
    ):
        function = option(function)
    return function


def find_line(url: str | None, at: str | None = None, gap: float | None = None, who: str = "") -> Line:
    """Reach the gateway of this folder, or the one at a URL; ClickException where nothing can be signed."""
    configured = settings.load()
    signing_token(configured)
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
    times, now = _last_times(configured), floor_ms(datetime.now(UTC))
    if gap is not None:
        return times.get(who, now) + timedelta(seconds=gap)
    return _going_on(times, who, now)


def _going_on(times: dict[str, datetime], who: str, now: datetime) -> datetime | None:
    """Give the moment after the last of a person, by whichever channel, where that is in the future; else None."""
    last = max((time for other, time in times.items() if _person(other) == _person(who)), default=now)
    if last <= now:
        return None
    at = last + _A_MOMENT
    click.echo(
        f"Received at {at:%Y-%m-%d %H:%M:%S} UTC: it goes on from the one before. --at sets another time.", err=True
    )
    return at


def _person(who: str) -> str:
    return who.partition(" ")[2].rpartition(" ")[0]


def _times_path(configured: Settings) -> Path:
    return configured.data_dir / "simulated.json"


def _last_times(configured: Settings) -> dict[str, datetime]:
    with contextlib.suppress(OSError, ValueError):
        times = json.loads(_times_path(configured).read_text())
        return {who: parse_moment(moment) for who, moment in times.items()}
    return {}


def remember(line: Line, who: str) -> None:
    """Keep when a simulated person spoke last, which is what the next --gap counts from."""
    decided = [step["decision"] for step in line.told if step["decision"] and step["decision"]["received_at"]]
    if not decided:
        return
    times = _last_times(line.configured) | {who: parse_moment(decided[-1]["received_at"])}
    line.configured.data_dir.mkdir(parents=True, exist_ok=True)
    _times_path(line.configured).write_text(json.dumps({name: time.isoformat() for name, time in times.items()}))


def show(line: Line, as_json: bool) -> None:
    """Print what was answered, and the decision in words."""
    if as_json:
        click.echo(json.dumps(line.told, indent=2, ensure_ascii=False))
        return
    for step in line.told:
        click.secho(printable_lines(step["twiml"]) or "(empty answer: nothing to say)", fg="cyan")
        if step["decision"] and step["decision"]["answer"] == "spooled":
            click.echo("  MongoDB is away: kept in the spool, and filed when it is back (see `gateway spool status`)")
        elif step["decision"]:
            again = " (redelivery: nothing stored)" if step["decision"]["duplicate"] else ""
            click.echo(f"  {explain(step['decision']['decision'])}{again}")
            click.echo(f"  session {step['decision']['session_id']}, message {step['decision']['message_id']}")
            _show_silence(line, step["decision"])


def _show_silence(line: Line, decision: dict[str, Any]) -> None:
    """Say why nothing was said, where that is known, and where what the worker says is to be seen."""
    if decision["answer"] not in (NONE, QUEUED):
        return
    stored = stored_answer(decision) if running.connect_if_known(line.url) else {}
    if words := unanswered(stored):
        click.echo(f"  {words}")
    elif stored.get("state", decision["answer"]) == QUEUED:
        click.echo(f"  left to the worker: {line.url}/admin/sessions/{decision['session_id']}")
    elif stored and line.configured.reply.responder == NOBODY:
        click.echo("  nobody is to answer: GATEWAY_REPLY__RESPONDER is none")
