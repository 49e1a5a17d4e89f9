"""What processes load: neither what they use only later, nor what other processes use."""

import os
import subprocess
import sys

import pytest

from gateway.settings import CONFIG_DIR

# Clients of providers and brokers with what they bring along, and whatever else is used by few.
LATER = {
    "twilio.rest", "requests", "urllib3", "tenacity", "celery", "kombu", "phonenumbers",
    "gateway.clients.twilio", "gateway.clients.hubspot", "gateway.responders.llm", "gateway.responders.http_bot",
}  # fmt: skip
# A worker has no pages and serves nobody.
OF_THE_WEB = {"flask", "flask_openapi3", "flask_login", "flask_wtf", "flask_limiter", "wtforms", "jinja2", "argon2"}

MAKE_APP = "from gateway.app import create_app; app = create_app()"
TEXT = f"""{MAKE_APP}
from gateway.channels.signature import SIGNATURE_HEADER, sign
form = {{"MessageSid": "SM1", "From": "+15558675310", "To": "+15017122661", "Body": "Hello"}}
signed = {{SIGNATURE_HEADER: sign("test-token", "http://localhost/webhooks/sms", form)}}
answer = app.test_client().post("/webhooks/sms", data=form, headers=signed)
assert (answer.status_code, "Hello" in answer.text) == (200, True), (answer.status, answer.text)
"""
BUILD_WORKER = "from gateway import settings, worker; worker.runtime.build(settings.load())"


def loaded(code, folder, uri="mongodb://127.0.0.1:1/nowhere"):
    """Run code in a process of its own, as make run configures one; gives the modules it has in the end."""
    environ = {name: value for name, value in os.environ.items() if not name.startswith(("GATEWAY_", "TWILIO_"))}
    environ |= {
        "GATEWAY_ENV": "production", "GATEWAY_DATA_DIR": str(folder), "GATEWAY_SPOOL__DIR": str(folder / "spool"),
        "GATEWAY_REPLY__RESPONDER": "echo", "MONGODB_URI": uri, "SECRET_KEY": "a-key-of-some-length",
        "TWILIO_ACCOUNT_SID": "AC" + "a" * 32, "TWILIO_AUTH_TOKEN": "test-token",
    }  # fmt: skip
    done = subprocess.run(
        [sys.executable, "-c", f"{code}\nimport sys; print('modules', *sys.modules)"],
        cwd=CONFIG_DIR.parent, env=environ, capture_output=True, text=True, timeout=120,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr
    return set(done.stdout.rpartition("modules ")[2].split())


def test_an_ordinary_text_brings_no_client_along(tmp_path, mongo):
    assert loaded(TEXT, tmp_path, mongo.uri) & LATER == set()


def test_a_worker_loads_neither_clients_nor_pages(tmp_path):
    assert loaded(BUILD_WORKER, tmp_path) & (LATER | OF_THE_WEB) == set()


@pytest.mark.parametrize("name", ["gateway.clients.twilio", "gateway.clients.hubspot", "gateway.responders.llm"])
def test_what_is_watched_for_is_still_called_that(name, tmp_path):
    assert name in loaded(f"import {name}", tmp_path)
