"""The lines of the Procfile as a host runs them, without any variable that `make run` sets."""

import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pymongo
import pytest

from gateway.store.embedded import free_port
from tests.brokers import wait_for
from tests.conftest import ACCOUNT, TOKEN

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


def test_metrics_are_summed_over_the_web_processes(web):
    port = free_port()
    web(PORT=str(port))

    def get(path: str, form: bytes | None = None) -> str:
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}{path}", data=form, timeout=5) as answer:
                return answer.read().decode()
        except urllib.error.HTTPError as error:
            return str(error.code)
        except OSError:
            return ""

    wait_for(lambda: get("/healthz"))
    for _ in range(6):
        assert get("/webhooks/sms", b"Body=Hello") == "403"
    assert 'gateway_webhooks_rejected_total{reason="no_signature"} 6.0' in get("/metrics")


def test_a_broker_without_its_library_stops_the_start_with_one_line(web, tmp_path):
    (tmp_path / "celery.py").write_text("raise ImportError('not installed')\n")
    process = web(PYTHONPATH=str(tmp_path), PORT=str(free_port()), GATEWAY_BROKER__URL="redis://127.0.0.1:9/0")
    said, _ = process.communicate(timeout=90)
    assert process.returncode == 1
    assert [line[:35] for line in said.splitlines()] == ["gateway: GATEWAY_BROKER__URL is set"]


def test_the_release_line_migrates_in_production(mongo, tmp_path):
    (line,) = [one for one in (ROOT / "Procfile").read_text().splitlines() if one.startswith("release: ")]
    environ = environment(mongo, tmp_path)
    with pymongo.MongoClient(mongo.uri) as client:
        migrations = client.get_default_database().migrations
        migrations.delete_many({})
        for _ in range(2):  # a second release finds nothing to do
            done = subprocess.run(
                ["sh", "-c", line.removeprefix("release: ")], cwd=ROOT, env=environ, capture_output=True, text=True
            )
            assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "The database is up to date."), done.stderr
            assert {row["state"] for row in migrations.find({"_id": {"$gte": 0}})} == {"done"}
