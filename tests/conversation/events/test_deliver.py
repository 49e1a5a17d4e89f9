"""Events on their way to a program that dies, hangs, refuses, loses answers, or wants no more."""

import contextlib
import json
import socket
import subprocess
import threading
from datetime import timedelta
from pathlib import Path

import pytest
from flask import Response
from playwright._impl._driver import compute_driver_executable

from gateway.conversation import subscriptions
from gateway.conversation.subscriptions import CannotSubscribe
from tests.conversation.events.conftest import OWNER


@pytest.fixture
def told(scene):
    """A scene in which one message waits to be told."""
    scene.subscribe("message.received")
    scene.twilio.sms("Hello")
    scene.find_out(1)
    return scene


def row(scene):
    (found,) = scene.rows()
    return found


@pytest.mark.parametrize("answer", [500, 503, 408, 429, "drop"])
def test_what_may_pass_is_tried_again_with_the_same_id(told, answer):
    told.receiver.answers = [answer, answer]
    assert told.deliver() == 1
    assert row(told)["state"] == "waiting"
    assert told.get().state == "failing"
    told.deliver(after=timedelta(seconds=10))
    told.deliver(after=timedelta(seconds=10))
    assert row(told)["state"] == "done"
    first, *_, last = told.receiver.told
    assert len(told.receiver.told) == 3
    assert first.event["id"] == last.event["id"]
    assert first.body == last.body
    assert last.is_signed_by(told.secret)
    assert told.get().state == "active"
    assert told.get().last_error is None


@pytest.mark.parametrize("answer", [400, 401, 404, 422, 301])
def test_what_is_refused_is_not_tried_again_and_no_redirect_followed(told, answer):
    told.receiver.answers = [Response(status=answer, headers={"Location": f"{told.receiver.url}/elsewhere"})]
    told.deliver()
    assert told.deliver(after=timedelta(hours=80)) == 0
    assert row(told)["state"] == "failed"
    assert row(told)["error"] == f"{answer}: refused for good"
    assert [one.path for one in told.receiver.told] == ["/events"]


def test_retry_after_is_heeded_for_all_events(told):
    told.receiver.answers = [Response(status=429, headers={"Retry-After": "120"})]
    told.deliver()
    told.twilio.sms("Another")
    told.find_out(2)
    assert told.deliver(after=timedelta(seconds=110)) == 0
    assert told.deliver(after=timedelta(seconds=20)) == 2
    assert row_states(told) == ["done", "done"]


def row_states(scene):
    return [found["state"] for found in scene.rows()]


def test_410_ends_the_subscription(told):
    told.twilio.sms("Another")
    told.find_out(2)
    told.receiver.usual = 410
    assert told.deliver() == 1
    assert told.get().disabled_reason == "gone"
    assert told.get().state == "disabled"
    assert sorted(row_states(told)) == ["canceled", "failed"]
    assert told.db.audit.find_one({"action": "subscription_disabled"})["by"] == "gateway"


def test_an_event_is_tried_for_three_days_and_then_failed(told):
    told.receiver.usual = 500
    tries = told.deliver()
    for _ in range(80):
        tries += told.deliver(after=timedelta(hours=1))
    assert row(told)["state"] == "failed"
    assert 40 <= tries <= 100
    assert told.db.outbox.find_one()["error"].startswith("500")


def test_what_was_never_tried_in_three_days_is_given_up_too(told):
    subscriptions.change(told.runtime, told.get(), OWNER, active=False)
    told.runtime.clock.ahead = timedelta(hours=73)
    assert subscriptions.housekeep(told.runtime) == 1
    assert row(told)["state"] == "failed"


def test_a_program_that_fails_for_days_is_told_no_more(told):
    told.receiver.usual = 500
    for day in range(6):
        told.twilio.sms(f"Day {day}")
        told.find_out(day + 2)
        told.deliver(after=timedelta(days=1))
    assert told.get().disabled_reason == "failing"
    assert told.db.audit.find_one({"action": "subscription_disabled"})["details"]["reason"] == "failing"
    assert "waiting" not in row_states(told)
    changed = subscriptions.change(told.runtime, told.get(), OWNER, active=True)
    assert changed.state == "active"


