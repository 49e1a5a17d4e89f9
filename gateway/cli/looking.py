"""`gateway sessions list` and `show`: conversations at a glance, and why each message is in one."""

import json
from collections.abc import Mapping
from datetime import datetime
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from gateway.cli import serving, spans
from gateway.conversation.runtime import Runtime
from gateway.core.explain import explain, unanswered
from gateway.core.jsonlike import plain
from gateway.core.searching import number_starts
from gateway.store import groups, listing, searching, transcripts
from gateway.store.connection import deadline
from gateway.store.listing import Wanted

NOT_THERE = "There is no session {}. `gateway sessions list` shows them."
NOBODY = "nobody"
SECONDS = 10

_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


@click.command("list")
@click.option("--type", "communication_type", type=click.Choice(listing.TYPES), help="Of this type.")
@click.option("--status", type=click.Choice(listing.STATUSES), help="With this status.")
@click.option("--channel", help="On the channel of this id, e.g. sms:+15017122661.")
@click.option("--contact", help="Of the contact of this id.")
@click.option("--number", help="Of this number, or of those that begin so.")
@click.option("--since", help="With a message since: 30d, 12h, 45m or an ISO 8601 time.")
@click.option("--until", help="With no message since: 30d, 12h, 45m or an ISO 8601 time.")
@click.option("--q", "words", help="With these words in a message, the title or the contact's name.")
@click.option("--tag", help="With this tag.")
@click.option("--assigned", help="Assigned to this person of the console; `nobody` for those of nobody.")
@click.option("--failed", is_flag=True, help="With a message that could not be sent.")
@click.option("--needs-person", is_flag=True, help="Where somebody is to look after it.")
@click.option("--oldest-first", is_flag=True, help="By the last message, the oldest first.")
@click.option("--limit", default=20, show_default=True, type=click.IntRange(1, 200), help="So many at most.")
@click.option("--cursor", default="", help="The page after; what --json calls next_cursor.")
@_as_json
def list_sessions(as_json: bool, **asked: Any) -> None:
    """List conversations by their last message, the newest first.

    \b
    Examples:  gateway sessions list --type sms --status active
               gateway sessions list --number +1555867 --since 30d --json
    """
    runtime = serving.build()
    with deadline(SECONDS):
        wanted = _wanted(runtime, asked)
        try:
            page = listing.page(
                wanted,
                cursor=asked["cursor"],
                limit=asked["limit"],
                channels=None,
                fields=listing.TOLD,
                oldest_first=asked["oldest_first"],
            )
        except ValueError as error:
            raise click.BadParameter(f"{error}.", param_hint="--cursor") from None
    if as_json:
        click.echo(json.dumps({"items": plain(page.sessions), "next_cursor": page.next_cursor}))
        return
    if page.next_cursor and not page.sessions:
        click.echo(f"There are none so far, of very many to look at. Look further: --cursor {page.next_cursor}")
        return
    _print(page.sessions)
    if page.next_cursor:
        click.echo(f"There are more: --cursor {page.next_cursor}")


def _wanted(runtime: Runtime, asked: Mapping[str, Any]) -> Wanted:
    """Turn options into what is asked of MongoDB; ClickException for what cannot be read or searched."""
    now, number = runtime.clock.now(), asked["number"]
    starts = number_starts(number) if number else ()
    if number and not starts:
        raise click.BadParameter(f"{number!r} is no number. Write it as +15558675310.", param_hint="--number")
    plain = Wanted(
        communication_type=asked["communication_type"] or "",
        status=asked["status"] or "",
        channel_id=_channel(runtime, asked["channel"]),
        since=spans.read("--since", asked["since"], now),
        until=spans.read("--until", asked["until"], now),
        tag=asked["tag"] or "",
        assigned_to="" if asked["assigned"] in (None, NOBODY) else asked["assigned"],
        unassigned=asked["assigned"] == NOBODY,
        failed=asked["failed"],
        needs_person=asked["needs_person"],
        contact_ids=_contact(asked["contact"]),
        number_starts=starts,
    )
    if not asked["words"]:
        return plain
    found = searching.narrowed(plain, asked["words"], None).wanted
    if found is None:
        raise click.ClickException("Nearly every message holds these words. Add another one.")
    return found


