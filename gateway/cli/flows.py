"""`gateway flows`: the flows there are, whether files of them are right, and one played in the terminal.

None of it needs a database.
"""

import contextlib
import json
import secrets
import tomllib
from collections.abc import Iterator, Mapping, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from gateway import settings
from gateway.core import flows as core
from gateway.core.errors import ConfigError
from gateway.core.flows import Advance, Flow, State
from gateway.core.times import floor_ms
from gateway.responders import flow_files
from gateway.settings import Settings

_as_json = click.option("--json", "as_json", is_flag=True, help="Print JSON instead of text.")


@click.group()
def flows() -> None:
    """Look at the flows of config/flows, check files of them, and try one out.

    \b
    Examples:  gateway flows list
               gateway flows try bulk_order
    """


def _known() -> Mapping[str, Flow]:
    return flow_files.load(settings.load())


def _named(name: str) -> Flow:
    known = _known()
    if name not in known:
        there = ", ".join(known) or "none yet: put one into config/flows"
        raise click.BadParameter(f"there is no flow {name!r}. There are: {there}.", param_hint="NAME")
    return known[name]


@flows.command("list")
@_as_json
def list_(as_json: bool) -> None:
    """List the flows there are, and what begins each.

    \b
    Example:  gateway flows list
    """
    known = _known()
    if as_json:
        click.echo(json.dumps([_plain(flow) for flow in known.values()], ensure_ascii=False, indent=2))
        return
    if not known:
        click.echo("There are no flows. docs/flows.md says how to write one.")
        return
    table = Table()
    table.add_column("flow", no_wrap=True)
    table.add_column("title")
    for column in ("version", "steps"):
        table.add_column(column, justify="right", no_wrap=True)
    table.add_column("begun by", overflow="fold")
    for flow in known.values():
        begun = [f'"{word}"' for word in flow.words]
        begun += [f"intent {intent}" for intent in flow.intents] + [f"event {event}" for event in flow.events]
        table.add_row(flow.name, flow.title, str(flow.version), str(len(flow.steps)), ", ".join(begun))
    Console().print(table)


def _plain(flow: Flow) -> dict[str, Any]:
    return {
        "name": flow.name,
        "title": flow.title,
        "version": flow.version,
        "timeout_seconds": flow.timeout.total_seconds(),
        "words": list(flow.words),
        "intents": list(flow.intents),
        "events": list(flow.events),
        "steps": [
            {"name": step.name, "collects": list(step.collect), "confirms": step.confirm, "prompt": step.prompt.text}
            for step in flow.steps.values()
        ],
        "fields": [
            {"name": field.name, "kind": str(field.kind), "label": field.label, "optional": field.optional}
            for field in flow.fields.values()
        ],
        "endings": [
            {"name": one.name, "outcome": str(one.outcome), "does": [done.kind for done in one.completions]}
            for one in flow.endings.values()
        ],
    }


@flows.command()
@click.argument("name")
@_as_json
def show(name: str, as_json: bool) -> None:
    """Show a flow: its steps, what each asks for, and what is done at its ends.

    \b
    Example:  gateway flows show bulk_order
    """
    flow = _named(name)
    plain = _plain(flow)
    if as_json:
        click.echo(json.dumps(plain, ensure_ascii=False, indent=2))
        return
    click.echo(f"{flow.name}, version {flow.version}: {flow.title}")
    for kind in ("words", "intents", "events"):
        if plain[kind]:
            click.echo(f"begun by {kind}: {', '.join(plain[kind])}")
    steps = Table("step", "asks for", "says")
    for step in flow.steps.values():
        asks = ", ".join(step.collect) or ("yes or no" if step.confirm else "nothing")
        steps.add_row(step.name, asks, step.prompt.text)
    ends = Table("ending", "outcome", "does")
    for one in plain["endings"]:
        ends.add_row(one["name"], one["outcome"], ", ".join(one["does"]) or "nothing")
    Console().print(steps, ends)


