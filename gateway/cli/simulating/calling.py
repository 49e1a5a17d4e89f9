"""`gateway simulate voice`: one call, from the greeting to the hang-up."""

import time
from typing import Any

import click

from gateway.cli import running
from gateway.cli.simulating.lines import find_line, options, remember, show, to_option
from gateway.conversation.phoning import OUTCOMES, Phone, SimulationFailed
from gateway.conversation.simulation.forms import OUR_NUMBER, call_form
from gateway.core.scenarios import KEYPAD
from gateway.store import outbound
from gateway.store.connection import deadline

_NOT_PUT_THROUGH = (
    "Nobody's telephone rings: calls to {} are not put through. The gateway does that with GATEWAY_VOICE__MODE=dial "
    "and GATEWAY_VOICE__DIAL_TO=+15558675310 (the number that is to ring)."
)
# A worker texts whoever called in vain; without a word after so many seconds there is none.
_TEXTED_WITHIN = 10


def _keys(_context: click.Context, _option: click.Parameter, pressed: tuple[str, ...]) -> tuple[str, ...]:
    for digits in pressed:
        if not digits or not KEYPAD.issuperset(digits):
            raise click.BadParameter(f"{digits!r} cannot be keyed in. Use digits, * and #.")
    return pressed


@click.command()
@to_option(OUR_NUMBER)
@click.option("--say", "--body", "said", multiple=True, help="What the caller says, one turn each.")
@click.option(
    "--press", "pressed", multiple=True, callback=_keys, help="Digits the caller keys in, after what was said."
)
@click.option("--dial", "outcome", type=click.Choice(OUTCOMES), help="What becomes of a call that is put through.")
@click.option("--leave", "message", help="The message the caller leaves, where the call is recorded or put through.")
@click.option("--hold", is_flag=True, help="Do not hang up: the call stays on.")
@options
def voice(sender: str, to: str, said: tuple[str, ...], pressed: tuple[str, ...], outcome: str | None,
          message: str | None, hold: bool, at: str | None, gap: float | None, sid: str | None, url: str | None,
          as_json: bool) -> None:  # fmt: skip
    """Make one call, from the greeting to the hang-up.

    There is a turn for each --say, and then for each --press.

    Where calls are put through (GATEWAY_VOICE__MODE=dial, GATEWAY_VOICE__DIAL_TO), --dial says whether anybody answers,
    and the text to a caller whom nobody answered is shown.

    \b
    Examples:  gateway simulate voice --say "I would like a table" --press 2
               gateway simulate voice --leave "Please call me back"
               gateway simulate voice --dial no-answer
    """
    who = f"voice {sender} {to}"
    line = find_line(url, at, gap, who)
    phone = Phone(line.post, line.public_url, call_form(line.configured, sender, to, sid=sid))
    turns = [{"SpeechResult": words, "Confidence": "0.92"} for words in said]
    turns += [{"Digits": digits} for digits in pressed]
    rang = False
    try:
        phone.talk(turns)
        rang = bool(outcome) and phone.put_through(outcome or "")
        if outcome and not rang:
            raise SimulationFailed(_NOT_PUT_THROUGH.format(to))
        if message and not phone.leave(message):
            raise SimulationFailed(f"Nothing asks for a message: calls to {to} are no voicemail. See docs/voice.md.")
    finally:
        # Whatever went wrong, a call that is never over would keep its session open for hours.
        if line.told and not hold:
            phone.hang_up(10 * (1 + len(turns)))
        remember(line, who)
        if url is None and rang and outcome != "completed":
            line.told += _text_back(phone.form["CallSid"])
        show(line, as_json)


def _text_back(call_sid: str) -> list[dict[str, Any]]:
    """Wait for what a caller is texted whom nobody answered; a step as those of the call, or none."""
    if not running.connect_if_known(None):
        return []
    until = time.monotonic() + _TEXTED_WITHIN
    while time.monotonic() < until:
        with deadline():
            if sent := outbound.get(f"text-back:{call_sid}"):
                return [{"path": "text-back", "twiml": f"Texted to the caller: {sent.text}", "decision": None}]
        time.sleep(0.2)
    return []
