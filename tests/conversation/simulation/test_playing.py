"""How a scenario reaches a gateway: what happens at once, what comes twice, and where it ends."""

import threading
import tomllib
from pathlib import Path

import pytest
from flask import Flask, request

from gateway import settings
from gateway.channels.signature import sign
from gateway.conversation.phoning import SimulationFailed
from gateway.conversation.simulation import files
from gateway.conversation.simulation.acting import Stage
from gateway.conversation.simulation.line import Line
from gateway.conversation.simulation.playing import play
from gateway.core.scenario_files import read
from tests.stand_ins.serving import Served

RACE = """
[people.ada]
[people.grace]
number = "+15558675399"
[[steps]]
from = "ada"
sms = "One"
copies = 2
[[steps]]
from = "grace"
together = true
sms = "Two"
[[steps]]
from = "grace"
sms = "Three"
lost = "webhook"
"""
SUBACCOUNT = "AC" + "b" * 32


@pytest.fixture
def gateway():
    """Something that answers only when three webhooks are there at once; gives its address and what it was posted."""
    app, posted, three = Flask("gateway"), [], threading.Barrier(3)

    @app.post("/webhooks/sms")
    def sms():
        posted.append((request.form.to_dict(), request.headers["X-Twilio-Signature"]))
        three.wait(5)
        return "<Response/>"

    with Served(app) as served:
        yield served.url, posted


def test_copies_and_what_happens_together_reach_the_gateway_at_once(gateway, tmp_path):
    url, posted = gateway
    configured = settings.load(env="development", data_dir=tmp_path, twilio_auth_token=["one"], secret_key="s")
    played = play(read("race.toml", tomllib.loads(RACE)), Stage(Line(configured, url, url), Path(), stored=False))
    assert played.missed == []
    assert len({form["MessageSid"] for form, _ in posted}) == 2
    assert sorted(form["Body"] for form, _ in posted) == ["One", "One", "Two"]
    assert {form["From"] for form, _ in posted if form["Body"] == "Two"} == {"+15558675399"}
    (again,) = {form["From"] for form, _ in posted if form["Body"] == "One"}
    assert again.startswith("+1555")


def test_a_webhook_of_a_subaccount_is_signed_with_its_token(gateway, tmp_path):
    url, posted = gateway
    configured = settings.load(
        env="test", data_dir=tmp_path, twilio_auth_token=["one"], twilio={"accounts": {SUBACCOUNT: ["two"]}}
    )
    forms = [{"AccountSid": account, "MessageSid": f"SM{number}"} for number, account in enumerate(["AC1", SUBACCOUNT])]
    lines = [
        threading.Thread(target=Line(configured, url, url).post, args=("/webhooks/sms", form))
        for form in [*forms, {"AccountSid": "AC1", "MessageSid": "SM3"}]
    ]
    for line in lines:
        line.start()
    for line in lines:
        line.join()
    signed = {form["MessageSid"]: given for form, given in posted}
    assert signed["SM0"] == sign("one", f"{url}/webhooks/sms", forms[0])
    assert signed["SM1"] == sign("two", f"{url}/webhooks/sms", forms[1])


def test_a_file_that_is_too_large_is_refused(tmp_path):
    app = Flask("site")
    app.add_url_rule("/film.mp4", view_func=lambda: b"x" * 101)
    configured = settings.load(env="development", data_dir=tmp_path, media={"max_bytes": 100}, twilio_account_sid="")
    with Served(app) as site, pytest.raises(SimulationFailed, match=r"larger than media\.max_bytes, 100"):
        files.attach(configured, f"{site.url}/film.mp4", "MM1")
