"""schemathesis over the OpenAPI file: all its checks, over every operation, in sequences too."""

import multiprocessing
from concurrent.futures import ProcessPoolExecutor

import pytest
import schemathesis
from schemathesis.config import SchemathesisConfig
from schemathesis.engine import events, from_schema

from gateway.store import api_keys
from tests.conftest import TEN

# The boundaries of every value are tried in any case. What comes on top is the same in every run, and each takes as
# long as ten of those.
EXAMPLES = 1
# Sequences of calls, where one takes its ids from the answer to another.
SEQUENCES = 20

# Refused with 422 though the schema is kept: the same Idempotency-Key with another body. And what breaks it though
# schemathesis takes it for kept: an empty name among the values of a flow.
SURPRISING = ("begin_session", "send_message", "send_to_number", "begin_flow")
ACCEPTED = ["2xx", "3xx", "401", "403", "404", "409", "422", "429", "503"]


def configured(key):
    return SchemathesisConfig.from_dict(
        {
            "request-timeout": 60,
            "headers": {"Authorization": f"Bearer {key}"},
            "generation": {"max-examples": EXAMPLES, "deterministic": True, "database": "none"},
            "checks": {"enabled": True},
            "phases": {"stateful": {"generation": {"max-examples": SEQUENCES}}},
            "operations": [
                {
                    "include-operation-id": list(SURPRISING),
                    "checks": {"positive_data_acceptance": {"expected-statuses": ACCEPTED}},
                }
            ],
        }
    )


def failures(url, key):
    """Run everything; gives what failed, with a call that shows it."""
    schema = schemathesis.openapi.from_url(url, config=configured(key))
    found = {}
    for event in from_schema(schema).execute():
        if isinstance(event, events.NonFatalError | events.FatalError):
            found[str(event)] = repr(getattr(event, "value", None) or event.exception)
        if not isinstance(event, events.ScenarioFinished):
            continue
        for checks in event.recorder.checks.values():
            for check in checks:
                if info := check.failure_info:
                    failure = info.failure
                    found.setdefault((failure.operation, failure.title), f"{failure.message}\n{info.code_sample}")
    return found


@pytest.mark.timeout(900)
def test_the_api_is_what_its_file_says(serve):
    _, base = serve(api={"requests_per_minute": 1_000_000}, chat={"wait_seconds": 0})
    _, key = api_keys.add("schemathesis", ["admin"], TEN, by="a test")
    # What is generated depends on the modules that are loaded: a process of its own does the same in every run.
    with ProcessPoolExecutor(1, mp_context=multiprocessing.get_context("spawn")) as apart:
        found = apart.submit(failures, f"{base}/api/openapi.json", key).result()
    assert not found, "\n\n".join(f"{where}: {what}" for where, what in found.items())
