"""How fast are webhooks, against what somebody would write by hand? Rates, latencies, processor time; A B A B.

make bench                                              # everything, some ten minutes
.venv/bin/python -m benchmarks.webhooks --only floor,ours --rounds 2 --connections 16,64
"""

import argparse
import contextlib
import signal
import tempfile
from collections.abc import Iterable, Iterator, Sequence
from itertools import islice
from pathlib import Path

from benchmarks.webhooks import profiling, report, signed, trial, wrk
from benchmarks.webhooks.servers import SERVERS, Server
from benchmarks.webhooks.trial import Bench, Measured
from gateway.store.embedded import EmbeddedMongo

DATA = Path(".data")
# What is called, whatever port a server listens on, so that the same texts are signed for all.
ADDRESS = "gateway.example.com"
# Texts are signed for so many a second; a faster server is done sooner.
FASTEST = 3000


def main() -> None:
    """Measure, print a table, and fail where a webhook did."""
    given = _arguments()
    wrk.require()
    if warning := report.busy():
        print(warning)
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.default_int_handler)
    try:
        if given.profile:
            _profile(given)
            return
        measured = _measure(given)
    except KeyboardInterrupt:
        raise SystemExit("make bench: stopped.") from None
    report.show(measured, given.rounds)
    if given.json:
        given.json.write_text(report.as_json(measured))
    if any(one.failures for one in measured):
        raise SystemExit("make bench: some webhooks failed, see above.")


def _profile(given: argparse.Namespace) -> None:
    profiling.require()
    connections = given.connections[-1]
    with _bench(given.seconds + 2, given.first_texts) as bench:
        print(profiling.run(bench, connections=connections, seconds=given.seconds, kept=given.profile.resolve()))


def _measure(given: argparse.Namespace) -> list[Measured]:
    """Let each server and ours take turns over one mongod on disk, while no other runs."""
    measured = []
    with _bench(given.rounds * len(given.connections) * given.seconds, given.first_texts) as bench:
        print(report.HEAD)
        for servers in _compared(server for server in given.only if _can_run(server)):
            for number, one in _rounds(bench, servers, given):
                measured.append(one)
                print(report.line(number, one), flush=True)
    return measured


def _compared(servers: Iterable[Server]) -> list[tuple[Server, ...]]:
    """Put each server beside ours; who is measured alone, or without ours, is by itself."""
    ours, others = SERVERS["ours"], list(servers)
    if ours not in others or others == [ours]:
        return [(server,) for server in others]
    return [(other, ours) for other in others if other is not ours]


def _rounds(bench: Bench, servers: Sequence[Server], given: argparse.Namespace) -> Iterator[tuple[int, Measured]]:
    """Measure in turn, every other round the other way round; gives the number of the round with each.

    The server that was started first is the faster one, whichever it is: after half of the rounds the other one is.
    """
    kinds = [kind for kind in servers[0].takes if all(kind in server.takes for server in servers)]
    numbers = range(1, given.rounds + 1)
    middle = (given.rounds + 1) // 2
    for half, started in ((numbers[:middle], servers), (numbers[middle:], servers[::-1])):
        with contextlib.ExitStack() as stack:
            trials = [stack.enter_context(trial.begun(bench, server, kinds)) for server in started if half]
            for number in half:
                turns = trials if number % 2 else trials[::-1]
                for one in trial.run(turns, kinds, connections=given.connections, seconds=given.seconds):
                    yield number, one


def _can_run(server: Server) -> bool:
    if problem := server.missing():
        print(f"{server.name} is not measured: {problem}.")
    return not problem


@contextlib.contextmanager
def _bench(seconds: float, first_texts: int) -> Iterator[Bench]:
    """Start a mongod on disk, and sign enough texts for so many seconds."""
    DATA.mkdir(exist_ok=True)
    with tempfile.TemporaryDirectory(dir=DATA, prefix="bench-") as name:
        folder = Path(name).resolve()
        texts = folder / "texts"
        sent = signed.texts(first_texts=first_texts)
        written = signed.write(texts, ADDRESS, islice(sent, trial.WARM_UP + round(seconds * FASTEST)))
        mongo = EmbeddedMongo(folder / "mongo", cache_gb=1)
        mongo.start()
        try:
            yield Bench(mongo.process.pid if mongo.process else 0, mongo.uri, ADDRESS, texts, written, folder)
        finally:
            mongo.stop()


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="make bench", description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("--only", type=_servers, default=list(SERVERS.values()), help=",".join(SERVERS))
    parser.add_argument("--connections", type=_numbers, default=[1, 16, 64], help="1,16,64")
    parser.add_argument("--seconds", type=float, default=2, help="of each measurement")
    parser.add_argument("--rounds", type=int, default=8, help="how often two servers take turns")
    parser.add_argument(
        "--first-texts", type=int, default=signed.FIRST_TEXTS, metavar="N", help="one text in N is its sender's first"
    )
    parser.add_argument("--json", type=Path, help="where to write the figures")
    parser.add_argument("--profile", type=Path, metavar="FILE", help="only profile `ours` with py-spy, stacks to FILE")
    return parser.parse_args()


def _servers(names: str) -> list[Server]:
    if unknown := [name for name in names.split(",") if name not in SERVERS]:
        raise argparse.ArgumentTypeError(f"{unknown[0]} is none of {', '.join(SERVERS)}")
    return [SERVERS[name] for name in names.split(",")]


def _numbers(text: str) -> list[int]:
    return [int(number) for number in text.split(",")]


if __name__ == "__main__":
    main()
