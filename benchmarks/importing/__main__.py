"""`python -m benchmarks.importing`: import a generated source as its own process, and insert the same documents raw.

Both take turns. The import is `gateway import` as people run it, from its start to its end; raw is `insert_many` of the
very sessions, messages and contacts that are in the database afterwards, with the same indexes and write concern, their
reading not counted. Reads nothing that is not generated, and deletes it at the end.
"""

import argparse
import json
import shutil
import time
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import bson
import pymongo
from bson.codec_options import CodecOptions
from pymongo.database import Database

from benchmarks.importing.generating import LAYOUTS, LINE, Size
from benchmarks.importing.processes import Command, Processor, Spent
from gateway import settings
from gateway.store import connection
from gateway.store.embedded import EmbeddedMongo

COPIED = ("contacts", "sessions", "messages")
AT_ONCE = 1000
Documents = Database[dict[str, Any]]


class Bench:
    """A mongod of its own, and one source in a folder."""

    def __init__(self, folder: Path, layout: str, size: Size) -> None:
        self.folder, self.layout, self.size = folder, layout, size
        shutil.rmtree(folder, ignore_errors=True)
        self.source = folder / "source"
        self.source.mkdir(parents=True)
        LAYOUTS[layout](self.source, size)
        self.mongo = EmbeddedMongo(folder / "mongo", cache_gb=1)
        self.mongo.start()
        self.server = self.mongo.process.pid if self.mongo.process else 0
        self.client: pymongo.MongoClient[dict[str, Any]] = pymongo.MongoClient(
            self.mongo.uri, w="majority", journal=True, tz_aware=True
        )

    def close(self) -> None:
        """Stop, and delete everything."""
        self.client.close()
        self.mongo.stop()
        shutil.rmtree(self.folder)

    def uri(self, name: str) -> str:
        """Give the connection string of a database."""
        return self.mongo.uri.replace("/gateway?", f"/{name}?")

    def prepare(self, name: str) -> None:
        """Make a database with all indexes."""
        self.client.drop_database(name)
        connection.connect(settings.load(env="development", data_dir=self.folder, mongodb_uri=self.uri(name)))
        connection.create_indexes()
        connection.disconnect()

    def gateway(self, name: str, *given: str) -> tuple[Spent, dict[str, Any]]:
        """Run a command of the gateway to its end; gives what it took, and what it printed."""
        return Command(self.folder, self.uri(name), self.server).run(*given)

    def bring_in(self, name: str, *given: str) -> tuple[Spent, dict[str, Any]]:
        """Import the source."""
        return self.gateway(name, "import", str(self.source), "--layout", self.layout, "--line", LINE, "--json", *given)

    def copy(self, name: str) -> None:
        """Write down what was stored, in the order it was."""
        for one in COPIED:
            with (self.folder / f"{one}.bson").open("wb") as file:
                options = CodecOptions(document_class=bson.raw_bson.RawBSONDocument)
                for row in self.client[name].get_collection(one, options).find().sort("$natural", 1):
                    file.write(row.raw)

    def raw(self, name: str) -> Spent:
        """Insert what was written down."""
        spent = Spent()
        processor = Processor(self.server)
        for one in COPIED:
            target = self.client[name][one]
            with (self.folder / f"{one}.bson").open("rb") as file:
                batch: list[dict[str, Any]] = []
                for row in bson.decode_file_iter(file, CodecOptions(tz_aware=True)):
                    batch.append(row)
                    if len(batch) == AT_ONCE:
                        spent += _insert(target, batch, processor)
                        batch = []
                spent += _insert(target, batch, processor)
        return spent


def _insert(target: Any, batch: Sequence[dict[str, Any]], processor: Processor) -> Spent:
    if not batch:
        return Spent()
    cpu, server, began = time.process_time(), processor.seconds(), time.perf_counter()
    target.insert_many(batch, ordered=False)
    took = time.perf_counter() - began
    return Spent(took, time.process_time() - cpu, processor.seconds() - server)


def main() -> None:
    """Measure and print a table, then the same as JSON."""
    asked = argparse.ArgumentParser(prog="python -m benchmarks.importing")
    asked.add_argument("--messages", type=int, default=1_000_000)
    asked.add_argument("--layout", choices=sorted(LAYOUTS), default="flat")
    asked.add_argument("--rounds", type=int, default=1, help="How often both take turns.")
    asked.add_argument("--more", action="store_true", help="Also dry run, verify, undo and --rethread.")
    asked.add_argument("--folder", type=Path, default=Path(".data/bench-importing"), help="It is emptied first.")
    given = asked.parse_args()
    size = Size(given.messages, max(1, given.messages // 5), max(1, given.messages // 20))
    bench = Bench(given.folder.resolve(), given.layout, size)
    try:
        _measure(bench, given.rounds, given.more)
    finally:
        bench.close()


def _measure(bench: Bench, rounds: int, more: bool) -> None:
    print(f"{bench.size.messages:,} messages, {bench.layout}, cache 1 GB\n")
    print("| what | seconds | messages/s | its CPU us/message | mongod's CPU us/message | peak RSS MB |")
    print("|---|---|---|---|---|---|")
    found: list[dict[str, Any]] = []

    def row(what: str, spent: Spent) -> Spent:
        found.append({"what": what} | spent.per(bench.size.messages))
        print(f"| {what} | " + " | ".join(f"{one:,}" for one in list(found[-1].values())[1:]) + " |", flush=True)
        return spent

    ratios = []
    for number in range(rounds):
        bench.prepare("imported")
        spent, run = bench.bring_in("imported")
        row("import", spent)
        _check(run, bench.size)
        bench.copy("imported")
        bench.prepare("raw")
        raw = row("insert_many", bench.raw("raw"))
        ratios.append(round(raw.seconds / spent.seconds, 2))
        bench.client.drop_database("raw")
        if more and number == rounds - 1:
            _more(bench, run["id"], row)
    print(f"\nThe rate of the import is {', '.join(map(str, ratios))} of that of insert_many.")
    print(json.dumps({"layout": bench.layout, "messages": bench.size.messages, "ratios": ratios, "rows": found}))


def _check(run: dict[str, Any], size: Size) -> None:
    if run["state"] != "done" or run["messages"]["imported"] != size.messages:
        raise SystemExit(f"The import did not bring everything: {run}")


def _more(bench: Bench, run_id: str, row: Any) -> None:
    row("verify", bench.gateway("imported", "import", "verify", run_id, "--json")[0])
    row("import again", bench.bring_in("imported")[0])
    row("undo", bench.gateway("imported", "import", "undo", run_id, "--yes", "--json")[0])
    row("dry run", bench.bring_in("imported", "--dry-run")[0])
    spent, run = bench.bring_in("imported", "--rethread", "--threshold", "300")
    row("import --rethread", spent)
    row("verify --rethread", bench.gateway("imported", "import", "verify", run["id"], "--json")[0])
    row("undo --rethread", bench.gateway("imported", "import", "undo", run["id"], "--yes", "--json")[0])


if __name__ == "__main__":
    main()
