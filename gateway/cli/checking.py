"""`gateway check-config`: what is in force."""

import json
from collections.abc import Mapping
from typing import Any

import click
from pydantic import SecretStr
from rich.console import Console
from rich.table import Table

from gateway import logs, responders, settings
from gateway.conversation import runtime
from gateway.core.errors import ConfigError
from gateway.core.flows import Flow
from gateway.settings import Settings


@click.command("check-config")
@click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")
def check_config(as_json: bool) -> None:
    """Check all settings and flows, and show what is in force; secrets are hidden.

    \b
    Examples:  gateway check-config
               GATEWAY_ENV=production gateway check-config --json
    """
    configured = settings.load()
    flows = _checked(configured)
    folders = {"spool.dir": configured.spool_dir, "flow.folder": configured.flow_folder}
    values = dict(_flat(configured.model_dump(mode="python"))) | folders
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


def _checked(configured: Settings) -> Mapping[str, Flow]:
    """Put together what a gateway serves with, and refuse besides what only each answer would fail by."""
    logs.configure_for_commands(redact=configured.log.redact)
    if reasons := responders.lacking(configured):
        raise ConfigError(" ".join(reasons))
    return runtime.build(configured).flows


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
