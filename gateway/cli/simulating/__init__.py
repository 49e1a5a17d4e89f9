"""`gateway simulate`: be the people at the other end, with correctly signed webhooks."""

import click

from gateway.cli.simulating.burst import burst
from gateway.cli.simulating.calling import voice
from gateway.cli.simulating.chatting import chat
from gateway.cli.simulating.delivery import status
from gateway.cli.simulating.scenario import scenario
from gateway.cli.simulating.texting import sms, whatsapp


@click.group()
def simulate() -> None:
    """Text, WhatsApp, phone or chat with the gateway without a Twilio account. See docs/simulate.md.

    \b
    Examples:
      gateway simulate sms --from +15558675310 --body Hello
      gateway simulate sms --body "Still there?" --gap 120
      gateway simulate whatsapp --button "Confirm" --payload confirm_42
      gateway simulate voice --say "I would like a table" --say "For two"
      gateway simulate status SM821eed9fa4393e01fa92b8f07c35a3d8 sent delivered read
      gateway simulate chat --from alice --body "Are you open?"
      gateway simulate scenario tests/scenarios/threshold.toml
      gateway simulate burst --senders 500 --rate 100 --seconds 60
    """


for _command in (sms, whatsapp, voice, status, chat, scenario, burst):
    simulate.add_command(_command)
