"""The commands, each a thin layer over a use case or the store."""

import json
import os
import sys
from collections.abc import Mapping
from typing import Any

import click
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from gateway import __version__, settings
from gateway.cli.backfill import backfill
from gateway.cli.backups import after_restore
from gateway.cli.chat import chat
from gateway.cli.contacts import contacts
from gateway.cli.crm import crm
from gateway.cli.export import export
from gateway.cli.flows import flows
from gateway.cli.imports import import_
from gateway.cli.keys import keys
from gateway.cli.migrate import migrate
from gateway.cli.retention import cleanup
from gateway.cli.sessions import sessions
from gateway.cli.simulate import simulate
from gateway.cli.spool import spool
from gateway.cli.users import users
from gateway.cli.whatif import whatif
from gateway.core.errors import GatewayError, StoreRefused, StoreUnavailable
from gateway.responders import flow_files


class Commands(click.Group):
    """Says in one line what the gateway raised on purpose."""

    def invoke(self, ctx: click.Context) -> Any:
        """Run a command."""
        # People at a keyboard mean the gateway they develop; servers say GATEWAY_ENV.
        if "GATEWAY_ENV" not in os.environ:
            os.environ["GATEWAY_ENV"] = "development"
        try:
            return super().invoke(ctx)
        except StoreRefused as error:
            raise click.ClickException(str(error)) from None
        except StoreUnavailable as error:
            raise click.ClickException(f"MongoDB is away or too slow: {error}. Start it, or see MONGODB_URI.") from None
        except GatewayError as error:
            raise click.ClickException(str(error)) from None


as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gateway")
def cli() -> None:
    """Run and look after a Twilio conversation gateway."""


cli.add_command(simulate)
cli.add_command(spool)
cli.add_command(backfill)
cli.add_command(cleanup)
cli.add_command(after_restore)
cli.add_command(contacts)
cli.add_command(crm)
cli.add_command(users)
cli.add_command(keys)
cli.add_command(export)
cli.add_command(flows)
cli.add_command(import_)
cli.add_command(migrate)
cli.add_command(whatif)
cli.add_command(sessions)
cli.add_command(chat)


@cli.command()
def serve() -> None:
    """Run everything: MongoDB (unless MONGODB_URI is set), web and worker. Ctrl-C stops it all.

    \b
    Example:  PORT=8081 gateway serve
    """
    from gateway.cli.serve import serve as run_everything

    sys.exit(run_everything(settings.load()))


@cli.command()
def worker() -> None:
    """Run the worker: answers and sends what is queued, closes idle sessions, settles after a crash."""
    settings.load()
    os.execv(sys.executable, [sys.executable, "-m", "gateway.worker"])  # noqa: S606


@cli.command()
@click.option("--output", "-o", type=click.Path(dir_okay=False), default="-", help="A file instead of the screen.")
def openapi(output: str) -> None:
    """Write the OpenAPI 3.1 file of the REST API, for generating clients. Needs no database.

    \b
    Example:  gateway openapi -o openapi.json
    """
    os.execv(sys.executable, [sys.executable, "-m", "gateway.api", output])  # noqa: S606


@cli.command("check-config")
@as_json
def check_config(as_json: bool) -> None:
    """Check all settings and flows, and show what is in force; secrets are hidden."""
    configured = settings.load()
    flows = flow_files.load(configured)
    values = dict(_flat(configured.model_dump(mode="python")))
    if as_json:
        click.echo(json.dumps(values, default=str, indent=2))
        return
    table = Table("setting", "value", title=f"Settings ({configured.env})", title_justify="left")
    for name, value in values.items():
        table.add_row(name, str(value))
    Console().print(table)
    click.echo("All settings are valid.")
    if flows:
        click.echo(f"So are the flows in {configured.flow_folder}: {', '.join(flows)}.")


def _flat(values: Mapping[str, Any], prefix: str = "") -> list[tuple[str, Any]]:
    """Give settings as `a.b` names; thresholds in seconds, as they are set."""
    rows: list[tuple[str, Any]] = []
    for name, value in values.items():
        if name in ("idle_seconds", "idle_seconds_by_type"):
            rows.append((prefix + name, _in_seconds(value)))
        elif isinstance(value, Mapping) and name not in ("accounts", "shared_keys"):
            rows += _flat(value, f"{prefix}{name}.")
        elif name in ("accounts", "shared_keys"):
            rows.append((prefix + name, sorted(value)))
        else:
            rows.append((prefix + name, _shown(name, value)))
    return rows


def _in_seconds(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: _in_seconds(one) for name, one in value.items()}
    return "never" if value is None else value / 1000


def _shown(name: str, value: Any) -> Any:
    if isinstance(value, SecretStr):
        return "(set)" if value.get_secret_value() else "(not set)"
    if name == "twilio_auth_token":
        return f"({len(value)} set)" if value else "(not set)"
    if name == "rules":
        return f"({len(value)})"
    if name == "mongodb_uri" and "@" in value:
        return "mongodb://(hidden)@" + value.rpartition("@")[2]
    if name == "trusted_proxies":
        return [str(network) for network in value]
    return value
