"""The lines of the Procfile as a host runs them, without any variable that `make run` sets."""

import contextlib
import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pymongo
import pytest
import requests

from gateway.channels.signature import sign
from gateway.store.embedded import free_port
from tests.brokers import is_open, wait_for
from tests.conftest import ACCOUNT, TOKEN, fixture
from tests.stand_ins.bots import stand_in
from tests.stand_ins.twilio import TwilioStandIn

ROOT = Path(__file__).resolve().parents[1]


def environment(mongo, folder: Path) -> dict[str, str]:
    """What a host sets, and nothing else of ours; the gateway's commands are on its path."""
    names = ("GATEWAY_", "TWILIO_", "MONGODB_URI", "PUBLIC_URL", "SECRET_KEY", "PROMETHEUS_")
    return {name: value for name, value in os.environ.items() if not name.startswith(names)} | {
        "GATEWAY_DATA_DIR": str(folder), "MONGODB_URI": mongo.uri, "SECRET_KEY": "test-secret-key",
        "TWILIO_ACCOUNT_SID": ACCOUNT, "TWILIO_AUTH_TOKEN": TOKEN,
        "PATH": f"{Path(sys.executable).parent}{os.pathsep}{os.environ['PATH']}",
    }  # fmt: skip


@pytest.fixture
def web(mongo, tmp_path):
    """Start gunicorn; what it was started with can be changed."""
    started = []

    def start(**given: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "gunicorn", "--config", "config/gunicorn.conf.py", "wsgi:app"]
        environ = environment(mongo, tmp_path) | {"GATEWAY_ENV": "test"} | given
        process = subprocess.Popen(
            command, cwd=ROOT, env=environ, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.terminate()
        process.communicate(timeout=60)


def test_a_broker_without_its_library_stops_the_start_with_one_line(web, tmp_path):
    (tmp_path / "celery.py").write_text("raise ImportError('not installed')\n")
    process = web(PYTHONPATH=str(tmp_path), PORT=str(free_port()), GATEWAY_BROKER__URL="redis://127.0.0.1:9/0")
    said, _ = process.communicate(timeout=90)
    assert process.returncode == 1
    assert [line[:35] for line in said.splitlines()] == ["gateway: GATEWAY_BROKER__URL is set"]


def test_a_database_nobody_named_stops_the_start_with_one_line(web):
    process = web(GATEWAY_ENV="production", PORT=str(free_port()), MONGODB_URI="")
    said, _ = process.communicate(timeout=90)
    assert process.returncode not in (0, None)
    (line,) = said.splitlines()
    assert line.startswith("gateway: MONGODB_URI is not set. Set it")


def test_a_database_that_cannot_be_stops_the_start_with_one_line(web):
    process = web(GATEWAY_ENV="production", PORT=str(free_port()), MONGODB_URI="mongodb://a.test/gateway?tls=perhaps")
    said, _ = process.communicate(timeout=90)
    assert process.returncode not in (0, None)
    assert said == (
        "gateway: MONGODB_URI is not usable: The value of tls must be 'true' or 'false'. "
        "Write it as mongodb://host:27017/gateway.\n"
    )


@pytest.fixture
def procfile(mongo, tmp_path):
    """Run processes of the Procfile with honcho, as hosts of that kind do; all end with the test."""
    pytest.importorskip("honcho")
    started = []

    def start(*names: str, **given: str) -> subprocess.Popen[str]:
        command = [sys.executable, "-m", "honcho", "--no-colour", "start", *names]
        environ = environment(mongo, tmp_path) | {"PYTHONUNBUFFERED": "1"} | given
        with (tmp_path / "log").open("a") as out:
            process = subprocess.Popen(
                command, cwd=ROOT, env=environ, stdout=out, stderr=out, text=True, start_new_session=True
            )
        started.append(process)
        return process

    yield start
    for process in started:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGTERM)
        process.wait(60)


def test_the_release_line_migrates_in_production(mongo, procfile, tmp_path):
    with pymongo.MongoClient(mongo.uri) as client:
        migrations = client.get_default_database().migrations
        migrations.delete_many({})
        for number in (1, 2):  # a second release finds nothing to do
            assert procfile("release").wait(90) == 0, (tmp_path / "log").read_text()
            assert (tmp_path / "log").read_text().count("The database is up to date.") == number
            assert {row["state"] for row in migrations.find({"_id": {"$gte": 0}})} == {"done"}
    logged = [line.partition("| ")[2] for line in (tmp_path / "log").read_text().splitlines() if "migration_" in line]
    assert {json.loads(line)["event"] for line in logged} == {"migration_started", "migration_finished"}


def test_web_and_worker_run_in_production_and_end_in_order(mongo, procfile, tmp_path):
    """A text is taken by the one and answered by the other; a deploy ends both without a trace."""
    log, port = tmp_path / "log", free_port()
    url = f"http://127.0.0.1:{port}/webhooks/sms"
    with TwilioStandIn() as twilio, stand_in() as bot:
        bot.answers = [{"text": "With pleasure."}]
        running = procfile(
            "--port", str(port), "web", "worker", GATEWAY_TWILIO__API_BASE_URL=twilio.url,
            GATEWAY_REPLY__RESPONDER="http_bot", GATEWAY_REPLY__DEBOUNCE_SECONDS="0", GATEWAY_HTTP_BOT__URL=bot.url,
        )  # fmt: skip
        wait_for(lambda: is_open(port) or running.poll() is not None, what=log.read_text)
        form = fixture("sms/text") | {"MessageSid": f"SM{os.urandom(16).hex()}"}
        # What a proxy may say is read by the app, and only from proxies it knows.
        pretended = {"X-Forwarded-Proto": "https", "Script_Name": "/webhooks"}
        headers = {"X-Twilio-Signature": sign(TOKEN, url, form)} | pretended
        answer = requests.post(url, data=form, headers=headers, timeout=30)
        assert (answer.status_code, "<Message" in answer.text) == (200, False), log.read_text()
        for _ in range(6):
            assert requests.post(url, data=form, timeout=30).status_code == 403
        metrics = requests.get(f"http://127.0.0.1:{port}/metrics", timeout=30).text
        assert 'gateway_webhooks_rejected_total{reason="no_signature"} 6.0' in metrics, "not summed over the processes"
        wait_for(lambda: [one["body"] for one in twilio.messages] == ["With pleasure."], what=log.read_text)
    running.terminate()
    assert running.wait(60) in (0, 143), log.read_text()
    said = log.read_text()
    assert "worker_stopped" in said
    assert "Traceback" not in said
