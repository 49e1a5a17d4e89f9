"""`gateway listen`: what it lends and points it takes back, whatever ends it; and what comes is told."""

import json
import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import contextmanager

import pytest
import requests

from gateway.channels.signature import sign
from gateway.cli import listening, probing
from gateway.cli.entries import OutputGone, Printer
from gateway.cli.gate import Gate
from gateway.cli.listening import Choices, Listening
from gateway.cli.signals import Stopped
from gateway.clients.twilio_account import TwilioAccount
from gateway.conversation import pointing, tunnel
from gateway.conversation.runtime import Clock
from gateway.core.errors import StoreUnavailable
from gateway.store import pointings, tunnels
from gateway.store.tunnels import Tunnel
from tests.cli import forking
from tests.cli.test_serve import ROOT, clean_environment, free_port
from tests.conftest import TOKEN, fixture
from tests.stand_ins.serving import Served
from tests.stand_ins.twilio_account import ACCOUNT, Fault, TwilioAccountStandIn

LIBRARIES = ROOT / "tests" / "stand_ins" / "libraries"
TUNNEL = "https://abc.ngrok.app"
OURS, OTHER, SENDER = "+15017122661", "+15017122662", "whatsapp:+15017122661"
OLD = {"sms_url": "https://old.example/sms", "voice_url": "https://old.example/voice", "voice_method": "GET"}


class Lines(Printer):
    """What would be printed; a closed pipe where `breaks` says so."""

    def __init__(self):
        super().__init__(as_json=True)
        self.lines, self.breaks = [], ""

    def _write(self, line):
        self.lines.append(json.loads(line))
        if self.breaks and self.breaks == self.lines[-1]["event"]:
            raise OutputGone

    def events(self):
        return [line["event"] for line in self.lines]

    def of(self, event):
        return [line for line in self.lines if line["event"] == event]


@pytest.fixture(scope="module")
def account():
    with TwilioAccountStandIn() as served:
        served.tokens = {ACCOUNT: [TOKEN]}
        yield served


@pytest.fixture
def twilio(account):
    for kept in (account.numbers, account.whatsapp, account.services, account.faults, account.updates):
        kept.clear()
    return account


@pytest.fixture
def app(make_app, twilio):
    return make_app(
        env="development", public_url="", inspector={"sample_rate": 1},
        twilio={"api_base_url": twilio.url}, twilio_account_sid=ACCOUNT, twilio_auth_token=[TOKEN],
    )  # fmt: skip


@pytest.fixture
def serving(app):
    return app.extensions["gateway"]


@pytest.fixture
def quick(monkeypatch):
    """Nothing on the internet is asked, and nobody is waited for."""
    monkeypatch.setattr(listening, "LOOK_SECONDS", -0.5)
    monkeypatch.setattr(listening, "TICK_SECONDS", 0.01)
    monkeypatch.setattr(probing, "leads_elsewhere", lambda _url: "")
    monkeypatch.setattr(TwilioAccount.__init__, "__kwdefaults__", {"pause": lambda _: None})


@pytest.fixture
def ngrok(monkeypatch):
    monkeypatch.syspath_prepend(str(LIBRARIES))
    monkeypatch.delitem(sys.modules, "ngrok", raising=False)
    import ngrok

    yield ngrok
    sys.modules.pop("ngrok", None)


@contextmanager
def doing(work):
    """Do something while `listen` runs, and end it by Ctrl-C."""

    def run():
        try:
            work()
        finally:
            os.kill(os.getpid(), signal.SIGINT)

    thread = threading.Thread(target=run)
    thread.start()
    yield
    thread.join()


def wait_for(condition, seconds=50):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.01)


def make(serving, *, numbers=(), every=False, url=TUNNEL, upstream="http://127.0.0.1:9", everything=False):
    lines = Lines()
    choices = Choices(url, "", "a-token", tuple(numbers), every, "ada")
    return Listening(serving, choices, lines, port=0, upstream=upstream, everything=everything), lines


def stands(twilio, number=OURS):
    return {name: row[name] for row in twilio.numbers.values() if row["phone_number"] == number for name in OLD}


def post(url, path, form, signed=None):
    headers = {"X-Twilio-Signature": signed or sign(TOKEN, f"{TUNNEL}{path}", form)}
    return requests.post(url + path, data=form, headers=headers, timeout=20)


