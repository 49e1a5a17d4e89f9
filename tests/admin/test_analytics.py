"""Analytics: what each chart says, of which days and channels, to whom; and the same as CSV."""

import csv
import io
import re
from datetime import timedelta

import pytest
from bson import ObjectId

from gateway.conversation import daily
from gateway.store import flow_runs, users
from gateway.store.flow_runs import Run
from gateway.store.outbound import Place
from tests.admin.conftest import PASSWORD, Console
from tests.conftest import TEN

OTHER_LINE = "+15017122662"


@pytest.fixture
def count(app, clock):
    """Let a worker's minute pass."""

    def counted():
        clock.tick(120)
        daily.count(app.extensions["gateway"])

    return counted


@pytest.fixture
def log_in_as(app):
    """Log in somebody who is limited to channels."""

    def log_in(channels):
        users.add("ada", PASSWORD, TEN, role="viewer", channels=channels)
        console = Console(app.test_client())
        assert console.log_in(name="ada").status_code == 302
        return console

    return log_in


@pytest.fixture
def filled(twilio, clock, db, count):
    twilio.sms()
    twilio.sms("Hello", To=OTHER_LINE, From="+15550000001")
    clock.move_to(minutes=1)
    twilio.sms()
    twilio.whatsapp()
    clock.move_to(minutes=20)
    twilio.sms()
    sent = sorted(one["_id"] for one in db.messages.find({"direction": "outbound"}))
    db.messages.update_many({"_id": {"$in": sent}}, {"$set": {"status": "delivered"}})
    db.messages.update_one({"_id": sent[0]}, {"$set": {"status": "undelivered", "error_code": "30003"}})
    count()


def chart(console, name, query=""):
    answer = console.get(f"/admin/analytics/{name}.csv{query}")
    assert answer.status_code == 200, answer.text
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    return list(csv.DictReader(io.StringIO(answer.get_data().decode("utf-8-sig"), newline="")))


def text(page):
    return re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page))


def figures(page):
    return dict(re.findall(r"<dt>([^<]+)</dt><dd>([^< ]+)", page))


def test_before_any_worker_counted_the_page_says_what_is_missing(console):
    page = console.page("/admin/analytics")
    assert "Nothing is counted yet" in page
    assert "gateway worker" in page
    assert "<svg" not in page


def test_days_without_messages_say_so(console, filled):
    page = console.page("/admin/analytics?from=2026-02-01&to=2026-02-03")
    assert "No messages from 2026-02-01 to 2026-02-03. Choose others above." in text(page)


def test_the_figures_say_most(console, filled):
    shown = figures(console.page("/admin/analytics"))
    assert (shown["Received"], shown["Sent"], shown["New sessions"]) == ("5", "5", "4")
    assert shown["Delivered"] == "80.0%"


def test_each_chart_is_drawn_and_has_its_numbers_in_a_table(console, filled):
    page = console.page("/admin/analytics")
    for title in ("Messages per day", "New sessions per day", "Decisions", "Delivery", "Response time of the bot"):
        section = page.partition(f">{title}</h2>")[2].partition("</section>")[0]
        assert '<svg class="drawing"' in section, title
        assert f'role="img" aria-label="{title}' in section
        assert "2026-03-01" in section.partition("<details>")[2], title
    assert "<title>Sun 1 Mar: SMS 8, WhatsApp 2</title>" in page
    assert "<title>Sun 10:00–11:00: 5</title>" in page
    assert "30003" in page
    assert "The phone is switched off or out of reach." in page
    assert "Nobody was answered so on these days." in page
    assert "Left" not in page


def test_messages_as_csv(console, filled):
    rows = chart(console, "messages")
    assert [row["day"] for row in rows] == [f"2026-02-{day}" for day in range(23, 29)] + ["2026-03-01"]
    assert rows[0] | {"day": ""} == dict.fromkeys(rows[0], "0") | {"day": ""}
    assert (rows[-1]["SMS"], rows[-1]["WhatsApp"], rows[-1]["total"], rows[-1]["received"]) == ("8", "2", "10", "5")