def test_a_program_that_is_away_is_asked_with_few_events_and_gets_all_when_it_is_back(told):
    for number in range(30):
        told.twilio.sms(f"Number {number}")
    told.find_out(31)
    told.receiver.usual = 503
    tries = sum(told.deliver(after=timedelta(minutes=1)) for _ in range(20))
    assert tries < 40
    told.receiver.usual = 200
    told.receiver.told.clear()
    assert told.deliver(after=timedelta(minutes=6)) == 31
    assert len({event["id"] for event in told.receiver.events}) == 31


def test_one_that_is_switched_off_gets_what_waits_once_it_is_on_again(told):
    subscriptions.change(told.runtime, told.get(), OWNER, active=False)
    assert told.deliver() == 0
    subscriptions.change(told.runtime, told.get(), OWNER, active=True)
    assert told.deliver() == 1


def test_while_a_secret_is_changed_both_sign(told):
    _, fresh = subscriptions.rotate(told.runtime, told.get(), OWNER)
    told.deliver()
    (first,) = told.receiver.told
    assert first.is_signed_by(told.secret)
    assert first.is_signed_by(fresh)
    told.runtime.clock.ahead = timedelta(hours=25)
    subscriptions.ping(told.runtime, told.get(), OWNER)
    told.deliver()
    assert told.receiver.told[-1].is_signed_by(fresh)
    assert not told.receiver.told[-1].is_signed_by(told.secret)
    assert told.receiver.types()[-1] == "ping"


def test_after_secret_key_was_changed_nothing_is_sent_that_could_not_be_verified(told, make_scene):
    after = make_scene(secret_key="another")
    after.subscription = told.subscription
    after.deliver()
    assert told.receiver.told == []
    assert "rotate-secret" in after.get().last_error
    _, fresh = subscriptions.rotate(after.runtime, after.get(), OWNER)
    after.deliver(after=timedelta(minutes=1))
    assert told.receiver.told[0].is_signed_by(fresh)


def test_no_secret_is_stored_or_told_in_the_log(told, capsys):
    subscriptions.rotate(told.runtime, told.get(), OWNER)
    told.deliver()
    everything = str([list(told.db[name].find()) for name in told.db.list_collection_names()]) + capsys.readouterr().out
    assert told.secret not in everything
    assert told.secret.removeprefix("whsec_") not in everything


@pytest.mark.parametrize(
    "url",
    [
        "http://example.com/hook",
        "https://127.0.0.1/hook",
        "https://10.0.0.7/",
        "https://[::1]/",
        "https://[::ffff:10.0.0.7]/",
        "https://[::10.0.0.7]/",
        "https://[::ffff:0:10.0.0.7]/",
        "https://[64:ff9b::10.0.0.7]/",
        "https://[64:ff9b:1::10.0.0.7]/",
        "https://[2002:a00:7::1]/",
        "https://[fec0::7]/",
        "https://169.254.169.254/latest",
        "https://0.0.0.0/",
        "https://user:password@example.com/",
        "https://example.com/#part",
        "https://",
        "https://ex ample.com/",
        "ftp://example.com/",
        "https://example.com:99999/",
        "https://[::1/",
        "nonsense",
    ],
)
def test_in_production_events_go_to_public_addresses_only(scene, monkeypatch, url):
    monkeypatch.setattr(scene.runtime.settings, "env", "production")
    with pytest.raises(CannotSubscribe) as refused:
        subscriptions.create(scene.runtime, OWNER, url=url, events=["*"])
    assert refused.value.field == "url"


@pytest.mark.parametrize("host", ["93.184.216.34", "[2606:4700::1111]", "[64:ff9b::5db8:d822]"])
def test_in_production_events_go_to_public_addresses_however_they_are_written(scene, monkeypatch, host):
    monkeypatch.setattr(scene.runtime.settings, "env", "production")
    made, _ = subscriptions.create(scene.runtime, OWNER, url=f"https://{host}/hook", events=["*"])
    assert made.url == f"https://{host}/hook"


