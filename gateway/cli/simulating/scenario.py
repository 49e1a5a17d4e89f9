"""`gateway simulate scenario`: files that several people's conversations are written down in, played and judged."""

import json
from datetime import timedelta
from pathlib import Path
from typing import NoReturn

import click
from rich.console import Console
from rich.table import Table

from gateway.cli import running
from gateway.cli.entries import printable_lines
from gateway.cli.simulating.lines import find_line, json_option, url_option
from gateway.conversation.simulation import playing, reading
from gateway.conversation.simulation.acting import Stage
from gateway.conversation.simulation.judging import Came
from gateway.conversation.simulation.playing import Play
from gateway.core.messages import VOICE
from gateway.core.scenarios import Lost, Scenario, ScenarioError
from gateway.core.times import spoken

MISSED, USAGE = 1, 2
_UNSEEN = "{} expects what only MongoDB can tell. Set MONGODB_URI to that of the gateway, or play it in its folder."
_SHOWN = 34


@click.command()
@click.argument("paths", nargs=-1, required=True, metavar="FILE...", type=click.Path(path_type=Path))
@url_option
@json_option
def scenario(paths: tuple[Path, ...], url: str | None, as_json: bool) -> None:
    """Play files of what several people do.

    They hold times, duplicates, reordering and losses, and what is to come of each step. Nobody waits: times are
    simulated, so it takes a gateway in development. Exit code 0: all as expected, 1: something was not, 2: a file is
    wrong, and then nothing was played.

    \b
    Examples:  gateway simulate scenario tests/scenarios/threshold.toml
               gateway simulate scenario tests/scenarios/*.toml --json
    """
    scenarios = _load(paths)
    line, stored = find_line(url), running.connect_if_known(url)
    for one in scenarios:
        if one.asks_the_store and not stored:
            _refuse(_UNSEEN.format(one.file))
    plays = []
    for one in scenarios:
        plays.append(playing.play(one, Stage(line, Path(one.file).parent, stored)))
        if not as_json:
            _show(plays[-1])
    if as_json:
        click.echo(json.dumps([playing.as_json(play) for play in plays], indent=2, ensure_ascii=False, default=str))
    elif len(plays) > 1:
        missed = sum(bool(play.missed) for play in plays)
        click.echo(f"\n{len(plays)} scenarios: {len(plays) - missed} as expected, {missed} not.")
    if any(play.missed for play in plays):
        raise SystemExit(MISSED)


def _load(paths: tuple[Path, ...]) -> list[Scenario]:
    faults, scenarios = [], []
    for path in paths:
        try:
            scenarios.append(reading.load(path))
        except ScenarioError as error:
            faults.append(str(error))
    if faults:
        _refuse("\n".join(faults))
    return scenarios


def _refuse(text: str) -> NoReturn:
    click.echo(f"Error: {text}", err=True)
    raise SystemExit(USAGE)


def _show(play: Play) -> None:
    click.secho(f"\n{play.scenario.title}", bold=True)
    table = Table(box=None, padding=(0, 1, 0, 0), show_header=False)
    table.add_column(justify="right", no_wrap=True)
    table.add_column(no_wrap=True)
    table.add_column(no_wrap=True, overflow="ellipsis", max_width=_SHOWN)
    table.add_column(overflow="fold")
    for came in play.steps:
        who = came.step.person or came.step.of
        table.add_row(_offset(came), f"{who} {came.step.kind}", _did(came), _result(came))
    Console(highlight=False, markup=False).print(table)
    for where, miss in play.missed:
        click.secho(f"  {where}: {printable_lines(str(miss))}", fg="red")
    if play.missed and play.scenario.needs:
        needs = ", ".join(f"{name} = {value}" for name, value in play.scenario.needs.items())
        click.echo(f"  It is written for a gateway with {needs}.")
    if not play.missed:
        click.secho("  as expected", fg="green")


def _offset(came: Came) -> str:
    return str(timedelta(milliseconds=came.step.at_ms)).removesuffix("000")


def _did(came: Came) -> str:
    step = came.step
    if step.kind == VOICE:
        said = [f"({turn['Digits']})" if "Digits" in turn else turn["SpeechResult"] for turn in step.turns]
        return " / ".join([*said, *filter(None, (step.dial, step.leave))]) or "(calls)"
    words = step.body or next(filter(None, (step.button and step.button[0], step.choice and step.choice[0])), "")
    return words or " ".join(step.statuses) or ("(a place)" if step.location else "(a file)")


def _result(came: Came) -> str:
    step = came.step
    mark = "- " if came.misses else ""
    if step.lost is Lost.WEBHOOK:
        return f"{mark}lost on its way"
    if came.failed:
        return f"{mark}not taken"
    again = f", delivered {step.copies} times" if step.copies > 1 else ", its answer lost" if step.lost else ""
    if came.status:
        return f"{mark}stored: {came.status}{again}"
    decision = came.decided.get("decision") or {}
    kind, gap = str(decision.get("kind") or "taken").replace("_", " "), decision.get("gap_seconds")
    after = f" after {spoken(round(gap * 1000))}" if gap else ""
    return f"{mark}{kind}{after}{again}"
