"""The commands that run the gateway, or write its OpenAPI file: each becomes or starts another process."""

import os
import sys

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
    """Run the worker: answers and sends what is queued, closes idle sessions, settles after a crash."""
    settings.load()
    os.execv(sys.executable, [sys.executable, "-m", "gateway.worker"])  # noqa: S606


@click.command()
@click.option("--output", "-o", type=click.Path(dir_okay=False), default="-", help="A file instead of the screen.")
def openapi(output: str) -> None:
    """Write the OpenAPI 3.1 file of the REST API, for generating clients. Needs no database.

    \b
    Example:  gateway openapi -o openapi.json
    """
    os.execv(sys.executable, [sys.executable, "-m", "gateway.api", output])  # noqa: S606
