"""The command `gateway`."""

import signal
import sys


def main() -> None:
    """Run the command line; a library that is missing is said in one line, not in a traceback.

    Whoever presses Ctrl-C before there is anything to stop, or after everything is done, gets no line at all.
    """
    try:
        from gateway.cli.commands import cli

        cli(prog_name="gateway")
    except KeyboardInterrupt:
        sys.exit(130)
    except ModuleNotFoundError as error:
        sys.exit(f"gateway: the library {error.name!r} is missing. Run `make install`.")
    finally:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