@flows.command()
@click.argument("files", nargs=-1, type=click.Path(exists=True, dir_okay=False, path_type=Path))
@_as_json
def check(files: tuple[Path, ...], as_json: bool) -> None:
    """Check flows: all that are loaded, or these files. Every fault is named with file, step and key.

    \b
    Example:  gateway flows check draft.toml
    """
    configured = settings.load()
    found = [_read(file, configured.reply.timezone) for file in files] if files else list(_known().values())
    if faults := core.check_together([*_others(configured, found), *found]):
        raise click.ClickException("\n".join(faults))
    if as_json:
        click.echo(json.dumps([{"name": flow.name, "version": flow.version} for flow in found]))
        return
    for flow in found:
        click.echo(f"{flow.name}, version {flow.version}: {len(flow.steps)} steps, no fault.")
    if not found:
        click.echo("There are no flows to check.")


def _others(configured: Settings, found: Sequence[Flow]) -> Iterator[Flow]:
    """Give the flows of the folder beside these; what is at fault itself is not asked about."""
    for file in sorted(configured.flow_folder.glob("*.toml")):
        if file.stem not in {one.name for one in found}:
            with contextlib.suppress(ConfigError, click.ClickException):
                yield _read(file, configured.reply.timezone)


def _read(file: Path, timezone: str) -> Flow:
    try:
        return core.read(str(file), tomllib.loads(file.read_text(encoding="utf-8")), timezone=timezone)
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise click.ClickException(f"{file} is no valid TOML: {error}. Correct it.") from None


@flows.command("try")
@click.argument("name", required=False)
@click.option("--file", type=click.Path(exists=True, dir_okay=False, path_type=Path), help="The flow of this file.")
@click.option("--spoken", is_flag=True, help="Play it as on a call; a line of digits is keyed.")
@_as_json
def try_(name: str | None, file: Path | None, spoken: bool, as_json: bool) -> None:
    """Play a flow here: a line is a message. Shows what is answered, and what is known after each.

    Nothing is stored or sent; what its end would do is listed. Ctrl-D ends it.

    \b
    Examples:  gateway flows try callback
               gateway flows try --file draft.toml
    """
    if bool(name) == bool(file):
        raise click.UsageError("Say which flow, by its NAME or by --file.")
    flow = _read(file, settings.load().reply.timezone) if file else _named(str(name))
    run, now = secrets.token_hex(4), _now()
    advance = core.begin(flow, run=run, at=now, by="begin", spoken=spoken)
    number = 0
    while True:
        _tell(advance, spoken=spoken, as_json=as_json)
        if not advance.state.is_active:
            return
        try:
            said = click.prompt("you", prompt_suffix="> ", err=as_json)
        except click.Abort:
            click.echo(err=True)
            return
        number += 1
        advance = _step(flow, advance.state, said, f"message {number}", spoken=spoken)


def _now() -> datetime:
    return floor_ms(datetime.now(UTC))


def _step(flow: Flow, state: State, said: str, by: str, *, spoken: bool) -> Advance:
    keyed = spoken and said.strip("*#").isdecimal()
    return core.step(flow, state, said, at=_now(), by=by, spoken=spoken and not keyed, digits=keyed)


def _tell(advance: Advance, *, spoken: bool, as_json: bool) -> None:
    state, says = advance.state, advance.spoken if spoken else advance.text
    done: list[dict[str, Any]] = [{"action": one.kind, **one.parameters} for one in advance.completions]
    if as_json:
        told: dict[str, Any] = {
            "text": says,
            "outcome": str(advance.outcome),
            "step": state.step,
            "asking": state.asking,
        }
        told |= {"values": dict(state.values), "tries": state.tries, "do": done}
        click.echo(json.dumps(told, ensure_ascii=False, default=str))
        return
    click.secho(says or "(says nothing)", fg="cyan")
    known = ", ".join(f"{name} = {value}" for name, value in state.values.items()) or "nothing"
    click.secho(f"  [{advance.outcome}; at {state.step}; known: {known}]", dim=True)
    for one in done:
        click.secho(f"  [would do: {', '.join(f'{name} = {value}' for name, value in one.items())}]", dim=True)
