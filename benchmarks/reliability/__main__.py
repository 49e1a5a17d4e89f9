"""Run the faults and print the table; exit code 1 if a figure was missed."""

import argparse
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from benchmarks.reliability import report, trial
from benchmarks.reliability.faults import FAULTS, Impossible
from benchmarks.reliability.plan import Load


def main() -> int:
    """Run what was asked for; gives the exit code."""
    given = _arguments()
    amount = Load(given.seconds, given.rate, given.senders, seed=given.seed)
    results = []
    for name in given.fault or FAULTS:
        results.append(_run(name, amount, given))
        if given.json:  # after each, so that a run which is cut short leaves what it has
            given.json.write_text(json.dumps({"load": vars(amount), "results": results}, indent=2) + "\n")
    print(report.table(results))
    return int(not all(one.get("ok", True) for one in results))


def _run(name: str, amount: Load, given: argparse.Namespace) -> dict[str, Any]:
    fault = FAULTS[name]
    folder = Path(tempfile.mkdtemp(prefix=f"reliability-{name}-")) if given.keep else None
    print(f"{fault.title} ...", file=sys.stderr, flush=True)
    try:
        outcome = trial.run(fault, amount, responder=given.responder, folder=folder)
    except Impossible as reason:
        return {"fault": name, "title": fault.title, "skipped": str(reason)}
    figures = report.figures(outcome)
    print(f"  {'reached' if figures['ok'] else 'MISSED'}{f', kept in {folder}' if folder else ''}", file=sys.stderr)
    return figures


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.reliability", description=__doc__)
    parser.add_argument("--fault", action="append", choices=list(FAULTS), help="this one only; may be given again")
    parser.add_argument("--seconds", type=float, default=60)
    parser.add_argument("--rate", type=float, default=100, help="webhooks a second")
    parser.add_argument("--senders", type=int, default=500)
    parser.add_argument("--responder", choices=["none", "echo"], default="echo")
    parser.add_argument("--seed", type=int, default=7, help="another one draws other senders and delays")
    parser.add_argument("--json", type=Path, help="write all figures to this file")
    parser.add_argument("--keep", action="store_true", help="keep logs and data")
    return parser.parse_args()


if __name__ == "__main__":
    sys.exit(main())
