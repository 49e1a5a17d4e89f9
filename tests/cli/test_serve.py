"""`gateway serve` as a user starts it: a real process tree, real HTTP, real signals."""

import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from pathlib import Path

import pymongo
import pytest

from tests.cli import forking

GATEWAY = str(Path(sys.executable).parent / "gateway")
ROOT = Path(__file__).resolve().parents[2]

pytestmark = pytest.mark.timeout(300)


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return str(probe.getsockname()[1])


def clean_environment(**given):
    names = ("GATEWAY_", "TWILIO_", "MONGODB_URI", "PUBLIC_URL", "SECRET_KEY", "PORT", "PROMETHEUS_")
    inherited = {name: value for name, value in os.environ.items() if not name.startswith(names)}
    return inherited | given


def start(folder, port, **given):
    """Start a gateway in its own process group and wait for its banner."""
    log = folder / "serve.log"
    environ = clean_environment(GATEWAY_DATA_DIR=str(folder / "data"), PORT=port, **given)
    with log.open("w") as out:
        process = subprocess.Popen(
            [GATEWAY, "serve"], cwd=ROOT, env=environ, stdout=out, stderr=subprocess.STDOUT, start_new_session=True
        )
    until = time.monotonic() + 120
    while "Try it" not in log.read_text():
        assert process.poll() is None, log.read_text()
        assert time.monotonic() < until, log.read_text()
        time.sleep(0.05)
    return process, log


def family(process):
    """List the pids of a process group."""
    listed = subprocess.run(["ps", "-eo", "pid=,pgid=,stat="], capture_output=True, text=True, check=True).stdout
    rows = [line.split() for line in listed.splitlines()]
    return [int(pid) for pid, group, state in rows if int(group) == process.pid and not state.startswith("Z")]


def children(process):
    return [pid for pid in family(process) if pid != process.pid]


def assert_that_it_stops(process, log, number):
    """Send a signal, and once more while it stops: everything that was started ends in order."""
    assert len(family(process)) >= 5, "serve, mongod, gunicorn and its workers, worker: all in one process group"
    process.send_signal(number)
    time.sleep(0.05)
    process.send_signal(number)
    assert process.wait(30) == 0
    assert family(process) == []
    assert "Traceback" not in log.read_text()
    assert not (log.parent / "data" / "running.json").exists()


@pytest.fixture(scope="module")
def running(tmp_path_factory):
    """A gateway with no setting at all, but for a free port and a folder of its own. Ctrl-C stops all of it."""
    folder, port = tmp_path_factory.mktemp("serve"), free_port()
    process, log = start(folder, port)
    environ = clean_environment(GATEWAY_DATA_DIR=str(folder / "data"), PORT=port)

    def run(*arguments, **changes):
        return forking.run(*arguments, **(environ | changes))

    run.log, run.port, run.process, run.folder = log, port, process, folder / "data"
    yield run
    assert_that_it_stops(process, log, signal.SIGINT)


def test_the_banner_tells_where_everything_is(running):
    text = running.log.read_text()
    for part in ("/admin/", "admin / ", "/webhooks/sms", "/webhooks/whatsapp", "/webhooks/voice", "simulate sms"):
        assert part in text


def test_its_secrets_are_for_the_owner_only(running):
    for name in ("twilio-auth-token", "secret-key", "admin-password", "running.json"):
        assert oct((running.folder / name).stat().st_mode)[-3:] == "600"


def test_a_simulated_text_is_answered_and_explained(running):
    done = running("simulate", "sms", "--from", "+15558675310", "--body", "Hello")
    assert done.returncode == 0, done.stderr
    assert ">Hello</Message>" in done.stdout
    assert "created: the first message of this sender" in done.stdout


def test_a_gap_plays_a_scenario_without_waiting(running):
    sender = ("--from", "+15558675399")
    first = running("simulate", "sms", *sender, "--at", "2026-03-01T10:00:00Z", "--json")
    reused = running("simulate", "sms", *sender, "--gap", "300")
    rolled = running("simulate", "sms", *sender, "--gap", "300.001")
    assert json.loads(first.stdout)[0]["decision"]["received_at"] == "2026-03-01T10:00:00+00:00"
    assert "reused: 5 min 0 s after the last message, threshold 5 min" in reused.stdout
    assert "rolled over: 5 min 0.001 s after the last message, threshold 5 min" in rolled.stdout


def test_the_same_sid_twice_is_a_redelivery(running):
    twice = [running("simulate", "whatsapp", "--sid", "SM" + "5" * 32, "--json") for _ in range(2)]
    first, again = (json.loads(done.stdout)[0] for done in twice)
    assert again["twiml"] == first["twiml"]
    assert [first["decision"]["duplicate"], again["decision"]["duplicate"]] == [False, True]


def test_a_simulated_call_takes_its_turns_and_hangs_up(running):
    done = running("simulate", "voice", "--from", "+15558675377", "--say", "A table", "--press", "2", "--json")
    steps = json.loads(done.stdout)
    paths = [step["path"] for step in steps]
    assert paths == ["/webhooks/voice", *["/webhooks/voice/turn"] * 2, "/webhooks/voice/status"]
    assert "A table</Say>" in steps[1]["twiml"]
    uri = json.loads((running.folder / "running.json").read_text())["mongodb_uri"]
    with pymongo.MongoClient(uri) as client:
        session = client.gateway.sessions.find_one({"metadata.fromNumber": "+15558675377"})
    assert (session["message_count"], session["live"]) == (5, [])


