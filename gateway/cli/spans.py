"""The options that say how far back to look, read as an error in them is to be told."""

from datetime import datetime

import click

from gateway.core.spans import BadSpan, moment_of


def read(option: str, written: str | None, now: datetime) -> datetime | None:
    """Read the span or moment that an option was given; BadParameter, which names the option, for what is neither."""
    try:
        return moment_of(written, now) if written else None
    except BadSpan as error:
        raise click.BadParameter(str(error), param_hint=option) from None