def _channel(runtime: Runtime, channel_id: str | None) -> str:
    if channel_id and runtime.channels.get(channel_id) is None:
        raise click.ClickException(f"There is no channel {channel_id[:60]}. `gateway channels list` shows them.")
    return channel_id or ""


def _contact(contact_id: str | None) -> tuple[str, ...]:
    if not contact_id:
        return ()
    person = groups.find(contact_id)
    if person is None:
        raise click.ClickException(f"There is no contact {contact_id}. `gateway contacts list` shows them.")
    return tuple(map(str, person.ids))


def _print(found: list[dict[str, Any]]) -> None:
    if not found:
        click.echo("There are none.")
        return
    # 80 columns hold all of it: an id that is cut off is of no use.
    table = Table(box=None, padding=(0, 1, 0, 0))
    for column in ("session", "type", "status", "last (UTC)"):
        table.add_column(column, no_wrap=True)
    table.add_column("said", justify="right", no_wrap=True)
    table.add_column("who", overflow="fold")
    for row in found:
        who = str((row.get("metadata") or {}).get("fromNumber") or row.get("title") or "")
        count, last = f"{row.get('message_count') or 0:,}", _moment(row.get("last_message_at"))[:-3]
        table.add_row(row["id"], row.get("communication_type"), row.get("status"), last, count, who)
    Console(markup=False).print(table)


@click.command()
@click.argument("session")
@click.option("--limit", default=50, show_default=True, type=click.IntRange(1, 1000), help="So many messages at most.")
@_as_json
def show(session: str, limit: int, as_json: bool) -> None:
    """Show SESSION with its newest messages, each with the decision that filed it in words.

    \b
    Example:  gateway sessions show 68d1c0ffee68d1c0ffee0001
    """
    serving.build()
    with deadline(SECONDS):
        found = listing.one(session, None)
        if found is None:
            raise click.ClickException(NOT_THERE.format(session))
        said = transcripts.page(session, None, limit=limit)
    if as_json:
        messages = [row | {"explanation": explain(row.get("decision") or {})} for row in said.messages]
        click.echo(json.dumps({"session": plain(found), "messages": plain(messages)}))
        return
    _print_session(found)
    if said.earlier:
        click.echo(f"Earlier messages are left out: --limit shows more than {limit}.")
    for row in said.messages:
        _print_message(row)


def _print_session(found: Mapping[str, Any]) -> None:
    named = found.get("title") or found["id"]
    if found.get("merged_into"):
        click.echo(f"{named}: merged, its messages are in {found['merged_into']}")
    else:
        state = f"{found.get('status')}{' by ' + found['closed_reason'] if found.get('closed_reason') else ''}"
        click.echo(f"{named}: {state}, {found.get('message_count') or 0:,} messages")
    for name, label in (("channel_id", "channel"), ("contact_id", "contact"), ("previous_session_id", "after session")):
        if found.get(name):
            click.echo(f"  {label}: {found[name]}")


def _print_message(row: Mapping[str, Any]) -> None:
    status = f" [{row['status']}]" if row.get("direction") == "outbound" and row.get("status") else ""
    files = f" (+{len(row['media'])} files)" if row.get("media") else ""
    click.echo(f"\n{_moment(row['createdAt'])}  {row.get('sender')}{status}  {row['_id']}")
    click.echo(f"  {row.get('content') or ''}{files}")
    if decision := row.get("decision"):
        click.echo(f"  -> {explain(decision)}")
    if words := unanswered(row.get("answer") or {}):
        click.echo(f"  {words}")


def _moment(at: datetime | None) -> str:
    return f"{at:%Y-%m-%d %H:%M:%S}" if at else ""