def test_a_name_that_leads_inside_is_refused_when_it_is_used(told, monkeypatch):
    monkeypatch.setattr(told.runtime.settings, "env", "production")
    told.deliver()
    assert told.receiver.told == []
    assert "private address" in told.get().last_error
    assert "127.0.0.1" in told.get().last_error


def test_private_networks_that_the_settings_name_are_reached(make_scene, monkeypatch):
    scene = make_scene(events={"private_networks": "127.0.0.0/8"})
    monkeypatch.setattr(scene.runtime.settings, "env", "production")
    scene.subscribe("message.received")
    subscriptions.ping(scene.runtime, scene.subscription, OWNER)
    scene.deliver()
    assert scene.receiver.types() == ["ping"]


def test_a_name_is_looked_up_once_so_it_cannot_change_its_mind(told, monkeypatch):
    real, asked = socket.getaddrinfo, []

    def look_up(host, *args, **more):
        asked.append(host)
        return real("127.0.0.1" if len(asked) == 1 else "127.0.0.99", *args, **more)

    monkeypatch.setattr(socket, "getaddrinfo", look_up)
    told.deliver()
    assert len(asked) == 1
    assert len(told.receiver.told) == 1


def test_a_program_that_drips_its_answer_is_left_in_time(make_scene):
    scene = make_scene(events={"timeout_seconds": 0.5})
    with socket.create_server(("127.0.0.1", 0)) as server:
        subscription, _ = subscriptions.create(
            scene.runtime, OWNER, url=f"http://127.0.0.1:{server.getsockname()[1]}/", events=["*"]
        )
        scene.subscription = subscription
        subscriptions.ping(scene.runtime, subscription, OWNER)
        stop = drip(server)
        scene.deliver()
        stop.set()
    assert "did not answer in time" in scene.get().last_error
    assert scene.rows()[0]["response"]["milliseconds"] < 5000


def drip(server):
    """Answer one byte of a header at a time, for ever."""
    stop = threading.Event()

    def serve():
        connection, _ = server.accept()
        with connection, contextlib.suppress(OSError):
            connection.sendall(b"HTTP/1.1 200 OK\r\nX: ")
            while not stop.wait(0.05):
                connection.sendall(b"x")

    threading.Thread(target=serve, daemon=True).start()
    return stop


def documented(language):
    """Give the code that the documentation shows in a language."""
    page = (Path(__file__).parents[3] / "docs/api/events.md").read_text()
    return page.split(f"```{language}\n")[1].split("```")[0]


def test_the_documented_python_verifies_what_arrives(told):
    told.deliver()
    (arrived,) = told.receiver.told
    known: dict = {}
    exec(documented("python"), known)
    is_genuine = known["is_genuine"]
    assert is_genuine(told.secret, arrived.headers, arrived.body)
    assert not is_genuine("whsec_other", arrived.headers, arrived.body)
    assert not is_genuine(told.secret, arrived.headers, arrived.body + b" ")
    old = arrived.headers | {"X-Gateway-Timestamp": str(int(arrived.headers["X-Gateway-Timestamp"]) - 301)}
    assert not is_genuine(told.secret, old, arrived.body)


def test_the_documented_javascript_verifies_what_arrives(told):
    told.deliver()
    (arrived,) = told.receiver.told
    headers = {name.lower(): value for name, value in arrived.headers.items()}
    call = f"isGenuine(process.argv[1], {json.dumps(headers)}, Buffer.from({json.dumps(arrived.body.decode())}))"
    node = compute_driver_executable()[0]  # the one that drives the browser
    for secret, verdict in ((told.secret, "true"), ("whsec_other", "false")):
        program = f"{documented('js')}\nconsole.log({call})"
        ran = subprocess.run([node, "-e", program, secret], capture_output=True, text=True, check=True)
        assert ran.stdout.strip() == verdict