def test_the_other_charts_as_csv(console, filled):
    (day,) = chart(console, "decisions", "?days=1")
    assert (day["created"], day["reused"], day["rolled over"]) == ("3", "1", "1")
    (day,) = chart(console, "sessions", "?days=1")
    assert (day["SMS"], day["WhatsApp"], day["total"]) == ("3", "1", "4")
    (day,) = chart(console, "delivery", "?days=1")
    assert (day["delivered"], day["failed"], day["delivered %"], day["failed %"]) == ("4", "1", "80.0", "20.0")
    (day,) = chart(console, "response-bot", "?days=1")
    assert day["answers"] == "5"
    assert float(day["p50 seconds"]) < 1
    (error,) = chart(console, "errors", "?days=1")
    assert (error["code"], error["messages"], error["% of sent"]) == ("30003", "1", "20.0")
    sunday = chart(console, "hours", "?days=1")[6]
    assert (sunday["weekday"], sunday["10"]) == ("Sun", "5")


def test_type_and_number_choose(console, filled):
    assert figures(console.page("/admin/analytics?type=whatsapp"))["Received"] == "1"
    number = f"sms:%2B{OTHER_LINE[1:]}"
    page = console.page(f"/admin/analytics?channel={number}&days=30")
    assert figures(page)["Received"] == "1"
    assert f'href="/admin/analytics/messages.csv?days=30&amp;channel={number}"' in page
    assert re.search(rf'<option value="sms:\{OTHER_LINE}" selected>', page)
    assert chart(console, "messages", f"?days=1&channel={number}&type=whatsapp")[0]["total"] == "0"


def test_who_is_limited_to_a_channel_learns_nothing_of_others(filled, log_in_as):
    ada = log_in_as([f"sms:{OTHER_LINE}"])
    page = ada.page("/admin/analytics")
    assert figures(page)["Received"] == "1"
    assert "WhatsApp " not in text(page.partition('class="figures"')[2])
    assert "+15017122661" not in page
    assert chart(ada, "messages", "?days=1")[0]["total"] == "2"
    assert chart(ada, "sessions", "?days=1")[0]["total"] == "1"
    assert "whatsapp" not in ada.get("/admin/analytics/messages.csv?days=1").text.lower()
    for path in ("/admin/analytics", "/admin/analytics/messages.csv"):
        assert ada.get(f"{path}?channel=sms:%2B15017122661").status_code == 404


def test_who_is_shown_no_channel_at_all_sees_none(filled, log_in_as):
    nobody = log_in_as([])
    today = nobody.page("/admin/analytics")
    assert "Nothing was counted on these days" in today
    assert "What came since is counted in a minute or two" in today
    assert "Nothing happened on these days" in nobody.page("/admin/analytics?from=2026-01-01&to=2026-01-02")


@pytest.mark.parametrize(
    ("query", "words"),
    [
        ("?from=2020-01-01&to=2026-01-01", "That is 2,193 days. At most 400 are shown at once"),
        ("?from=2026-03-02&to=2026-03-01", "comes after the last"),
        ("?from=yesterday", "is no day such as 2026-03-01"),
        ("?days=0", "Choose 1 to 400"),
        ("?days=99999999999999999999", "Choose 1 to 400"),
        ("?days=%C2%B2", "Choose 1 to 400"),
        ("?days=00040019999", "Choose 1 to 400"),
    ],
)
def test_days_that_cannot_be_shown_are_told_and_the_form_stays(console, filled, query, words):
    answer = console.get(f"/admin/analytics{query}")
    assert answer.status_code == 400
    assert words in answer.text
    assert '<input type="date" name="from"' in answer.text
    assert console.get(f"/admin/analytics/messages.csv{query}").status_code == 400


def test_the_very_first_days_there_are_have_no_week_before_them(console):
    assert console.get("/admin/analytics?to=0001-01-03").status_code == 200


def test_four_hundred_days_are_shown(console, filled):
    assert len(chart(console, "messages", "?days=400")) == 400
    assert console.get("/admin/analytics?days=400").status_code == 200


