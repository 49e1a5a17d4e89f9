"""The operators' page of programs that are told of events."""

import html
import re

import pytest

from gateway.conversation import subscriptions
from gateway.conversation.events import hands
from gateway.core.access import Access
from gateway.store import outbox
from gateway.store import subscriptions as stored
from tests.stand_ins.receiver import Receiver

HERE = "/admin/operations/events"


@pytest.fixture
def receiver():
    with Receiver() as receiver:
        yield receiver


@pytest.fixture
def told(app, console, receiver):
    """A subscription that was told of something and did not take it."""
    runtime = app.extensions["gateway"]
    made, _ = subscriptions.create(
        runtime, Access("key:crm", "admin"), url=f"{receiver.url}/hook?key=abc", events=["*"], description="CRM <sync>"
    )
    receiver.answers = [404]
    subscriptions.ping(runtime, made, Access("key:crm", "admin"))
    deliver(runtime)
    return made


def deliver(runtime):
    while row := hands.claim(runtime, [one.id for one in stored.listening()]):
        hands.do(runtime, row)


def text_of(page):
    return html.unescape(re.sub(r"\s+", " ", re.sub(r"<[^>]+>", " ", page)))


def test_the_page_says_how_each_program_does(console, told):
    shown = text_of(console.page(HERE))
    assert "failing CRM <sync>" in shown
    assert "answered 404" in shown
    assert "0 waiting, 1 given up this week · took none yet · last try failed just now" in shown
    assert "Tell failed again" in shown


def test_an_operator_has_told_again_what_failed_and_switches_off_and_on(app, console, told, receiver, db):
    where = f"{HERE}/{told.id}"
    console.post(where, form_on=HERE, act="again")
    deliver(app.extensions["gateway"])
    assert db.outbox.find_one({"step": outbox.EVENT})["state"] == "done"
    console.post(where, form_on=HERE, act="off")
    assert stored.get(told.id).state == "paused"
    console.post(where, form_on=HERE, act="on")
    assert stored.get(told.id).state == "active"
    console.post(where, form_on=HERE, act="test")
    deliver(app.extensions["gateway"])
    assert receiver.types() == ["ping"] * 3
    assert console.post(where, form_on=HERE, act="nonsense").status_code == 400
    assert console.post(f"{HERE}/{'0' * 24}", form_on=HERE, act="on").status_code == 404
    assert {entry["by"] for entry in db.audit.find({"action": "subscription_changed"})} == {"admin"}


def test_the_outbox_shows_events_by_their_name_alone_and_retries_them(app, console, told, db):
    assert "Tell a program" not in console.page("/admin/operations/outbox")
    shown = console.page("/admin/operations/outbox?step=event")
    assert "Tell a program" in shown
    assert "404: refused for good" in shown
    row = db.outbox.find_one({"step": outbox.EVENT})
    console.post("/admin/operations/outbox", form_on="/admin/operations/outbox?step=event", act="retry", row=row["_id"])
    deliver(app.extensions["gateway"])
    assert db.outbox.find_one({"step": outbox.EVENT})["state"] == "done"


def test_without_a_subscription_the_page_says_how_to_make_one(console):
    assert "POST /api/v1/webhooks" in console.page(HERE)
