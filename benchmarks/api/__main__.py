"""`python -m benchmarks.api`: list and get over the API with a million sessions, authenticated, through the WSGI app.

The data are those of `benchmarks.console`; they stay in the folder given, so that a second run measures at once.
"""

import argparse
from functools import partial
from pathlib import Path
from typing import Any

from flask import Flask

from benchmarks.console.filling import NEWEST
from benchmarks.measuring import Used, filled, row
from gateway.store import api_keys
from gateway.store.connection import collection
from gateway.store.documents import SessionDocument

BUSY, SILENT = "sms:+15017122661", "whatsapp:+15017122669"

CALLS = {
    "get": "/sessions/{id}",
    "get with 50 messages": "/sessions/{id}?messages=50",
    "messages of a session": "/sessions/{id}/messages",
    "one message": "/messages/{message}",
    "list, all": "/sessions",
    "list, 200 of them": "/sessions?limit=200",
    "list, oldest first": "/sessions?sort=last_message_at",
    "list, page 2000": "/sessions?cursor={middle}",
    "type": "/sessions?type=voice",
    "status": "/sessions?status=archived",
    "type and status": "/sessions?type=voice&status=archived&sort=last_message_at",
    "channel": "/sessions?channel=sms:%2B15017122662",
    "channel of another type": "/sessions?channel=sms:%2B15017122662&type=voice",
    "silent channel": "/sessions?channel=whatsapp:%2B15017122669",
    "contact": "/sessions?contact={contact}",
    "number": "/sessions?number={number}",
    "number, 6 digits": "/sessions?number=%2B141555",
    "a day": "/sessions?from=2025-06-01T00:00:00Z&to=2025-06-02T00:00:00Z",
    "tag": "/sessions?tag=vip",
    "assigned": "/sessions?assigned=bea",
    "nobody's": "/sessions?assigned=nobody",
    "failed": "/sessions?failed=true",
    "needs a person": "/sessions?needs_person=true",
    "a rare word": "/sessions?q=zebra",
    "a common word": "/sessions?q=invoice",
}


def main() -> None:
    """Fill if need be, measure, print a table for each key."""
    asked = argparse.ArgumentParser(prog="python -m benchmarks.api")
    asked.add_argument("--sessions", type=int, default=1_000_000)
    asked.add_argument("--folder", type=Path, default=Path(".data/bench-console"))
    asked.add_argument("--times", type=int, default=60)
    given = asked.parse_args()
    with filled(given.folder, given.sessions, api={"requests_per_minute": 1_000_000}) as (app, used):
        for channels in (None, [BUSY], [SILENT]):
            _measure(app, channels, given.times, used)


def _measure(app: Flask, channels: list[str] | None, times: int, used: Used) -> None:
    _, key = api_keys.add("benchmark", ["read"], NEWEST, by="a benchmark", channels=channels)
    client, headers = app.test_client(), {"Authorization": f"Bearer {key}"}
    known = _known(channels)
    print(f"\n| key of {channels[0] if channels else 'all channels'} | p50 ms | p95 ms | CPU ms | sessions |")
    print("|---|---|---|---|---|")
    for title, path in CALLS.items():
        ask = partial(client.get, f"/api/v1{path.format_map(known)}", headers=headers)
        row(title, ask, times, used, lambda text: text.count('"message_count"'))
    api_keys.revoke(key.split("_")[1], NEWEST, by="a benchmark")


def _known(channels: list[str] | None) -> dict[str, Any]:
    """Give what the calls name: of the sessions a key sees, one in the midst."""
    wanted = {"channel_id": {"$in": channels}} if channels else {}
    sessions = collection(SessionDocument)
    skip = 500 if channels == [SILENT] else 100_000
    (one,) = sessions.find(wanted).sort("last_message_at", -1).skip(skip).limit(1)
    message = sessions.database["messages"].find_one({"session_id": one["_id"]})
    return {
        "id": one["_id"],
        "message": message["_id"],
        "contact": one["contact_id"],
        "number": one["metadata"]["fromNumber"].replace("+", "%2B"),
        "middle": f"{round(one['last_message_at'].timestamp() * 1000)}-{one['_id']}",
    }


if __name__ == "__main__":
    main()
