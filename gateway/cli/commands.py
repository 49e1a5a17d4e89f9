"""The commands, each a thin layer over a use case or the store, and imported when it is run."""

import gc
import os
from importlib import import_module
from typing import Any

import click

from gateway import __version__
from gateway.cli.stopping import Stopped
from gateway.core.errors import GatewayError, StoreRefused, StoreUnavailable

# The command's name, the function in gateway.cli, and the first words of its help: `gateway --help` imports none.
COMMANDS = [
    (
        "after-restore",
        "backups.after_restore",
        "Make a restored backup safe to run on: nothing that went out after the backup goes out again.",
    ),
    (
        "backfill",
        "backfill.backfill",
        "Compare with Twilio's log, put in what is missing and repair statuses that are behind.",
    ),
    (
        "channels",
        "channels.channels",
        "Look after our numbers: what holds on each, and what Twilio calls for it. See docs/channels.md.",
    ),
    ("chat", "chat.chat", "Look after the websites people chat on. See docs/api/chat.md."),
    (
        "check-config",
        "checking.check_config",
        "Check all settings and flows, and show what is in force; secrets are hidden.",
    ),
    ("cleanup", "retention.cleanup", "Delete old conversations with their messages and files, or bring them back."),
    (
        "completion",
        "completion.completion",
        "Write the script that completes commands and options in bash (4.4 or newer), zsh or fish.",
    ),
    ("contacts", "contacts.contacts", "Look after the people behind the conversations."),
    ("crm", "crm.crm", "Take contacts and conversations to the CRM of the settings."),
    ("doctor", "doctor.doctor", "Look at everything a conversation needs, and say what would mend what is not right."),
    (
        "events",
        "events.events",
        "Show the last messages, calls and refused webhooks, one line each: what was decided, and who answered.",
    ),
    ("export", "export.export", "Write sessions with all their messages as JSON lines or CSV."),
    ("flows", "flows.flows", "Look at the flows of config/flows, check files of them, and try one out."),
    (
        "import",
        "imports.import_",
        "Bring in conversations: from files, a folder of them, or the database of another program.",
    ),
    ("keys", "keys.keys", "Look after the keys to the REST API. See docs/console/operations.md."),
    (
        "listen",
        "listen.listen",
        "Let Twilio reach the gateway on this machine, and show what comes, one line each. Ctrl-C ends it.",
    ),
    (
        "migrate",
        "migrate.migrate",
        "Bring the database up to date: its indexes, and the documents of older versions.",
    ),
    (
        "openapi",
        "processes.openapi",
        "Write the OpenAPI 3.1 file of the REST API, for generating clients. Needs no database.",
    ),
    ("resend", "resend.resend", "Replay the webhook of a stored message, signed anew."),
    (
        "serve",
        "processes.serve",
        "Run everything: MongoDB (unless MONGODB_URI is set), web and worker. Ctrl-C stops it all.",
    ),
    ("sessions", "sessions.sessions", "Look after conversations."),
    (
        "simulate",
        "simulating.simulate",
        "Text, WhatsApp, phone or chat with the gateway without a Twilio account. See docs/simulate.md.",
    ),
    ("spool", "spool.spool", "Look after this host's spool: what arrived while MongoDB was away."),
    ("users", "users.users", "Manage who may log in to the admin page."),
    (
        "whatif",
        "whatif.whatif",
        "Show how the stored history would have been cut into sessions at other thresholds. Changes nothing.",
    ),
    (
        "worker",
        "processes.worker",
        "Run the worker: answers and sends what is queued, closes idle sessions, settles after a crash.",
    ),
]


class Elsewhere(click.Command):
    """A command that is known by its name and help only, until somebody runs it."""

    def __init__(self, name: str, where: str, words: str) -> None:
        super().__init__(name, help=words)
        self.where = where

    def imported(self) -> click.Command:
        """Give the command itself."""
        module, _, function = self.where.partition(".")
        # None of what is imported is ever garbage, and to look for some in it takes a sixth of the time.
        gc.disable()
        try:
            command: click.Command = getattr(import_module(f"gateway.cli.{module}"), function)
        finally:
            gc.freeze()
            gc.enable()
        return command


class Commands(click.Group):
    """Says in one line what the gateway raised on purpose."""

    def resolve_command(self, ctx: click.Context, args: list[str]) -> tuple[Any, Any, list[str]]:
        """Find the command that is to be run."""
        name, command, rest = super().resolve_command(ctx, args)
        return name, command.imported() if isinstance(command, Elsewhere) else command, rest

    def format_commands(self, ctx: click.Context, formatter: click.HelpFormatter) -> None:
        """List the commands, each with its first sentence to the end."""
        with formatter.section("Commands"):
            formatter.write_dl(
                [(name, self.commands[name].get_short_help_str(200)) for name in self.list_commands(ctx)]
            )

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        # People at a keyboard mean the gateway they develop; servers say GATEWAY_ENV.
        if "GATEWAY_ENV" not in os.environ:
            os.environ["GATEWAY_ENV"] = "development"
        try:
            return super().invoke(ctx)
        except KeyboardInterrupt:
            raise Stopped("") from None
        except click.Abort as error:
            if isinstance(error.__context__, KeyboardInterrupt):  # at a question
                raise Stopped("") from None
            raise
        except StoreRefused as error:
            raise click.ClickException(str(error)) from None
        except StoreUnavailable as error:
            raise click.ClickException(f"MongoDB is away or too slow: {error}. Start it, or see MONGODB_URI.") from None
        except GatewayError as error:
            raise click.ClickException(str(error)) from None


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gateway")
def cli() -> None:
    """Run and look after a Twilio conversation gateway.

    \b
    Examples:  gateway serve
               gateway simulate sms --body Hello
               gateway sessions list
    """


for _command in COMMANDS:
    cli.add_command(Elsewhere(*_command))
