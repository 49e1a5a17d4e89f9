"""What the webhook inspector costs a webhook: the same requests with it off, as it is by default, and keeping all.

    .venv/bin/python -m benchmarks.inspector --requests 25 --rounds 40

One process and a real mongod with majority and journalled writes. The three take turns, so that whatever else the
machine does hits all of them; only the ratios are worth anything. `cpu` is what the webhook's own thread computed,
which a busy machine disturbs least. Refused requests (forged here) are always kept.
"""

import argparse
import itertools
import json
import statistics
import tempfile
import time
from pathlib import Path

from flask import Flask

from gateway import settings
from gateway.app import create_app
from gateway.channels.signature import SIGNATURE_HEADER, sign
from gateway.store import connection
from gateway.store.embedded import EmbeddedMongo

TOKEN, HOST, PATH = "benchmark-token", "https://gateway.example.com", "/webhooks/sms"
KINDS = {"off": {"enabled": False}, "default": {}, "all": {"sample_rate": 1}}

_numbers = itertools.count(1)


def make(uri: str, folder: Path, inspector: dict[str, object]) -> Flask:
    """Make an app with this inspector, its threads running."""
    return create_app(
        settings.load(
            env="test", data_dir=folder, mongodb_uri=uri, public_url=HOST, twilio_auth_token=[TOKEN], secret_key="x",
            inspector=inspector, log={"format": "json"},
        )
    )  # fmt: skip


def block(app: Flask, count: int, *, genuine: bool) -> list[tuple[float, float]]:
    """Post so many webhooks; gives the milliseconds each took, and computed."""
    client, spent = app.test_client(), []
    for _ in range(count):
        number = next(_numbers)
        form = {"MessageSid": f"SM{number:032x}", "From": f"+1555{number % 50:07d}", "To": "+15017122661", "Body": "Hi"}
        headers = {SIGNATURE_HEADER: sign(TOKEN if genuine else "forged", HOST + PATH, form)}
        started, computed = time.perf_counter(), time.thread_time()
        status = client.post(PATH, data=form, headers=headers).status_code
        spent.append(((time.perf_counter() - started) * 1000, (time.thread_time() - computed) * 1000))
        if status != (200 if genuine else 403):
            raise SystemExit(f"The gateway answered {status}.")
    return spent


def measure(apps: dict[str, Flask], requests: int, rounds: int, *, genuine: bool) -> dict[str, dict[str, float]]:
    """Let the apps take turns; gives the milliseconds of each: p50, p99, and the median of what was computed."""
    spent: dict[str, list[tuple[float, float]]] = {name: [] for name in apps}
    for app in apps.values():
        block(app, 20, genuine=genuine)
    for _ in range(rounds):
        for name, app in apps.items():
            spent[name] += block(app, requests, genuine=genuine)
    found = {}
    for name, times in spent.items():
        cuts = statistics.quantiles([took for took, _ in times], n=100)
        computed = statistics.median(computed for _, computed in times)
        found[name] = {"p50": round(cuts[49], 3), "p99": round(cuts[98], 3), "cpu": round(computed, 3)}
    return found


def main() -> None:
    """Print what each kind of request took, and the ratios to the inspector being off."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--requests", type=int, default=25)
    parser.add_argument("--rounds", type=int, default=40)
    given = parser.parse_args()
    with tempfile.TemporaryDirectory() as folder:
        mongo = EmbeddedMongo(Path(folder) / "mongo")
        mongo.start()
        try:
            apps = {name: make(mongo.uri, Path(folder) / name, kind) for name, kind in KINDS.items()}
            connection.create_indexes()
            for genuine in (True, False):
                found = measure(apps, given.requests, given.rounds, genuine=genuine)
                ratios = {
                    name: {cut: round(times[cut] / found["off"][cut], 2) for cut in ("p50", "p99", "cpu")}
                    for name, times in found.items()
                }
                print(json.dumps({"genuine" if genuine else "forged": found, "ratio": ratios}), flush=True)
        finally:
            connection.disconnect()
            mongo.stop()


if __name__ == "__main__":
    main()
