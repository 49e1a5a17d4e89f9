"""The commands that run the gateway, or write its OpenAPI file: each becomes or starts another process."""

import os
import signal
import sys
from typing import NoReturn

import click

from gateway import settings


@click.command()
def serve() -> None:
    """Run everything: MongoDB (unless MONGODB_URI is set), web and worker. Ctrl-C stops it all.

    \b
    Example:  PORT=8081 gateway serve
    """
    from gateway.cli.serve import serve as run_everything

    sys.exit(run_everything(settings.load()))


@click.command()
def worker() -> None:
    """Run the worker: answers and sends what is queued, closes idle sessions, settles after a crash.

    \b
    Example:  GATEWAY_ENV=production gateway worker
    """
    settings.load()
    _become("gateway.worker")


@click.command()
@click.option("--output", "-o", type=click.Path(dir_okay=False), default="-", help="A file instead of the screen.")
def openapi(output: str) -> None:
    """Write the OpenAPI 3.1 file of the REST API, for generating clients. Needs no database.

    \b
    Example:  gateway openapi -o openapi.json
    """
    _become("gateway.api", output)


def _become(module: str, *arguments: str) -> NoReturn:
    """Become another process. Ctrl-C waits until that has imported what it needs, which would show as a trace."""
    signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    os.execv(sys.executable, [sys.executable, "-m", module, *arguments])  # noqa: S606
