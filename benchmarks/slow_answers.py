"""Does a slow model slow the webhook? p50 and p99 with a 3-second `llm` against `none`, A B A B in one run.

    .venv/bin/python -m benchmarks.slow_answers --senders 200 --seconds 20

Everything is real and on this machine: gunicorn as `gateway serve` runs it, its worker, a mongod with majority and
journalled writes, signed webhooks over keep-alive connections, and a stand-in for the model that takes its time.
"""

import argparse
import contextlib
import http.client
import json
import os
import random
import signal
import socket
import statistics
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import urlencode

from werkzeug.serving import WSGIRequestHandler, make_server
from werkzeug.wrappers import Request, Response

from gateway.channels.signature import SIGNATURE_HEADER, sign

TOKEN = "benchmark-token"
LINE = "+15017122661"


class _Silent(WSGIRequestHandler):
    """Writes no line for each request."""

    def log(self, *_: object) -> None:
        """Write nothing."""


@contextlib.contextmanager
def model(seconds: float) -> Iterator[str]:
    """Serve a model that thinks for so long."""

    @Request.application
    def think(_request: Request) -> Response:
        time.sleep(seconds)
        answer = {"choices": [{"message": {"content": "Hello from the model."}}], "usage": {"total_tokens": 9}}
        return Response(json.dumps(answer), mimetype="application/json")

    server = make_server("127.0.0.1", 0, think, threaded=True, request_handler=_Silent)
    server.daemon_threads = True
    threading.Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_port}/v1"
    server.shutdown()


@contextlib.contextmanager
def gateway(responder: str, model_url: str) -> Iterator[int]:
    """Run the whole gateway with this responder; gives its port."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    with tempfile.TemporaryDirectory() as folder:
        environ = os.environ | {
            "PORT": str(port),
            "GATEWAY_DATA_DIR": folder,
            "TWILIO_AUTH_TOKEN": TOKEN,
            "GATEWAY_ADMIN__PASSWORD": "benchmark-password",
            "GATEWAY_LOG__FORMAT": "json",
            "GATEWAY_REPLY__RESPONDER": responder,
            "GATEWAY_LLM__BASE_URL": model_url,
            "GATEWAY_LLM__MODEL": "stand-in",
        }
        command = [sys.executable, "-c", "from gateway.cli import main; main()", "serve"]
        with (Path(folder) / "log").open("w") as log:
            process = subprocess.Popen(command, env=environ, stdout=log, stderr=log, start_new_session=True)
            try:
                wait_until_ready(port)
                yield port
            finally:
                process.send_signal(signal.SIGTERM)
                process.wait(60)


def wait_until_ready(port: int) -> None:
    """Wait until the gateway takes messages."""
    for _ in range(600):
        with contextlib.suppress(OSError):
            connection = http.client.HTTPConnection("127.0.0.1", port, timeout=2)
            connection.request("GET", "/readyz")
            if connection.getresponse().status == 200:
                return
        time.sleep(0.1)
    raise SystemExit("The gateway did not come up.")


def send(port: int, sender: int, until: float, spent: list[float]) -> None:
    """Be one person who texts every one to three seconds."""
    rng, number = random.Random(sender), 0
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=30)
    time.sleep(rng.uniform(0, 2))
    while time.monotonic() < until:
        number += 1
        sid = f"SM{sender:016x}{number:016x}"
        form = {"MessageSid": sid, "From": f"+1555{sender:07d}", "To": LINE, "Body": f"Message {number}"}
        signature = sign(TOKEN, f"http://127.0.0.1:{port}/webhooks/sms", form)
        headers = {"Content-Type": "application/x-www-form-urlencoded", SIGNATURE_HEADER: signature}
        started = time.perf_counter()
        connection.request("POST", "/webhooks/sms", urlencode(form), headers)
        answer = connection.getresponse()
        answer.read()
        spent.append((time.perf_counter() - started) * 1000)
        if answer.status != 200:
            raise SystemExit(f"The gateway answered {answer.status}.")
        time.sleep(rng.uniform(1, 3))


def measure(responder: str, model_url: str, senders: int, seconds: float) -> dict[str, float]:
    """Measure one run; milliseconds."""
    with gateway(responder, model_url) as port:
        spent: list[float] = []
        until = time.monotonic() + seconds
        people = [threading.Thread(target=send, args=(port, sender, until, spent)) for sender in range(senders)]
        for person in people:
            person.start()
        for person in people:
            person.join()
    cuts = statistics.quantiles(spent, n=100)
    return {"requests": len(spent), "p50": round(cuts[49], 1), "p99": round(cuts[98], 1)}


def main() -> None:
    """Print each run, and the ratio of the medians of both."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--senders", type=int, default=200)
    parser.add_argument("--seconds", type=float, default=20)
    parser.add_argument("--thinking", type=float, default=3)
    parser.add_argument("--rounds", type=int, default=3)
    given = parser.parse_args()
    runs: dict[str, list[dict[str, float]]] = {"none": [], "llm": []}
    with model(given.thinking) as model_url:
        for _ in range(given.rounds):
            for responder, measured in runs.items():
                measured.append(measure(responder, model_url, given.senders, given.seconds))
                print(f"{responder:5}", measured[-1], flush=True)
    medians = {
        (responder, name): statistics.median(run[name] for run in measured)
        for responder, measured in runs.items()
        for name in ("p50", "p99")
    }
    ratios = {name: round(medians["llm", name] / medians["none", name], 2) for name in ("p50", "p99")}
    print(json.dumps({"ratio": ratios, "runs": runs}, indent=2))


if __name__ == "__main__":
    main()