def test_what_comes_is_told_in_a_line_with_decision_latency_and_verdict(app, serving, quick, clock):
    clock.moment = Clock().now()
    form = fixture("sms/text") | {"AccountSid": ACCOUNT}
    with Served(app) as served:
        one, lines = make(serving, upstream=served.url)

        def texts():
            gate = one._end_url
            wait_for(lambda: lines.of("leads_here"))
            told = post(gate, "/webhooks/sms", form)
            assert "<Message" in told.text
            assert post(gate, "/webhooks/sms", form).text == told.text
            status = form | {"MessageSid": "SM" + "9" * 32, "MessageStatus": "delivered"}
            post(gate, "/webhooks/status?m=re:" + form["MessageSid"], status)
            assert post(gate, "/webhooks/sms", form, signed="AAAA").status_code == 403
            requests.get(f"{gate}/admin/", timeout=20)
            app.extensions["inspector"].flush()
            wait_for(lambda: len(lines.of("webhook")) == 4 and lines.of("stopped"))

        with doing(texts):
            assert one.run() == 0
    created, again, status, refused = sorted(lines.of("webhook"), key=lambda line: line["at"])
    assert (created["what"], created["responder"], created["status"], created["verdict"]) == (
        "created", "echo", 200, "genuine",
    )  # fmt: skip
    assert created["milliseconds"] > 0
    assert created["channel_id"].startswith("sms:")
    assert [again["what"], status["what"], status["status"]] == ["redelivery", "delivered", 204]
    assert (refused["what"], refused["verdict"], refused["cause"]) == ("refused", "bad_signature", "unknown")
    assert lines.of("stopped")[0]["path"] == "/admin/"
    assert form["From"] not in json.dumps(lines.lines)


def test_its_address_is_the_gateways_while_it_runs_and_its_numbers_are_pointed(serving, twilio, quick, ngrok):
    twilio.own(OURS, **OLD)
    twilio.sender(SENDER, callback_url="https://old.example/wa")
    twilio.own(OTHER, **OLD)
    one, lines = make(serving, numbers=[OURS, SENDER], url="")
    seen = {}

    def look():
        wait_for(lambda: len(lines.of("pointed")) == 2)
        tunnel.Watch(serving).look()
        seen.update(url=serving.line.public.url, number=stands(twilio), other=stands(twilio, OTHER))
        (sender,) = twilio.whatsapp.values()
        seen.update(sender=sender["webhook"]["callback_url"])

    with doing(look):
        assert one.run() == 0
    tunnel.Watch(serving).look()
    assert (seen["url"], serving.line.public.url) == (TUNNEL, "")
    assert seen["number"]["sms_url"] == f"{TUNNEL}/webhooks/sms#rc=2&rp=ct,5xx"
    assert seen["sender"].startswith(f"{TUNNEL}/webhooks/whatsapp")
    assert seen["other"] == OLD
    assert stands(twilio) == OLD
    assert [row["webhook"]["callback_url"] for row in twilio.whatsapp.values()] == ["https://old.example/wa"]
    assert ngrok.sessions[-1].closed
    assert pointings.outstanding() == []
    assert lines.events()[-3:] == ["put_back", "put_back", "ended"]


STEPS = ["leased", "announced", "written down", "pointed", "first of two pointed", "warned"]


@pytest.mark.parametrize("step", STEPS)
def test_wherever_it_is_stopped_nothing_of_it_is_left(serving, twilio, quick, monkeypatch, step):
    twilio.own(OURS, **OLD)
    twilio.own(OTHER, **OLD)
    one, lines = make(serving, every=True)

    def stopping(owner, name, *, after, at=1):
        real, calls = getattr(owner, name), []

        def stop(*given, **named):
            calls.append(name)
            if len(calls) == at and not after:
                raise Stopped
            done = real(*given, **named)
            if len(calls) == at:
                raise Stopped
            return done

        monkeypatch.setattr(owner, name, stop)

    match step:
        case "leased":
            stopping(one, "_announce", after=False)
        case "announced":
            lines.breaks = "ready"
        case "written down":
            stopping(one._numbers._account, "update", after=False)
        case "pointed":
            stopping(one._numbers._account, "update", after=True)
        case "first of two pointed":
            stopping(pointing, "point", after=False, at=2)
        case "warned":
            stopping(one._numbers, "_warn_of_services", after=True)
    assert one.run() == 0
    assert [stands(twilio), stands(twilio, OTHER)] == [OLD, OLD]
    assert pointings.outstanding() == []
    assert tunnels.of("development") is None
    with pytest.raises(requests.ConnectionError):
        requests.get(one._end_url, timeout=5)


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_like_ctrl_c_and_leaves_others_their_handlers(serving, twilio, quick, number):
    before = signal.getsignal(number)
    twilio.own(OURS, **OLD)
    one, lines = make(serving, numbers=[OURS])

    def end():
        wait_for(lambda: lines.of("pointed"))
        os.kill(os.getpid(), number)

    thread = threading.Thread(target=end)
    thread.start()
    assert one.run() == 0
    thread.join()
    assert stands(twilio) == OLD
    assert signal.getsignal(number) is before


