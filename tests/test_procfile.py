"""The `web:` line of the Procfile as a host runs it, without any variable that `make run` sets."""

import os
import subprocess
import sys
import urllib.error
import urllib.request
from pathlib import Path

import pytest

from gateway.store.embedded import free_port
from tests.brokers import wait_for
from tests.conftest import ACCOUNT, TOKEN

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def web(mongo, tmp_path):
    """Start gunicorn; what it was started with can be changed."""
    started = []

    def start(**given: str) -> subprocess.Popen[str]:
        names = ("GATEWAY_", "TWILIO_", "MONGODB_URI", "PUBLIC_URL", "SECRET_KEY", "PROMETHEUS_")
        environ = {name: value for name, value in os.environ.items() if not name.startswith(names)} | {
            "GATEWAY_ENV": "test", "GATEWAY_DATA_DIR": str(tmp_path), "MONGODB_URI": mongo.uri,
            "SECRET_KEY": "test-secret-key", "TWILIO_ACCOUNT_SID": ACCOUNT, "TWILIO_AUTH_TOKEN": TOKEN,
        }  # fmt: skip
        command = [sys.executable, "-m", "gunicorn", "--config", "config/gunicorn.conf.py", "wsgi:app"]
        process = subprocess.Popen(
            command, cwd=ROOT, env=environ | given, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True
        )
        started.append(process)
        return process

    yield start
    for process in started:
        process.terminate()
        process.communicate(timeout=20)


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
    said, _ = process.communicate(timeout=30)
    assert process.returncode == 1
    assert [line[:35] for line in said.splitlines()] == ["gateway: GATEWAY_BROKER__URL is set"]
