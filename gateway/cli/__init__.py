"""The command `gateway`."""

import sys


def main() -> None:
    """Run the command line; a library that is missing is said in one line, not in a traceback."""
    try:
        from gateway.cli.commands import cli

        cli()
    except ModuleNotFoundError as error:
        sys.exit(f"gateway: the library {error.name!r} is missing. Run `make install`.")