def test_what_could_not_be_put_back_is_named_and_the_next_one_does_it(serving, twilio, quick):
    twilio.own(OURS, **OLD)
    one, lines = make(serving, numbers=[OURS])

    def fail():
        wait_for(lambda: lines.of("pointed"))
        twilio.faults += [Fault(status=400, on="update")]

    with doing(fail):
        assert one.run() == 1
    assert lines.of("left")[0]["numbers"] == [OURS]
    assert "gateway channels restore" in lines.of("left")[0]["message"]
    assert tunnels.of("development") is None
    following, lines = make(serving)
    with doing(lambda: wait_for(lambda: lines.of("put_back"))):
        assert following.run() == 0
    assert stands(twilio) == OLD
    assert f"{OURS} was left at a tunnel of an earlier run" in lines.of("put_back")[0]["message"]


def test_a_number_at_an_open_tunnel_of_another_environment_stays_there(serving, twilio, quick, clock):
    """Who develops on production's database must not take its numbers away from it."""
    theirs = "https://theirs.ngrok.app"
    twilio.own(OURS, **OLD)
    account, now = TwilioAccount(serving.settings), clock.now()
    number = account.find(OURS)
    pointing.point(clock, account, number, pointing.wanted(number, theirs), by="production", passing=True)
    tunnels.hold("production", Tunnel(theirs, "they", "another host", 1, now + tunnel.LEASE), now)
    one, lines = make(serving)
    with doing(lambda: wait_for(lambda: lines.of("leads_here"))):
        assert one.run() == 0
    assert stands(twilio)["sms_url"].startswith(f"{theirs}/")
    tunnels.let_go("production", "they")
    one, lines = make(serving)
    with doing(lambda: wait_for(lambda: lines.of("put_back"))):
        assert one.run() == 0
    assert stands(twilio) == OLD


def test_a_second_ctrl_c_leaves_the_number_to_the_next_one_and_takes_back_the_rest(serving, twilio, quick, monkeypatch):
    twilio.own(OURS, **OLD)
    one, lines = make(serving, numbers=[OURS])
    real = pointing.restore
    monkeypatch.setattr(pointing, "restore", lambda *_, **__: os.kill(os.getpid(), signal.SIGINT))
    with doing(lambda: wait_for(lambda: lines.of("pointed"))):
        assert one.run() == 1
    assert lines.of("left")[0]["numbers"] == [OURS]
    assert tunnels.of("development") is None
    monkeypatch.setattr(pointing, "restore", real)
    following, lines = make(serving)
    with doing(lambda: wait_for(lambda: lines.of("put_back"))):
        following.run()
    assert stands(twilio) == OLD


def test_what_somebody_else_changed_meanwhile_is_left_and_said(serving, twilio, quick):
    row = twilio.own(OURS, **OLD)
    one, lines = make(serving, numbers=[OURS])

    def change():
        wait_for(lambda: lines.of("pointed"))
        row["sms_url"] = "https://theirs.example/sms"

    with doing(change):
        one.run()
    assert stands(twilio) == OLD | {"sms_url": "https://theirs.example/sms"}
    assert "Somebody changed sms_url meanwhile: left alone." in lines.of("put_back")[0]["message"]
    assert pointings.outstanding() == []


