"""`python -m benchmarks.scale --folder .data/bench-scale`: the finder, pages, webhooks and indexes at every size.

Databases of 10,000, a million and five million sessions are filled once (about half an hour and 6 GB on two cores) and
stay in the folder, so that a second run measures at once.
"""

import argparse
import json
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from benchmarks.scale import finder, ingest, pages, sizes
from benchmarks.scale.databases import SIZES, filled

PARTS = ("finder", "pages", "ingest", "indexes")

# Less than five million sessions, their messages and indexes take: what is seldom asked for is read from the disk.
CACHE_GB = 3.0


def main() -> None:
    """Fill if need be, measure, print tables, keep JSON."""
    asked = argparse.ArgumentParser(prog="python -m benchmarks.scale", description=__doc__)
    asked.add_argument("parts", nargs="*", metavar="part", help=f"of {', '.join(PARTS)}; all if none")
    asked.add_argument("--folder", type=Path, default=Path(".data/bench-scale"))
    asked.add_argument("--sizes", nargs="+", choices=list(SIZES), default=list(SIZES))
    asked.add_argument("--rounds", type=int, default=12, help="how often the sizes take turns")
    asked.add_argument("--times", type=int, default=20, help="how often each page is asked for")
    asked.add_argument("--cache-gb", type=float, default=CACHE_GB, help="room that MongoDB keeps what it read in")
    asked.add_argument("--warm", action="store_true", help="read all sessions first; 12 GB hold those of all sizes")
    asked.add_argument("--json", type=Path, help="keep the figures in this file, those of other parts too")
    given = asked.parse_args()
    wanted = {size: SIZES[size] for size in given.sizes}
    with filled(given.folder, wanted, cache_gb=given.cache_gb) as mongo:
        for size in given.sizes if given.warm else ():
            mongo.warm(size)
        measures = {
            "finder": lambda: finder.measure(mongo, given.sizes, given.rounds, cold=not given.warm),
            "pages": lambda: pages.measure(mongo, given.sizes, given.times),
            "ingest": lambda: ingest.measure(mongo, given.sizes, given.rounds),
            "indexes": lambda: sizes.measure(mongo, given.sizes),
        }
        for part in [part for part in PARTS if part in (given.parts or PARTS)]:
            rows = measures[part]()
            print(f"\n{part}\n\n{_table(rows)}", flush=True)
            if given.json:
                _keep(given.json, part, rows)


def _table(rows: Sequence[Mapping[str, Any]]) -> str:
    names = list(dict.fromkeys(name for row in rows for name in row))
    lines = [names, ["---"] * len(names), *([str(row.get(name, "")) for name in names] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _keep(path: Path, part: str, rows: Sequence[Mapping[str, Any]]) -> None:
    kept = json.loads(path.read_text()) if path.exists() else {}
    path.write_text(json.dumps(kept | {part: rows}, indent=1) + "\n")


if __name__ == "__main__":
    main()
