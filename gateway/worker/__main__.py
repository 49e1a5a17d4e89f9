"""The process behind `gateway worker`."""

import sys

from gateway import settings, worker
from gateway.core.errors import ConfigError

if __name__ == "__main__":
    try:
        worker.run(settings.load())
    except ConfigError as error:
        sys.exit(f"gateway: {error}")