def test_a_number_is_pointed_only_when_the_tunnel_leads_here(serving, twilio, quick, monkeypatch):
    answers = ["it answers HTTP 502"]
    monkeypatch.setattr(probing, "leads_elsewhere", lambda _url: answers[0])
    monkeypatch.setattr(probing, "GRACE_SECONDS", 0)
    monkeypatch.setattr(probing.Prober, "EVERY_SECONDS", 0.05)
    monkeypatch.setattr(probing, "STEADY_SECONDS", 0)
    twilio.own(OURS, **OLD)
    one, lines = make(serving, numbers=[OURS])

    def open_it():
        wait_for(lambda: lines.of("leads_elsewhere"))
        assert stands(twilio) == OLD
        answers[0] = ""
        wait_for(lambda: lines.of("pointed"))
        answers[0] = "nobody knows its name"
        wait_for(lambda: len(lines.of("leads_elsewhere")) == 2)

    with doing(open_it):
        one.run()
    first, then = lines.of("leads_elsewhere")
    assert first["message"].endswith(f"Let it forward to {one._end_url}. Numbers are pointed as soon as it does.")
    one._tell_heard(probing.AWAY, f"{probing.UNTRUSTED}: expired")
    untrusted = lines.of("leads_elsewhere")[-1]["message"]
    assert untrusted.endswith("(its certificate is not valid: expired). Renew or complete it.")
    assert "(nobody knows its name)" in then["message"]


def test_a_number_in_a_service_that_answers_for_it_is_said(serving, twilio, quick):
    twilio.own(OURS, **OLD)
    twilio.service(OURS, inbound_request_url="https://service.example/sms")
    one, lines = make(serving, numbers=[OURS])
    with doing(lambda: wait_for(lambda: lines.of("overridden"))):
        one.run()
    assert "Defer to sender's webhook" in lines.of("overridden")[0]["message"]


def test_a_number_that_is_not_ours_stops_it_before_anything_is_opened(serving, twilio, quick):
    one, lines = make(serving, numbers=["+15550001111"])
    assert one.run() == 1
    assert lines.events() == ["failed", "ended"]
    assert "+15550001111 is none of the 0 numbers" in lines.of("failed")[0]["message"]


def test_a_tunnel_that_drops_comes_back_or_expires_is_told(serving, quick, ngrok):
    one, lines = make(serving, url="")

    def drop():
        wait_for(lambda: lines.of("ready"))
        asked = ngrok.sessions[-1].asked
        asked["disconnection"][0]("connect.ngrok.com:443", "reset")
        asked["heartbeat"][0](20)
        asked["stop"][0]()

    thread = threading.Thread(target=drop)
    thread.start()
    assert one.run() == 1
    thread.join()
    assert lines.of("lost")[0]["message"] == "The tunnel is interrupted. ngrok connects again."
    assert lines.of("back")
    assert "it expired, or somebody stopped it" in lines.of("failed")[0]["message"]


def test_a_wrong_token_is_one_line_and_leaves_nothing(serving, quick, ngrok, monkeypatch):
    monkeypatch.setenv("FAKE_NGROK_FAILS", "invalid\nERR_NGROK_105")
    one, lines = make(serving, url="")
    assert one.run() == 1
    assert lines.of("failed")[0]["message"].startswith("ngrok does not take NGROK_AUTHTOKEN (ERR_NGROK_105). Copy")
    assert tunnels.of("development") is None


def test_while_mongodb_is_away_it_goes_on_and_is_taken_over_by_nobody(serving, quick, monkeypatch):
    monkeypatch.setattr(listening, "RENEW_SECONDS", 0.02)
    real, away = tunnel.renew, [True]

    def renew(*given):
        if away:
            raise StoreUnavailable("away")
        return real(*given)

    monkeypatch.setattr(tunnel, "renew", renew)
    one, lines = make(serving)

    def come_back():
        wait_for(lambda: lines.of("mongodb_away"))
        away.clear()
        wait_for(lambda: lines.of("mongodb_back"))

    with doing(come_back):
        assert one.run() == 0
    assert [len(lines.of(name)) for name in ("mongodb_away", "mongodb_back")] == [1, 1]
    assert tunnels.of("development") is None


def test_whose_place_was_taken_stops(serving, quick, monkeypatch):
    monkeypatch.setattr(listening, "RENEW_SECONDS", 0.02)
    monkeypatch.setattr(tunnel, "renew", lambda *_: False)
    one, lines = make(serving)
    assert one.run() == 1
    assert "has taken this one's place" in lines.of("failed")[0]["message"]


# The command itself, as a process.


