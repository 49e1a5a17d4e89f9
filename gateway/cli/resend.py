"""`gateway resend`: replay the webhook that a stored message came with."""

import getpass
import json
from urllib.parse import urlsplit

import click

from gateway.cli import serving
from gateway.cli.entries import printable_lines
from gateway.cli.simulating.lines import find_line, json_option, show, url_option
from gateway.conversation import resending


@click.command()
@click.argument("message")
@click.option("--answer", is_flag=True, help="Let it be answered again, and the answer be sent.")
@url_option
@json_option
def resend(message: str, answer: bool, url: str | None, as_json: bool) -> None:
    """Replay the webhook of a stored message, signed anew.

    The gateway that has MESSAGE takes it as a redelivery: nothing is stored or sent. With --answer its responder is
    asked once more, and what that says is sent. Another gateway (--url) stores it, marked with GatewayResentAt, and
    answers only with --answer. Each replay is noted in the message's metadata and in the audit.

    \b
    Examples:  gateway resend SM821eed9fa4393e01fa92b8f07c35a3d8
               gateway resend SM821eed9fa4393e01fa92b8f07c35a3d8 --answer
               gateway resend SM821eed9fa4393e01fa92b8f07c35a3d8 --url http://127.0.0.1:8081
    """
    line, by = find_line(url), f"{getpass.getuser()} (command line)"
    runtime = serving.build_quietly()
    webhook = resending.rebuild(runtime, message)
    form = resending.mark(runtime, webhook, by=by, to=urlsplit(line.public_url).netloc, answer=answer)
    line.post(webhook.path, form)
    said = resending.answer_again(runtime, webhook, by=by) if answer and url is None else None
    if as_json:
        told = {"message": webhook.message_id, "session": webhook.session_id, "path": webhook.path.partition("?")[0]}
        click.echo(json.dumps(told | {"told": line.told, "answer": said}, indent=2, ensure_ascii=False))
        return
    click.echo(f"{webhook.message_id}, received {webhook.at:%Y-%m-%d %H:%M:%S} UTC, posted to {line.url}")
    show(line, as_json=False)
    if said is not None:
        sent = f"  sent as another answer: {printable_lines(said)}"
        click.echo(sent if said else "  the responder says nothing to it this time")
