"""`gateway contacts`: what is known of a person, and forgetting it."""

import json
import sys

import click

from gateway.cli import directory, progress, serving, stopping
from gateway.conversation import forget as forgetting
from gateway.conversation.forget import Forgotten

_LEFT = (
    "Not erased, for the gateway cannot reach it:",
    "  backups and archives (gateway cleanup --archive): delete those that reach back to this person",
    "  the spool: what waits there is stored when MongoDB is back; run this again then",
    "  the contact in your CRM: a worker deletes what the gateway put on its timeline, the contact itself stays",
    "  a bot and a model that were told what was said: ask whoever runs them",
)
_AT_TWILIO = (
    "  Twilio's own log: run it with --at-twilio the next time; now only the Twilio console can",
    "  Twilio's own log still says when and between which numbers: Twilio support deletes that",
)


@click.group()
def contacts() -> None:
    """Look after the people behind the conversations.

    \b
    Examples:  gateway contacts list "Ada"
               gateway contacts show +15558675310
    """


for command in directory.COMMANDS:
    contacts.add_command(command)


@contacts.command()
@click.argument("person")
@click.option("--yes", is_flag=True, help="Do not ask.")
@click.option("--dry-run", is_flag=True, help="Only say what would be erased.")
@click.option(
    "--at-twilio/--not-at-twilio",
    default=None,
    help="Take texts, files and recordings out of Twilio's log too; else as retention.redact_at_twilio says.",
)
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
@stopping.leaves("What was erased is gone. The same command erases the rest.")
def forget(person: str, yes: bool, dry_run: bool, at_twilio: bool | None, as_json: bool) -> None:
    """Erase everything about PERSON: a number, a WhatsApp user id or an e-mail address.

    Contact, sessions, messages, files, what is queued for them and callbacks that wait. If they said STOP, that stays
    in a form that does not name them, so that nobody texts them again.

    \b
    Examples:  gateway contacts forget +15558675310 --dry-run
               gateway contacts forget US.1234567890 --yes
    """
    runtime = serving.build()
    with progress.busy("Looking for all there is of them"):
        found = forgetting.preview(person)
    if not (found.contacts or found.amount.sessions):
        raise click.ClickException(f"Nobody is known as {person}. Write a number as +15558675310.")
    if dry_run:
        _tell(found, as_json, "Would erase", dry_run=True)
        return
    if not yes:
        _ask(found)
    redact = runtime.settings.retention.redact_at_twilio if at_twilio is None else at_twilio
    with progress.busy("Erasing"):
        done = forgetting.forget(runtime, person, at_twilio=redact)
    _tell(done, as_json, "Erased", at_twilio=redact)


def _ask(found: Forgotten) -> None:
    if not sys.stdin.isatty():
        raise click.ClickException("Nobody is there to confirm. Say --yes, or look first with --dry-run.")
    click.echo(f"This erases {_what(found)}.", err=True)
    click.confirm("It cannot be undone. Go on?", abort=True, err=True)


def _tell(found: Forgotten, as_json: bool, verb: str, *, dry_run: bool = False, at_twilio: bool = False) -> None:
    if as_json:
        click.echo(json.dumps({"dry_run": dry_run, "at_twilio": at_twilio, **found.as_counts()}))
        return
    click.echo(f"{verb} {_what(found)}.")
    if found.suppressed:
        click.echo("They said STOP. That is kept without their number, so nothing is sent to them when they come back.")
    if dry_run:
        click.echo("Nothing was changed.")
        return
    click.echo("\n".join([*_LEFT[:1], _AT_TWILIO[at_twilio], *_LEFT[1:]]))


def _what(found: Forgotten) -> str:
    amount = found.amount
    conversations = serving.amount(amount.sessions, amount.messages, amount.files, amount.bytes)
    known = f"{found.contacts:,} contact{'' if found.contacts == 1 else 's'}"
    queued = [f"{found.queued:,} in the outbox"] if found.queued else []
    waiting = [f"{found.callbacks:,} waiting callbacks"] if found.callbacks else []
    return ", ".join([known, conversations, *queued, *waiting])
