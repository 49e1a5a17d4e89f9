"""gunicorn's threads stay with their connections, and nobody waits for that."""

import http.client
import os
import select
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from gateway import lingering
from gateway.store.embedded import free_port
from tests.brokers import is_open, wait_for

APP = """
import threading
from gateway import lingering

lingering.LINGER_MS = {linger_ms}

def app(environ, start_response):
    said = str(threading.get_ident()).encode()
    start_response("200 OK", [("Content-Length", str(len(said)))])
    return [said]
"""


@pytest.fixture
def served(tmp_path):
    """Serve the thread's number; gives the port and the process."""
    started = []

    def start(*, threads: int, linger_ms: int = lingering.LINGER_MS) -> tuple[int, subprocess.Popen[bytes]]:
        (tmp_path / "numbered.py").write_text(APP.format(linger_ms=linger_ms))
        port = free_port()
        command = [
            sys.executable, "-m", "gunicorn", "--worker-class", "gateway.lingering.LingeringWorker", "--workers", "1",
            "--threads", str(threads), "--keep-alive", "30", "--no-control-socket", "--bind", f"127.0.0.1:{port}",
            "numbered:app",
        ]  # fmt: skip
        path = f"{tmp_path}{os.pathsep}{Path(__file__).resolve().parents[1]}"
        started.append(subprocess.Popen(command, env=os.environ | {"PYTHONPATH": path}))
        wait_for(lambda: is_open(port))
        return port, started[-1]

    yield start
    for process in started:
        process.kill()
        process.wait()


def asking(port: int) -> Callable[[], bytes]:
    """Open a connection that is kept alive; gives what asks on it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)

    def ask() -> bytes:
        connection.request("GET", "/")
        return connection.getresponse().read()

    return ask


def test_what_comes_at_once_on_a_connection_is_served_by_the_same_thread(served):
    port, _ = served(threads=8, linger_ms=10_000)
    one, other = asking(port), asking(port)
    assert len({one() for _ in range(20)}) == 1
    assert len({other() for _ in range(20)}) == 1
    assert one() != other()


def test_a_connection_that_pauses_gives_its_thread_back(served):
    port, _ = served(threads=1)
    one, other = asking(port), asking(port)
    for _ in range(5):
        assert one() == other()
    time.sleep(lingering.LINGER_MS / 1000 * 2)
    assert one() == other()


def test_who_keeps_asking_keeps_nobody_waiting(served):
    port, _ = served(threads=1, linger_ms=1000)
    busy = asking(port)
    busy()
    other = http.client.HTTPConnection("127.0.0.1", port, timeout=20)
    other.request("GET", "/")  # waits for the only thread
    for _ in range(2000):
        busy()
        if select.select([other.sock], [], [], 0)[0]:
            break
    else:
        pytest.fail("the only thread stayed with the busy connection")
    assert other.getresponse().status == 200


def test_requests_sent_ahead_are_answered_in_turn(served):
    port, _ = served(threads=2)
    with socket.create_connection(("127.0.0.1", port), timeout=20) as line:
        line.sendall(b"GET / HTTP/1.1\r\nHost: here\r\n\r\n" * 3)
        received = b""
        while received.count(b"HTTP/1.1 200") < 3:
            received += line.recv(4096)


def test_a_thread_that_waits_does_not_hold_up_the_end(served):
    port, process = served(threads=2, linger_ms=3000)
    asking(port)()
    process.send_signal(signal.SIGTERM)
    assert process.wait(timeout=12) == 0
