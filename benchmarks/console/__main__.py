"""`python -m benchmarks.console`: fill a real mongod with a million sessions and measure the list page.

The data stay in the folder given, so that a second run measures at once.
"""

import argparse
from functools import partial
from pathlib import Path

from flask import Flask
from flask.testing import FlaskClient

from benchmarks.console.filling import NEWEST
from benchmarks.measuring import Used, filled, row
from gateway.store import users
from gateway.store.connection import collection
from gateway.store.documents import SessionDocument

PASSWORD = "benchmark password"

PAGES = {
    "All": "",
    "SMS": "?type=sms",
    "Voice": "?type=voice",
    "Chat (empty)": "?type=chat",
    "Open": "?status=active",
    "Archived": "?status=archived",
    "Voice, archived": "?type=voice&status=archived",
    "Page 2000 of All": "?cursor={middle}",
    "Channel": "?channel=sms:%2B15017122662",
    "Channel, nearly silent": "?channel=whatsapp:%2B15017122669",
    "Dates": "?from=2025-06-01&to=2025-06-02",
    "Dates, voice": "?from=2025-06-01&to=2025-06-30&type=voice",
    "Errors": "?error=1",
    "Errors, nearly silent channel": "?error=1&channel=whatsapp:%2B15017122669",
    "Tag": "?tag=vip",
    "Tag, voice": "?tag=vip&type=voice",
    "Unknown tag": "?tag=nothing",
    "Assigned to me": "?assigned=me",
    "Unassigned": "?assigned=nobody",
    "Needs a person": "?person=1",
    "Number, in full": "?q=%2B14155550000",
    "Number, 4 digits": "?q=1415",
    "Number, 6 digits": "?q=%2B1+415+55",
    "Number, 7 digits": "?q=%2B1+415+555",
    "Word, in few": "?q=zebra",
    "Word, in a third": "?q=invoice",
    "Word, in all": "?q=hello",
    "Two words": "?q=hello+battery",
    "Name": "?q=Lovelace",
    "Word, errors, voice": "?q=delivery&error=1&type=voice",
}


def main() -> None:
    """Fill if need be, measure, print a table."""
    asked = argparse.ArgumentParser(prog="python -m benchmarks.console")
    asked.add_argument("--sessions", type=int, default=1_000_000)
    asked.add_argument("--folder", type=Path, default=Path(".data/bench-console"))
    asked.add_argument("--times", type=int, default=60)
    given = asked.parse_args()
    with filled(given.folder, given.sessions) as (app, used):
        _measure(app, given.times, used)


def _measure(app: Flask, times: int, used: Used) -> None:
    middle = collection(SessionDocument).find({}, {"last_message_at": 1}).sort("last_message_at", -1).skip(100_000)
    at = next(iter(middle.limit(1)))
    cursor = f"{round(at['last_message_at'].timestamp() * 1000)}-{at['_id']}"
    readers = {"sees all": None, "sees one busy channel": ["sms:+15017122661"]}
    readers["sees a nearly silent one"] = ["whatsapp:+15017122669"]
    for reader, channels in readers.items():
        name = "admin" if channels is None else reader
        if not users.exists(name):
            users.add(name, PASSWORD, NEWEST, channels=channels)
        client = logged_in(app, name)
        print(f"\n| {reader} | p50 ms | p95 ms | CPU ms | sessions |\n|---|---|---|---|---|")
        for title, query in PAGES.items():
            ask = partial(client.get, f"/admin/{query.format(middle=cursor)}")
            row(title, ask, times, used, lambda text: text.count("data-session="))


def logged_in(app: Flask, name: str) -> FlaskClient:
    """Log in at the console."""
    client = app.test_client()
    token = client.get("/admin/login").text.partition('name="csrf_token" value="')[2].partition('"')[0]
    client.post("/admin/login", data={"csrf_token": token, "name": name, "password": PASSWORD})
    return client


if __name__ == "__main__":
    main()