def test_probes_and_metrics_answer(running):
    def get(path):
        return urllib.request.urlopen(f"http://127.0.0.1:{running.port}{path}", timeout=5).read().decode()

    running("simulate", "sms")
    assert json.loads(get("/healthz")) == {"status": "ok"}
    assert json.loads(get("/readyz"))["mongodb"]["ok"] is True
    metrics = get("/metrics")
    assert 'gateway_messages_total{communication_type="sms",direction="inbound"}' in metrics
    for name in ("gateway_flows_total", "gateway_crm_syncs_total", "gateway_delivery_total"):
        assert metrics.count(f"# TYPE {name} counter\n") == 1, "alerts are written before the first of them"


def test_the_doctor_finds_it_well(running):
    done = running("doctor")
    told = " ".join(done.stdout.split())
    assert done.returncode == 0, done.stdout
    assert f"http://127.0.0.1:{running.port} arrives and is verified, over that very address." in told
    assert "2 web and 1 worker on 1 host." in told
    assert "Nothing is wrong, " in told


def test_users_are_added_listed_and_given_new_passwords(running):
    added = running("users", "add", "ada")
    assert re.search(r"Password: \S{16}", added.stdout)
    assert "ada" in running("users", "list").stdout
    again = running("users", "add", "ada")
    assert (again.returncode, "There is a user 'ada' already" in again.stderr) == (1, True)
    assert running("users", "add", "ada", "--replace").returncode == 0


def test_a_second_gateway_on_the_same_port_says_so_in_one_line(running):
    done = running("serve", GATEWAY_DATA_DIR=str(running.folder / "other"))
    assert done.returncode != 0
    assert done.stderr.strip().splitlines() == [
        f"Error: PORT = {running.port}: Address already in use. Stop what listens there, or choose another: "
        f"PORT={int(running.port) + 1} make run"
    ]


def test_a_second_gateway_in_the_same_folder_is_refused_and_harms_nothing(running):
    done = running("serve", PORT=free_port())
    assert done.returncode != 0
    assert "A gateway runs in" in done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert running("users", "list").returncode == 0


def test_a_web_process_killed_with_9_is_replaced(running):
    listed = subprocess.run(["ps", "-ewwo", "pid=,ppid=,args="], capture_output=True, text=True, check=True).stdout
    serving = [line.split()[:2] for line in listed.splitlines() if f"127.0.0.1:{running.port} wsgi:app" in line]
    web = {int(pid): int(parent) for pid, parent in serving}
    # Not the highest number: they begin anew after 32,768, and then that is the master's.
    os.kill(next(pid for pid, parent in web.items() if parent in web), signal.SIGKILL)
    time.sleep(1)
    assert running("simulate", "sms").returncode == 0


def test_production_logs_json_and_makes_no_password_up(tmp_path, mongo):
    uri, environ = f"{mongo.uri.rpartition('/')[0]}/first_start", {"GATEWAY_ENV": "production", "SECRET_KEY": "s" * 40}
    process, log = start(tmp_path, free_port(), MONGODB_URI=uri, TWILIO_AUTH_TOKEN="t", **environ)
    try:
        before, _, banner = log.read_text().partition("The gateway runs (production")
        assert "migration_started" in {json.loads(line)["event"] for line in before.splitlines() if line.strip()}
        assert "Login      nobody has one yet: `gateway users add NAME` makes one" in banner
        assert not (tmp_path / "data" / "admin-password").exists()
        with pymongo.MongoClient(uri) as client:
            assert client.get_default_database().users.count_documents({}) == 0
            client.drop_database("first_start")
    finally:
        process.terminate()
        process.wait(30)


def test_kill_9_of_the_whole_leaves_nothing_behind_and_nothing_lost_and_sigterm_stops_it(tmp_path):
    process, _ = start(tmp_path, free_port())
    environ = clean_environment(GATEWAY_DATA_DIR=str(tmp_path / "data"))
    text = ("simulate", "sms", "--sid", "SM" + "4" * 32)
    assert forking.run(*text, **environ).returncode == 0
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    until = time.monotonic() + 120
    while family(process) and time.monotonic() < until:
        time.sleep(0.1)
    assert [Path(f"/proc/{pid}/cmdline").read_text() for pid in family(process)] == []
    again, log = start(tmp_path, free_port())
    told = forking.run(*text, "--json", **environ)
    assert json.loads(told.stdout)[0]["decision"]["duplicate"] is True
    assert_that_it_stops(again, log, signal.SIGTERM)


def find(process, part):
    return next(pid for pid in children(process) if part in Path(f"/proc/{pid}/cmdline").read_text())


def wait_for(condition, seconds=60):
    until = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < until
        time.sleep(0.1)


def test_what_is_killed_is_started_again_until_it_is_too_often(tmp_path):
    port = free_port()
    process, log = start(tmp_path, port)
    environ = clean_environment(GATEWAY_DATA_DIR=str(tmp_path / "data"), PORT=port)

    def text():
        return forking.run("simulate", "sms", **environ).returncode == 0

    assert text()
    for number, part in enumerate(("--dbpath", "gateway.worker", "--dbpath"), start=1):
        os.kill(find(process, part), signal.SIGKILL)
        wait_for(lambda n=number: log.read_text().count("is started again") == n)
        wait_for(text)
    os.kill(find(process, "gateway.worker"), signal.SIGKILL)
    assert process.wait(30) == 1
    assert "The worker process stopped again and again, last with exit code -9." in log.read_text()
    assert family(process) == []


def test_when_the_web_process_dies_the_whole_stops_and_names_it(tmp_path):
    process, log = start(tmp_path, free_port())
    os.kill(min(pid for pid in children(process) if "wsgi:app" in Path(f"/proc/{pid}/cmdline").read_text()), 9)
    assert process.wait(30) == 1
    assert "Error: The web process stopped with exit code -9." in log.read_text()
    wait_for(lambda: family(process) == [], seconds=30)
