"""`gateway doctor`: everything a conversation needs looked at, each with what would mend it."""

import json
import logging
import time
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any

import click
import structlog
from rich.console import Console

from gateway import settings
from gateway.cli import findings, running
from gateway.cli.findings import Found
from gateway.clients.twilio_account import TwilioAccount
from gateway.conversation.doctor.examine import Examined, examine, unread
from gateway.conversation.doctor.findings import Mend, Patient, State
from gateway.conversation.doctor.table import CHECKS
from gateway.conversation.runtime import Clock
from gateway.core.errors import ConfigError, GatewayError
from gateway.settings import Settings

# For one request; they go one after the other, and all of them are to end in time.
TWILIO_SECONDS = 5.0


@click.command()
@click.option("--fix", "fix", is_flag=True, help="Mend what is safe to mend, each after asking.")
@click.option("--yes", is_flag=True, help="With --fix: do not ask.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
def doctor(fix: bool, yes: bool, as_json: bool) -> None:
    """Look at everything a conversation needs, and say what would mend what is not right.

    It changes nothing without --fix, and ends within about 15 seconds whatever is down. Exit code 1 where something is
    wrong, 0 where nothing is; warnings change nothing about that. See docs/doctor.md.

    \b
    Examples:  gateway doctor
               gateway doctor --fix
               gateway doctor --json | jq '.findings[] | select(.state == "wrong")'
    """
    if yes and not fix:
        raise click.UsageError("--yes is for --fix.")
    if fix and as_json and not yes:
        raise click.UsageError("--json cannot ask: add --yes to --fix.")
    _silence_logs()
    found = _shown(as_json)
    mended: list[dict[str, Any]] = []
    mends = [one.mend for _, one in found if one.mend]
    if fix and mends:
        mended = [_mend(one, yes, as_json) for one in mends]
        if any(one["done"] for one in mended):
            found = _again(as_json)
    if as_json:
        click.echo(json.dumps(findings.plain(found, mended), indent=2, ensure_ascii=False))
    else:
        findings.summarise(found, fix=fix)
    raise SystemExit(1 if any(one.state is State.WRONG for _, one in found) else 0)


def _silence_logs() -> None:
    """Log nothing: whatever would be said there is a finding."""
    structlog.configure(wrapper_class=structlog.make_filtering_bound_logger(logging.CRITICAL))


def _examined() -> Iterator[list[Examined]]:
    try:
        configured = settings.read()
    except ConfigError as error:
        return unread(str(error), CHECKS)
    here = running.find(configured.data_dir)
    if here and not configured.mongodb_uri:
        configured = configured.model_copy(update={"mongodb_uri": here.mongodb_uri})
    patient = Patient(
        configured,
        usual_url=(configured.public_url or (here.public_url if here else "")).rstrip("/"),
        local_url=here.url if here else f"http://127.0.0.1:{configured.port}",
        clock=Clock(),
        account=TwilioAccount(_hasty(configured), pause=lambda seconds: time.sleep(min(seconds, 1))),
    )
    return examine(patient, CHECKS)


def _hasty(configured: Settings) -> Settings:
    """Give settings that wait for Twilio no longer than a person at a terminal waits for all of it."""
    timeout = min(configured.twilio.timeout_seconds, TWILIO_SECONDS)
    return configured.model_copy(update={"twilio": configured.twilio.model_copy(update={"timeout_seconds": timeout})})


def _shown(as_json: bool) -> Found:
    """Examine, and print each group as soon as it is known."""
    found: Found = []
    working = Console(stderr=True)
    groups = list(dict.fromkeys(check.group for check in CHECKS))
    examined = _examined()
    for group in groups:
        with working.status(f"{group} ...") if working.is_terminal else nullcontext():
            results = next(examined)
        found += [(one, finding) for one in results for finding in one.findings]
        if not as_json:
            findings.show(group, results, first=group == groups[0])
    return found


def _mend(mend: Mend, yes: bool, as_json: bool) -> dict[str, Any]:
    """Show what would be done, ask, and do it; says what was done, or why not."""
    if not as_json:
        click.echo(f"\n{mend.what}:")
        for line in mend.lines:
            click.echo(f"  {line}")
    if not (yes or click.confirm("Do it?")):
        click.echo("Left as it is.")
        return {"what": mend.what, "done": False, "said": "left as it is"}
    try:
        told, done = mend.apply(), True
    except (GatewayError, OSError) as error:
        told, done = f"Not done: {error}", False
    if not as_json:
        click.echo(told)
    return {"what": mend.what, "done": done, "said": told}


def _again(as_json: bool) -> Found:
    if not as_json:
        click.echo("\nLooking again.\n")
    return _shown(as_json)
