"""`gateway crm`: contacts and conversations taken to the CRM, and how that stands."""

import getpass
import json
from dataclasses import asdict

import click
from rich.console import Console
from rich.table import Column, Table

from gateway.cli import serving, stopping
from gateway.conversation.crm import queue, standing
from gateway.conversation.crm.queue import NoCrm
from gateway.conversation.crm.standing import Overview
from gateway.core.jsonlike import plain


@click.group()
def crm() -> None:
    """Take contacts and conversations to the CRM of the settings.

    \b
    Examples:  gateway crm status
               gateway crm sync --all
    """


@crm.command()
@click.option("--contact", "contact_id", help="One contact, by the id that the console and the API show.")
@click.option("--all", "everybody", is_flag=True, help="Everybody, with all that was ever said.")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
@stopping.leaves("What is queued stays queued. The same command queues the rest.")
def sync(contact_id: str | None, everybody: bool, as_json: bool) -> None:
    """Have contacts synchronised by a worker, whatever has not been told of them yet.

    What the CRM has already is not told again, so this may be given at any time.

    \b
    Examples:  gateway crm sync --contact 65f0c0ffee65f0c0ffee65f0
               gateway crm sync --all
    """
    if bool(contact_id) == everybody:
        raise click.UsageError("Say whom to synchronise: --contact ID, or --all.")
    runtime = serving.build()
    if contact_id:
        asked = queue.ask(runtime, contact_id, by=_who())
        told, words = plain(asdict(asked)), f"A worker synchronises them at {asked.due:%H:%M:%S} UTC."
    else:
        count = queue.ask_all(runtime, by=_who())
        told, words = {"contacts": count}, f"Queued: {count:,}. `gateway crm status` shows how far it is."
    click.echo(json.dumps(told) if as_json else words)


@crm.command()
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
def status(as_json: bool) -> None:
    """Show who waits to be synchronised, and whose synchronisation failed and why.

    \b
    Example:  gateway crm status
    """
    found = standing.overview(serving.build())
    if found is None:
        raise NoCrm
    if as_json:
        click.echo(json.dumps(_as_json(found), indent=2))
        return
    click.echo(f"{found.label}: {found.waiting:,} waiting, {found.due:,} of them due, {found.failing:,} failed.")
    if found.held_until:
        click.echo(f"Nothing is asked of it until {found.held_until:%Y-%m-%d %H:%M:%S} UTC: {found.held_for}")
    if found.contacts:
        Console().print(_table(found))


def _who() -> str:
    """Name who runs the command, as the console names who is logged in."""
    return f"{getpass.getuser()} (command line)"


def _table(found: Overview) -> Table:
    table = Table(Column("contact", no_wrap=True), "name", "failed at (UTC)", "why", "tried again at")
    for contact_id, name, one in found.contacts:
        failed, again = (f"{at:%m-%d %H:%M}" if at else "" for at in (one.failed_at, one.next_at))
        table.add_row(contact_id, name, failed, one.reason or "", again or "by hand, or when a session of theirs ends")
    return table


def _as_json(found: Overview) -> object:
    contacts = [{"id": contact_id, "name": name, **asdict(one)} for contact_id, name, one in found.contacts]
    return plain(asdict(found) | {"contacts": contacts})
