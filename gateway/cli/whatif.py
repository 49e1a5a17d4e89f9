"""`gateway whatif`: how the stored history would have been cut at other thresholds."""

import json
from collections.abc import Sequence
from datetime import date
from typing import Any

import click
from rich.console import Console
from rich.table import Table

from gateway.channels import CHANNELS
from gateway.cli import serving, spans, stopping
from gateway.conversation import whatif as use_case
from gateway.conversation.runtime import Runtime
from gateway.conversation.whatif import History, Line, Question
from gateway.conversation.whatif_json import as_json
from gateway.core.gaps import BadThreshold, Tally, in_words, read_threshold
from gateway.core.participant import address
from gateway.core.whatif import USUAL, cut, suggest
from gateway.store.connection import deadline

# A whole history is read at once, and the machine may be busy.
READ_SECONDS = 30


class Thresholds(click.ParamType[tuple[float, ...]]):
    """Thresholds in seconds, separated by commas."""

    name = "seconds"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> tuple[float, ...]:
        """Read them, each once, in ascending order."""
        if isinstance(value, tuple):
            return value
        try:
            return tuple(sorted({read_threshold(text) for text in str(value).split(",")}))
        except BadThreshold as error:
            self.fail(str(error), param, ctx)


@click.command()
@click.option(
    "--threshold",
    "thresholds",
    type=Thresholds(),
    default=USUAL,
    metavar="SECONDS[,SECONDS...]",
    help="Thresholds to try, or never; one minute to an hour unless given.",
)
@click.option("--type", "types", multiple=True, type=click.Choice(sorted(CHANNELS)), help="Only this type of channel.")
@click.option("--number", "numbers", multiple=True, help="Only this number of yours. May be repeated.")
@click.option("--since", help="Only messages from that day on: 30d, or a date such as 2026-03-01.")
@click.option("--rebuild", is_flag=True, help="Count the whole history again first.")
@click.option("--json", "printed_as_json", is_flag=True, help="Print JSON instead of text.")
@stopping.leaves("No conversation was changed.")
def whatif(
    thresholds: tuple[float, ...],
    types: tuple[str, ...],
    numbers: tuple[str, ...],
    since: str | None,
    rebuild: bool,
    printed_as_json: bool,
) -> None:
    """Show how the stored history would have been cut into sessions at other thresholds. Changes nothing.

    \b
    Examples:  gateway whatif
               gateway whatif --threshold 60,300,900 --type sms --since 30d --json
    """
    runtime = serving.build()
    day = _day(since, runtime)
    if rebuild:
        use_case.count_anew(runtime)
    history = _look(runtime, Question(types=types, numbers=numbers, since=day))
    _refuse_unknown(numbers, history)
    if printed_as_json:
        click.echo(json.dumps(as_json(history, thresholds, day), indent=2))
    else:
        _print(history, thresholds)


def _day(since: str | None, runtime: Runtime) -> date | None:
    begin = spans.read("--since", since, runtime.clock.now())
    return begin.date() if begin else None


def _look(runtime: Runtime, question: Question) -> History:
    """Read what is counted, and count first where no worker has."""
    with deadline(READ_SECONDS):
        history = use_case.look(runtime, question)
    if not history.waiting:
        return history
    click.echo("Counting what no worker has counted yet ...", err=True)
    use_case.keep_counted(runtime)
    with deadline(READ_SECONDS):
        return use_case.look(runtime, question)


def _refuse_unknown(numbers: Sequence[str], history: History) -> None:
    known = {address(line.number).identity for line in history.known if line.number}
    for number in numbers:
        if address(number).identity not in known:
            named = ", ".join(sorted(known)) or "none yet"
            raise click.BadParameter(f"{number!r} is no number of yours. Yours are: {named}.", param_hint="--number")


def _print(history: History, thresholds: Sequence[float]) -> None:
    tally = history.tally
    if not tally.messages:
        click.echo("There is no history here yet. Try it with: gateway simulate sms --from +15558675310 --body Hello")
        return
    console = Console()
    days = f"{history.days} day" + ("" if history.days == 1 else "s")
    sessions = f"{tally.stored:,} session" + ("" if tally.stored == 1 else "s")
    title = f"{_messages(tally.messages)} in {sessions}, {days}"
    console.print(_table(tally, thresholds, history.days, title))
    used = [line for line in history.lines if line.tally.messages]
    for line in used if len(used) > 1 else ():
        console.print(_table(line.tally, thresholds, history.days, _named(line)))
    click.echo(suggest(tally.gaps).reason)
    if tally.late:
        click.echo(f"{_messages(tally.late)} came late; counted where they were filed, each may be one off.")
    if history.waiting and history.as_of:
        click.echo(f"As of {history.as_of:%Y-%m-%d %H:%M:%S} UTC: another process is still counting.")


def _messages(count: int) -> str:
    return f"{count:,} message" + ("" if count == 1 else "s")


def _named(line: Line) -> str:
    kind = line.channel.communication_type
    name = CHANNELS[kind].name if kind in CHANNELS else kind
    return f"{name} {line.number or line.channel.name}, now {in_words(line.threshold)}"


def _table(tally: Tally, thresholds: Sequence[float], days: int, title: str) -> Table:
    table = Table(title=title, title_justify="left")
    table.add_column("threshold")
    for name in ("sessions", "a day", "messages each", "would join", "would be cut off"):
        table.add_column(name, justify="right")
    for threshold in thresholds:
        made = cut(tally, threshold, days)
        table.add_row(
            in_words(threshold),
            f"{made.sessions:,}",
            f"{made.sessions_per_day:,.1f}",
            f"{made.messages_per_session:,.1f}",
            f"{made.merging:,}",
            f"{made.splitting:,}",
        )
    return table
