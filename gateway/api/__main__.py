"""`gateway openapi`: the OpenAPI file, without a server or a database."""

import signal
import sys
from pathlib import Path

from gateway import api
from gateway.api.documentation import Documented, written


def main(path: str) -> None:
    """Write the OpenAPI file; `-` is the standard output."""
    signal.signal(signal.SIGINT, signal.SIG_DFL)
    signal.pthread_sigmask(signal.SIG_UNBLOCK, {signal.SIGINT})
    app = Documented("gateway.app")
    api.register(app)
    if path == "-":
        sys.stdout.write(written(app))
    else:
        try:
            Path(path).write_text(written(app), encoding="utf-8")
        except OSError as error:
            sys.exit(f"Error: {path} cannot be written: {error.strerror}.")


if __name__ == "__main__":
    main(sys.argv[1])