@pytest.mark.parametrize(
    "path", ["/admin/analytics/nothing.csv", "/admin/analytics/messages.pdf", "/admin/analytics?type=fax"]
)
def test_what_there_is_not_is_not_found(console, path):
    assert console.get(path).status_code == 404


def test_a_worker_that_is_away_is_told(console, filled, clock):
    assert "No worker has counted" not in console.page("/admin/analytics")
    clock.tick(600)
    assert "No worker has counted since" in console.page("/admin/analytics")


def test_people_have_charts_as_soon_as_there_is_something(console, db, count):
    session = {"_id": ObjectId(), "channel_id": "sms:1", "communication_type": "sms", "first_message_at": TEN}
    db.sessions.insert_one(session)
    shared = {"session_id": session["_id"], "channel_id": "sms:1", "communication_type": "sms", "storedAt": TEN}
    for number, (sender, seconds) in enumerate([("contact", 0), ("agent", 90)]):
        direction = "inbound" if sender == "contact" else "outbound"
        at = TEN + timedelta(seconds=seconds)
        db.messages.insert_one(
            shared | {"_id": f"SM{number}", "direction": direction, "sender": sender, "createdAt": at}
        )
    count()
    page = text(console.page("/admin/analytics"))
    assert "People answer 1 min 30 s" in page.replace("1 min 31 s", "1 min 30 s").replace("1 min 29 s", "1 min 30 s")


def ran(number, *, steps, outcome="", channel="sms:+15017122661", flow="=order", days=0):
    """Note a run of a flow that came to these steps and ended so at the last of them."""
    place, at = Place(str(ObjectId()), channel, "sms", None), TEN - timedelta(days=days)
    run = Run(f"run{number}", flow, 1, place, at, outcome=outcome, last_step=steps[-1], ended_at=at)
    flow_runs.begin(run)
    flow_runs.reach(run, steps, at)
    if outcome:
        flow_runs.end(run)


def test_flows_are_a_funnel_for_whoever_may_see_it(console, filled, log_in_as):
    for number, given in enumerate(
        [
            {"steps": ["item", "person", "confirm"], "outcome": "completed"},
            {"steps": ["item", "person"], "outcome": "expired"},
            {"steps": ["item", "person"], "outcome": "canceled"},
            {"steps": ["item"], "outcome": "given_up"},
            {"steps": ["item"]},
            {"steps": ["name"], "outcome": "completed", "channel": f"sms:{OTHER_LINE}", "flow": "callback"},
            {"steps": ["item"], "outcome": "completed", "days": 30},
        ]
    ):
        ran(number, **given)
    page = text(console.page("/admin/analytics"))
    assert "Completed 2 (33.3 %)" in page
    assert "=order, person: 3 came to it, 1 abandoned it, 1 canceled" in page
    rows = [tuple(row.values()) for row in chart(console, "flows")]
    assert rows == [
        ("'=order", "begun", "5", "100.0", "", ""),
        ("'=order", "item", "5", "100.0", "1", "0"),
        ("'=order", "person", "3", "60.0", "1", "1"),
        ("'=order", "confirm", "1", "20.0", "0", "0"),
        ("'=order", "completed", "1", "20.0", "", ""),
        ("callback", "begun", "1", "100.0", "", ""),
        ("callback", "name", "1", "100.0", "0", "0"),
        ("callback", "completed", "1", "100.0", "", ""),
    ]
    limited = log_in_as([f"sms:{OTHER_LINE}"])
    assert {row["flow"] for row in chart(limited, "flows")} == {"callback"}
    assert "=order" not in limited.page("/admin/analytics")
    assert chart(console, "flows", "?type=voice") == []


def test_the_runs_of_a_time_are_found_by_an_index(app, db):
    ran(1, steps=["item"])
    match = flow_runs._among(TEN, TEN + timedelta(days=1), ["sms:+15017122661"], "", "")["$match"]
    stages = str(db.flow_runs.find(match).explain()["queryPlanner"]["winningPlan"])
    assert "IXSCAN" in stages
    assert "COLLSCAN" not in stages