def run(*arguments, **environ):
    return forking.run("listen", *arguments, **clean_environment(**environ))


@pytest.fixture
def folder(tmp_path, mongo):
    return {"GATEWAY_DATA_DIR": str(tmp_path), "MONGODB_URI": mongo.uri.replace("/gateway?", "/test?")}


WRONG = [
    ((), {"PORT": "9"}, "No gateway answers at http://127.0.0.1:9. Start it with `make run`"),
    (("--url", "http://x.example"), {}, "give the https address of your tunnel"),
    (("--url", "http://127.0.0.1:5000", "--point", OURS), {}, "which Twilio cannot call"),
    (("--url", "https://x.example/webhooks"), {}, "give the address without a path"),
    (("--url", "https://x.example", "--domain", "a.b"), {}, "not both"),
    (("--point", OURS, "--point-all"), {}, "not both"),
    (("--url", "https://x.example", "--production"),
     {"GATEWAY_ENV": "production", "TWILIO_AUTH_TOKEN": "t", "SECRET_KEY": "s"}, "say it twice: --production --"),
]  # fmt: skip


@pytest.mark.parametrize(("arguments", "environ", "words"), WRONG)
def test_what_is_wrong_is_one_line(folder, arguments, environ, words):
    done = run(*arguments, **(folder | environ))
    assert done.returncode in (1, 2)
    assert words in done.stderr
    assert "Traceback" not in done.stderr


def test_two_at_once_and_a_taken_port_are_one_line_each(folder, app, serving, clock):
    clock.moment = Clock().now()
    with Served(app) as served:
        port = served.url.rpartition(":")[2]
        given = folder | {"PORT": port}
        held = tunnel.open_(serving, "https://first.example", "ada")
        second = run("--url", "https://x.example", **given)
        assert f"One `gateway listen` at a time: process {os.getpid()} on " in second.stderr
        tunnel.close(serving, held, "ada")
        tokenless = run(**given)
        taken = Gate(0, served.url, print)
        number = taken.server_address[1]
        clash = run("--url", "https://x.example", "--port", str(number), **given)
        taken.server_close()
    assert f"Port {number}: Address already in use." in clash.stderr
    assert "NGROK_AUTHTOKEN is not set. Copy yours from https://dashboard.ngrok.com" in tokenless.stderr
    assert [second.returncode, clash.returncode] == [1, 1]


def test_kill_9_leaves_a_note_by_which_the_next_one_puts_back(folder, app, serving, twilio, quick):
    twilio.own(OURS, **OLD)
    script = (
        "from gateway.cli import listening, probing; probing.leads_elsewhere = lambda url: '';"
        "listening.LOOK_SECONDS = -0.5; from gateway.cli import main; main()"
    )
    with Served(app) as served:
        environ = clean_environment(
            **folder, PORT=served.url.rpartition(":")[2], NGROK_AUTHTOKEN="a-token", TWILIO_ACCOUNT_SID=ACCOUNT,
            TWILIO_AUTH_TOKEN=TOKEN, GATEWAY_TWILIO__API_BASE_URL=twilio.url,
            PYTHONPATH=os.pathsep.join([str(ROOT), str(LIBRARIES)]),
        )  # fmt: skip
        command = [sys.executable, "-c", script, "listen", "--json", "--port", free_port(), "--point", OURS]
        process = subprocess.Popen(command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, text=True)
        for line in process.stdout:
            if json.loads(line)["event"] == "pointed":
                break
        assert stands(twilio)["sms_url"].startswith(f"{TUNNEL}/webhooks/sms")
        process.kill()
        process.wait()
        process.stdout.close()
    assert [row.address for row in pointings.outstanding()] == [OURS]
    one, lines = make(serving)
    with doing(lambda: wait_for(lambda: lines.of("put_back"))):
        assert one.run() == 0
    assert stands(twilio) == OLD


def test_through_the_tunnel_the_console_is_a_choice(app, serving, quick):
    with Served(app) as served:
        one, lines = make(serving, upstream=served.url, everything=True)
        told = []

        def visit():
            wait_for(lambda: lines.of("leads_here"))
            told.append(requests.get(f"{one._end_url}/admin/login", timeout=20))

        with doing(visit):
            one.run()
    assert told[0].status_code == 200
    assert "open to the internet" in lines.of("open")[0]["message"]
    assert not lines.of("request"), "only webhooks are told"
