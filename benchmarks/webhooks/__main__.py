"""How fast are webhooks, against what somebody would write by hand? Rates, latencies, processor time; A B A B.

make bench                                              # everything, some ten minutes
.venv/bin/python -m benchmarks.webhooks --only floor,ours --rounds 2 --connections 16,64
"""

import argparse
import signal
import tempfile
from itertools import islice
from pathlib import Path

from benchmarks.webhooks import report, signed, trial, wrk
from benchmarks.webhooks.servers import SERVERS, Server
from benchmarks.webhooks.trial import Measured
from gateway.store.embedded import EmbeddedMongo, free_port

DATA = Path(".data")
# So many requests a second are written for; a server that is faster says so.
FASTEST = 5000


def main() -> None:
    """Measure, print a table, and fail where a webhook did."""
    given = _arguments()
    wrk.require()
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        measured = _measure(given)
    except KeyboardInterrupt:
        raise SystemExit("make bench: stopped.") from None
    report.show(measured, given.rounds)
    if given.json:
        given.json.write_text(report.as_json(measured))
    if any(one.failures for one in measured):
        raise SystemExit("make bench: some webhooks failed, see above.")


def _measure(given: argparse.Namespace) -> list[Measured]:
    """Let the servers take turns, in rounds, over one mongod on disk."""
    DATA.mkdir(exist_ok=True)
    measured = []
    with tempfile.TemporaryDirectory(dir=DATA, prefix="bench-") as name:
        folder, port = Path(name).resolve(), free_port()
        requests = folder / "texts"
        enough = trial.WARM_UP + len(given.connections) * round(given.seconds * FASTEST)
        signed.write(requests, port, islice(signed.texts(), enough))
        mongo = EmbeddedMongo(folder / "mongo", cache_gb=1)
        mongo.start()
        try:
            for number in range(given.rounds):
                for server in given.only:
                    for one in trial.run(
                        server, mongo, port, requests, folder, connections=given.connections, seconds=given.seconds
                    ):
                        measured.append(one)
                        print(report.line(number + 1, one), flush=True)
        finally:
            mongo.stop()
    return measured


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", type=_servers, default=list(SERVERS.values()), help=",".join(SERVERS))
    parser.add_argument("--connections", type=_numbers, default=[1, 16, 64], help="1,16,64")
    parser.add_argument("--seconds", type=float, default=8, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=2, help="how often the servers take turns")
    parser.add_argument("--json", type=Path, help="where to write the figures")
    return parser.parse_args()


def _servers(names: str) -> list[Server]:
    if unknown := [name for name in names.split(",") if name not in SERVERS]:
        raise argparse.ArgumentTypeError(f"{unknown[0]} is none of {', '.join(SERVERS)}")
    return [SERVERS[name] for name in names.split(",")]


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


if __name__ == "__main__":
    main()
