"""Exports over the API: the console's files, with the list's filters, for who may see what is in them."""

import csv
import io
import json

import pytest

from gateway.conversation import export
from tests.api.conftest import problem

SMS, WHATSAPP = "sms:+15017122661", "whatsapp:+14155238886"


@pytest.fixture(autouse=True)
def history(twilio):
    twilio.sms("first words", From="+15550001111")
    twilio.sms("other words", From="+15550002222")
    twilio.whatsapp("third", From="whatsapp:+15550003333", WaId="15550003333")


def lines(response):
    assert response.status_code == 200, response.text
    return list(map(json.loads, response.text.splitlines()))


def contents(response):
    return [
        line["message"]["content"] for line in lines(response) if line.get("message", {}).get("sender") == "contact"
    ]


def test_jsonl_is_the_layout_that_is_imported(reader, db):
    answer = reader.get("/export.jsonl")
    assert answer.content_type == "application/jsonl; charset=utf-8"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="sessions-20260301-100000.jsonl"'
    head, *_, end = lines(answer)
    assert (head["layout"], end) == ("gateway", {"end": {"sessions": 3, "messages": 6}})
    assert [(row["action"], row["by"]) for row in db.audit.find()] == [
        ("export_started", "key:test"),
        ("export_finished", "key:test"),
    ]


def test_csv_has_a_line_for_each_message(reader):
    answer = reader.get("/export.csv?type=whatsapp")
    assert answer.content_type == "text/csv; charset=utf-8"
    rows = list(csv.DictReader(io.StringIO(answer.text.removeprefix("\ufeff"))))
    assert [row["content"] for row in rows] == ["third", "third"]


@pytest.mark.parametrize(
    ("query", "found"),
    [
        ("type=whatsapp", ["third"]),
        ("status=closed", []),
        ("channel=sms:%2B15017122661&number=%2B15550001111", ["first words"]),
        ("number=%2B1555000222", ["other words"]),
        ("number=nobody", []),
        ("q=first", ["first words"]),
        ("q=words&number=%2B15550002222", ["other words"]),
        ("from=2026-03-01T10:00:01Z", []),
        ("to=2026-03-01T10:00:01Z&type=whatsapp", ["third"]),
        ("contact=65f000000000000000000000", []),
        ("contact=nonsense", []),
        ("assigned=nobody&type=whatsapp", ["third"]),
        ("failed=true", []),
    ],
)
def test_the_filters_are_the_lists(reader, query, found):
    assert contents(reader.get(f"/export.jsonl?{query}")) == found


def test_one_session_and_one_contact(reader, db):
    session = db.sessions.find_one({"communication_type": "whatsapp"})
    assert contents(reader.get(f"/export.jsonl?session={session['_id']}")) == ["third"]
    assert contents(reader.get(f"/export.jsonl?contact={session['contact_id']}")) == ["third"]
    problem(reader.get("/export.jsonl?session=65f000000000000000000000"), 404, "not_found")
    problem(reader.get("/export.jsonl?session=nonsense"), 422, "wrong_value")
    problem(reader.get("/export.jsonl?sessions=1"), 422, "wrong_value")
    problem(reader.get("/export.xml"), 404, "not_found")


def test_a_limited_key_takes_along_what_it_sees(program, db):
    mine = program("read", channels=[WHATSAPP])
    assert contents(mine.get("/export.jsonl")) == ["third"]
    assert contents(mine.get("/export.jsonl?channel=sms:%2B15017122661")) == []
    assert contents(mine.get("/export.jsonl?q=words")) == []
    theirs = db.sessions.find_one({"communication_type": "sms"})
    problem(mine.get(f"/export.jsonl?session={theirs['_id']}"), 404, "not_found")
    assert contents(mine.get(f"/export.jsonl?contact={theirs['contact_id']}")) == []


def test_so_many_at_once_with_those_of_the_console(reader):
    held = [reader.get("/export.jsonl") for _ in range(export.MOST)]
    refused = reader.get("/export.csv")
    for answer in held:
        answer.close()
    assert (refused.status_code, refused.headers["Retry-After"]) == (503, "30")
    assert reader.get("/export.csv").status_code == 200
