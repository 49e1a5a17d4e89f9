"""Ctrl-C: one line that says what stands and how to go on, and the exit code that shells know."""

import functools
import sys
from collections.abc import Callable
from typing import IO, Any, TypeVar

import click

EXIT_CODE = 130

_Command = TypeVar("_Command", bound=Callable[..., Any])


class Stopped(click.ClickException):
    """Somebody pressed Ctrl-C."""

    exit_code = EXIT_CODE

    def show(self, file: IO[Any] | None = None) -> None:
        """Say so, below the ^C that a terminal shows."""
        stream = file or sys.stderr
        lead = "\n" if stream.isatty() else ""
        click.echo(f"{lead}Stopped. {self.message}".rstrip(), file=stream)


def leaves(stands: str) -> Callable[[_Command], _Command]:
    """Let a command say what stands when it is stopped, and how to go on."""

    def mark(command: _Command) -> _Command:
        @functools.wraps(command)
        def stoppable(*arguments: Any, **options: Any) -> Any:
            try:
                return command(*arguments, **options)
            except KeyboardInterrupt:
                raise Stopped(stands) from None

        return stoppable  # type: ignore[return-value]

    return mark
