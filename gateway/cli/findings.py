"""What the doctor found, on a terminal and as JSON."""

import textwrap
from collections.abc import Iterator, Mapping, Sequence
from itertools import groupby
from typing import Any

import click
from rich.console import Console
from rich.text import Text

from gateway.cli.entries import printable
from gateway.conversation.doctor.examine import Examined
from gateway.conversation.doctor.findings import Finding, State

Found = list[tuple[Examined, Finding]]

_LABELS = {
    State.OK: ("ok", "green"),
    State.WARNING: ("warning", "yellow"),
    State.WRONG: ("wrong", "bold red"),
    State.NOT_CHECKED: ("-", "dim"),
}
_MARGIN, _DEEPER = 10, 12

# Longer lines are hard to read.
_WIDEST = 110


def show(group: str, results: Sequence[Examined], *, first: bool) -> None:
    """Print what was found in a group."""
    console = Console(highlight=False, soft_wrap=True, markup=False)
    console.print(Text(group if first else f"\n{group}", style="bold"))
    for state, what, findings in _lines(results):
        label, style = _LABELS[state]
        head, *rest = _wrapped(console, what, _MARGIN)
        console.print(Text.assemble("  ", (f"{label:8}", style), head), *rest, sep="\n")
        for finding in findings:
            for detail in finding.details:
                console.print(*_wrapped(console, detail, _DEEPER, first=_DEEPER), sep="\n")
            for remedy in finding.remedies:
                words = f"-> {remedy}{'  [--fix does it]' if finding.mend else ''}"
                for line in _wrapped(console, words, _DEEPER + 3, first=_DEEPER):
                    console.print(Text(line, style="cyan"))


def _wrapped(console: Console, words: str, margin: int, *, first: int = 0) -> list[str]:
    """Break words into lines with a margin; commands and addresses stay whole.

    Part of them may come from whoever answers at our address, or sends to it.
    """
    width = min(console.width, _WIDEST)
    lines = textwrap.wrap(printable(words), width - margin, break_long_words=False, break_on_hyphens=False) or [""]
    return [" " * (margin if number else first) + line for number, line in enumerate(lines)]


def _lines(results: Sequence[Examined]) -> Iterator[tuple[State, str, Sequence[Finding]]]:
    """Give what is to be printed; what was not checked for the same reason is one line."""
    rows = [(one.check.name, finding) for one in results for finding in one.findings]
    for skipped, group in groupby(rows, lambda row: row[1].what if row[1].state is State.NOT_CHECKED else ""):
        members = list(group)
        if skipped:
            yield State.NOT_CHECKED, f"{', '.join(name for name, _ in members)}: not checked, {skipped}.", ()
        else:
            yield from ((finding.state, finding.what, [finding]) for _, finding in members)


def summarise(found: Found, *, fix: bool) -> None:
    """Print how it stands, and of what is left after mending whose it is."""
    wrong, warned = (sum(one.state is state for _, one in found) for state in (State.WRONG, State.WARNING))
    warnings = f"{warned} warning{'' if warned == 1 else 's'}" if warned else "no warnings"
    words = {0: "Nothing is wrong", 1: "One thing is wrong"}.get(wrong, f"{wrong} things are wrong")
    Console(highlight=False).print(Text(f"\n{words}, {warnings}.", style="bold"))
    if fix and wrong + warned and not any(one.mend for _, one in found):
        click.echo("The doctor mends nothing more of it: the remedies above are for you.")


def plain(found: Found, fixed: Sequence[Mapping[str, Any]]) -> dict[str, Any]:
    """Give it for machines."""
    return {
        "ok": not any(one.state is State.WRONG for _, one in found),
        "findings": [
            {
                "group": examined.check.group,
                "check": examined.check.name,
                "state": one.state.value,
                "what": one.what,
                "details": list(one.details),
                "remedies": list(one.remedies),
                "fixable": one.mend is not None,
            }
            for examined, one in found
        ],
        "fixed": list(fixed),
    }
