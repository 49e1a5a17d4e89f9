"""`gateway after-restore`: what a backup needs before a gateway runs on it."""

import json

import click

from gateway.cli import serving
from gateway.conversation import restored


@click.command("after-restore")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
def after_restore(as_json: bool) -> None:
    """Make a restored backup safe to run on: nothing that went out after the backup goes out again.

    Run it after mongorestore and before web and worker are started. What waits to be sent is looked up at Twilio
    first; what waits for an answer is left to a person, its sessions are flagged.

    \b
    Examples:  mongorestore --uri "$MONGODB_URI" --gzip --archive=gateway.gz
               gateway after-restore
    """
    done = restored.make_safe(serving.build())
    if as_json:
        click.echo(json.dumps({"sends": done.sends, "sessions": list(done.sessions)}))
        return
    click.echo(f"{done.sends:,} messages will be looked up at Twilio before they are sent.")
    if not done.sessions:
        click.echo("Nothing waited for an answer.")
        return
    click.echo(f"{len(done.sessions):,} sessions waited for an answer that is not given now. A person should look:")
    for session in done.sessions:
        click.echo(f"  {session}")
