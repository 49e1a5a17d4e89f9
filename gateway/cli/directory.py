"""`gateway contacts list|show|merge|unmerge|opt-out|opt-in`: contacts found, joined, and what they want to hear."""

import getpass
import json
from typing import Any

import click
from rich import box
from rich.console import Console
from rich.table import Table

from gateway.cli import serving
from gateway.conversation import contacts, merging
from gateway.store import directory, merges, people
from gateway.store.connection import deadline
from gateway.store.people import Person

# Reading may take longer than for a webhook; it stands in nobody's way.
SECONDS = 30
SESSIONS_SHOWN = 20

_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


def _who() -> str:
    return f"{getpass.getuser()} (command line)"


@click.command("list")
@click.argument("words", nargs=-1)
@click.option("--limit", type=click.IntRange(1, 1000), default=50, show_default=True, help="How many at most.")
@_as_json
def list_contacts(words: tuple[str, ...], limit: int, as_json: bool) -> None:
    """List contacts, the newest first; with WORDS those with such a name, number, e-mail or other id.

    \b
    Examples:  gateway contacts list
               gateway contacts list +1555867
               gateway contacts list lovelace --json
    """
    serving.build()
    with deadline(SECONDS):
        found, more = directory.page(None, limit=limit, words=" ".join(words))
    if as_json:
        click.echo(json.dumps([_facts(person) for person in found], indent=2, ensure_ascii=False))
        return
    if not found:
        click.echo(
            "Nobody is known so." if words else "There is nobody yet: whoever writes first is the first contact."
        )
        return
    table = Table(box=box.SIMPLE)
    table.add_column("id", no_wrap=True)
    for column in ("name", "known by", "opted out of"):
        table.add_column(column, overflow="fold")
    for person in found:
        table.add_row(person.id, person.name, ", ".join(person.ways), ", ".join(out.line for out in person.opted_out))
    Console(markup=False).print(table)
    if more:
        click.echo(
            f"These are the newest {len(found)}. Write WORDS to look for somebody, or a larger --limit.", err=True
        )


@click.command()
@click.argument("contact")
@_as_json
def show(contact: str, as_json: bool) -> None:
    """Show CONTACT with the newest sessions: an id, a number, an e-mail address or another id.

    \b
    Examples:  gateway contacts show +15558675310
               gateway contacts show ada@example.com --json
    """
    serving.build()
    person = _find(contact)
    with deadline(SECONDS):
        found = people.sessions_of(person.members, None, limit=SESSIONS_SHOWN)
        into = merges.into(person.members)
    sessions = [
        {"id": row["id"], "title": row.get("title"), "status": row.get("status"), "messages": row.get("message_count")}
        for row in found
    ]
    merged = [
        {"contact_id": one.absorbed, "by": one.by, "at": one.at.isoformat(), "reason": one.reason} for one in into
    ]
    claims = [{"field": one.field, "value": one.value, "at": one.at.isoformat()} for one in person.claims]
    if as_json:
        click.echo(
            json.dumps(
                _facts(person) | {"merged": merged, "claims": claims, "sessions": sessions},
                indent=2,
                ensure_ascii=False,
            )
        )
        return
    click.echo(f"{person.name or 'No name'}  ({person.id})")
    for label, values in (
        ("Known by", person.ways),
        ("Opted out of", [out.line for out in person.opted_out]),
        ("Merged", [f"{one['contact_id']} by {one['by']}" for one in merged]),
        ("Not proved", [one["value"] for one in claims]),
    ):
        if values:
            click.echo(f"{label}: {', '.join(values)}")
    for row in sessions:
        click.echo(f"  {row['id']}  {row['status'] or '':<8}  {row['messages'] or 0:>5,}  {row['title'] or ''}")


@click.command()
@click.argument("contact")
@click.argument("other")
@_as_json
def merge(contact: str, other: str, as_json: bool) -> None:
    """Let OTHER be CONTACT, since they are one person: numbers, opt-outs and sessions of both are CONTACT's.

    \b
    Example:  gateway contacts merge +15558675310 ada@example.com
    """
    runtime = serving.build()
    done = merging.merge(runtime, _find(contact).id, _find(other).id, by=_who())
    _tell(
        done.survivor,
        as_json,
        f"{done.absorbed} is {done.survivor} now. Undo: gateway contacts unmerge {done.absorbed}",
    )


@click.command()
@click.argument("contact")
@_as_json
def unmerge(contact: str, as_json: bool) -> None:
    """Let CONTACT, an id that was merged, be one of its own again; else the last that was merged into CONTACT.

    \b
    Example:  gateway contacts unmerge 65f0c0ffee65f0c0ffee65f0
    """
    runtime = serving.build()
    _find(contact)
    done = merging.unmerge(runtime, contact if people.get(contact) else _find(contact).id, by=_who())
    _tell(done.absorbed, as_json, f"{done.absorbed} is one of its own again, beside {done.survivor}.")


@click.command("opt-out")
@click.argument("contact")
@click.argument("line")
@_as_json
def opt_out(contact: str, line: str, as_json: bool) -> None:
    """Record that CONTACT wants nothing from LINE, as if they had said STOP: one of our numbers, MG..., or `all`.

    \b
    Examples:  gateway contacts opt-out +15558675310 +15017122661
               gateway contacts opt-out +15558675310 all
    """
    _opted(contact, line, as_json, out=True)


@click.command("opt-in")
@click.argument("contact")
@click.argument("line")
@_as_json
def opt_in(contact: str, line: str, as_json: bool) -> None:
    """Record that CONTACT wants to hear from LINE again, as if they had said START.

    \b
    Example:  gateway contacts opt-in +15558675310 +15017122661
    """
    _opted(contact, line, as_json, out=False)


def _opted(contact: str, line: str, as_json: bool, *, out: bool) -> None:
    runtime = serving.build()
    person = _find(contact)
    lines = contacts.set_opt_out(runtime, person.id, line, out=out, by=_who())
    did = "is opted out of" if out else "is opted in again to"
    _tell(person.id, as_json, f"{person.name or person.id} {did} {', '.join(lines) or 'nothing: there was none'}.")


def _find(written: str) -> Person:
    with deadline(SECONDS):
        found = directory.find(written)
    if found is None:
        raise click.ClickException(f"Nobody is known as {written[:60]}. `gateway contacts list` shows who there is.")
    return found


def _tell(contact_id: str, as_json: bool, words: str) -> None:
    if not as_json:
        click.echo(words)
        return
    with deadline(SECONDS):
        person = people.get(contact_id)
    click.echo(json.dumps(_facts(person) if person else {}, ensure_ascii=False))


def _facts(person: Person) -> dict[str, Any]:
    return {
        "id": person.id,
        "name": person.name,
        "phones": list(person.phones),
        "emails": list(person.emails),
        "external_ids": list(person.external_ids),
        "opted_out": [out.line for out in person.opted_out],
        "created_at": person.created_at.isoformat(),
    }


COMMANDS = (list_contacts, show, merge, unmerge, opt_out, opt_in)
