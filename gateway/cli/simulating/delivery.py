"""`gateway simulate status`: what becomes of a message of ours, as Twilio calls back with it."""

import json

import click

from gateway.cli import running
from gateway.cli.simulating.lines import find_line, json_option, url_option
from gateway.conversation.simulation import delivery
from gateway.conversation.simulation.delivery import Delivered
from gateway.conversation.simulation.line import Line
from gateway.core.statuses import MESSAGE_FAILURES, MESSAGE_RANK


@click.command()
@click.argument("message")
@click.argument("statuses", nargs=-1, required=True, metavar="STATUS...", type=click.Choice(list(MESSAGE_RANK)))
@click.option("--error-code", default="", help="Why it failed, e.g. 30003; for failed and undelivered.")
@url_option
@json_option
def status(message: str, statuses: tuple[str, ...], error_code: str, url: str | None, as_json: bool) -> None:
    """Report what became of a message of ours.

    One STATUS is called back with after the other, in any order.

    MESSAGE is the id of a message of ours, Twilio's SID of it, or the id of the message that it answers. Where MongoDB
    is not this folder's gateway's, it is a SID.

    \b
    Examples:  gateway simulate status re:SM821eed9fa4393e01fa92b8f07c35a3d8 read delivered sent
               gateway simulate status SM821eed9fa4393e01fa92b8f07c35a3d8 undelivered --error-code 30003
    """
    if error_code and MESSAGE_FAILURES.isdisjoint(statuses):
        raise click.UsageError("--error-code belongs to failed or undelivered: report one of them.")
    line = find_line(url)
    told = delivery.look_up(message) if running.connect_if_known(url) else delivery.by_sid(message)
    _report(line, told, statuses, error_code, as_json)


def _report(line: Line, told: Delivered, statuses: tuple[str, ...], error_code: str, as_json: bool) -> None:
    steps = []
    for reported in statuses:
        delivery.report(line, told, reported, error_code)
        steps.append((reported, delivery.stored_status(told.message_id) if told.message_id else None))
    if as_json:
        rows = [{"reported": reported, "stored": stored} for reported, stored in steps]
        click.echo(json.dumps({"message": told.message_id or None, "sid": told.sid, "statuses": rows}, indent=2))
        return
    click.echo(f"{told.message_id or 'a message nothing is known of here'} (SID {told.sid})")
    for reported, stored in steps:
        click.echo(f"  {reported:12} {_became(reported, stored)}".rstrip())
    if not told.message_id:
        click.echo("  The gateway keeps these for an hour, should a message of this SID still come.")


def _became(reported: str, stored: str | None) -> str:
    if stored is None:
        return "taken"
    return f"is {stored}" if stored == reported else f"is still {stored}, and this is in its history"
