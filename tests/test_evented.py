"""gunicorn's main thread serves webhooks, many at a time; threads do whatever waits, and nobody waits for them."""

import contextlib
import http.client
import os
import resource
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from gateway.connections import LINGER_SECONDS
from gateway.store.embedded import free_port
from tests.brokers import is_open, wait_for

CONFIG = """
import contextvars
import threading
import time

from gateway import pacing

pacing.RECEIVE_SECONDS = 4.0
asked = contextvars.ContextVar("asked")
keepalive, threads, control_socket_disable, graceful_timeout, worker_connections = 30, 4, True, 9, 60

def post_worker_init(worker):
    worker.paths = ("/main", "/group", "/own", "/fails", "/aside", "/asked", "/much")
    gathering, own = worker.gathering(), worker.gathering()
    main = threading.get_ident()

    def count(group):
        if "fails" in group:
            raise ValueError("the whole group")
        time.sleep(0.02)
        return [len(group)] * len(group)

    def depth(error):
        return 0 if error is None else 1 + depth(error.tb_next)

    def wait():
        time.sleep(2)
        return "main" if threading.get_ident() == main else "thread"

    def answer(path, query):
        match path:
            case "/own":
                return own.do(query, lambda queries: [f"{one} of {len(queries)}" for one in queries])
            case "/group":
                return str(gathering.do(path[1:], count))
            case "/fails":
                try:
                    gathering.do(path[1:], count)
                except ValueError as error:
                    return str(depth(error.__traceback__))
            case "/aside":
                return worker.aside(wait)
            case "/asked":
                asked.set(query)
                return worker.aside(asked.get)
            case "/much":
                return "much" * 2_000_000
        return "main" if threading.get_ident() == main else "thread"

    def app(environ, start_response):
        if environ["PATH_INFO"] != "/unread":
            environ["wsgi.input"].read()
        said = answer(environ["PATH_INFO"], environ["QUERY_STRING"]).encode()
        start_response("200 OK", [("Content-Length", str(len(said)))])
        return [said]

    worker.wsgi = app
"""


@pytest.fixture(scope="module")
def started(tmp_path_factory):
    """Serve what tells who served it; gives the port and gunicorn."""
    processes = []

    def start() -> tuple[int, subprocess.Popen[bytes]]:
        folder, port = tmp_path_factory.mktemp("evented"), free_port()
        (folder / "config.py").write_text(CONFIG)
        (folder / "nothing.py").write_text("app = None.__class__.__call__\n")
        command = [
            sys.executable, "-m", "gunicorn", "--worker-class", "gateway.evented.EventedWorker", "--workers", "1",
            "--config", str(folder / "config.py"), "--bind", f"127.0.0.1:{port}", "nothing:app",
        ]  # fmt: skip
        path = f"{folder}{os.pathsep}{Path(__file__).resolve().parents[1]}"
        processes.append(subprocess.Popen(command, env=os.environ | {"PYTHONPATH": path}))
        wait_for(lambda: is_open(port))
        return port, processes[-1]

    yield start
    for process in processes:
        process.kill()
        process.wait()


@pytest.fixture(scope="module")
def served(started):
    return started()


@pytest.fixture
def port(served):
    return served[0]


def asking(port: int) -> Callable[..., bytes]:
    """Open a connection that is kept alive; gives what asks on it."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=20)

    def ask(path: str = "/main", *, method: str = "POST") -> bytes:
        connection.request(method, path, body=b"Body=Hi")
        return connection.getresponse().read()

    return ask


def opened(port: int) -> socket.socket:
    return socket.create_connection(("127.0.0.1", port), timeout=20)


def written(path: str, *headers: str, body: str = "Body=Hi") -> bytes:
    lines = [f"POST {path} HTTP/1.1", "Host: here", f"Content-Length: {len(body)}", *headers]
    return ("\r\n".join(lines) + "\r\n\r\n" + body).encode()


def answer_on(line: socket.socket) -> tuple[int, bytes]:
    response = http.client.HTTPResponse(line)
    response.begin()
    return response.status, response.read()


def worker_of(process: subprocess.Popen[bytes]) -> int:
    return int(Path(f"/proc/{process.pid}/task/{process.pid}/children").read_text().split()[0])


def together(port: int, process: subprocess.Popen[bytes], paths: list[str]) -> list[tuple[int, bytes]]:
    """Let requests be there at once when the worker looks."""
    lines = [opened(port) for _ in paths]
    for line in lines:
        line.sendall(written("/main"))
        assert answer_on(line) == (200, b"main")
    os.kill(worker_of(process), signal.SIGSTOP)
    for line, path in zip(lines, paths, strict=True):
        line.sendall(written(path))
    os.kill(worker_of(process), signal.SIGCONT)
    return [answer_on(line) for line in lines]


@pytest.mark.parametrize(
    ("method", "path", "by"),
    [
        ("POST", "/main", b"main"),
        ("POST", "/main?turn=1", b"main"),
        ("POST", "/mainly", b"thread"),
        ("POST", "/other", b"thread"),
        ("GET", "/main", b"thread"),
        ("POST", "/aside", b"thread"),
    ],
)
def test_the_main_thread_serves_what_it_was_told_to(port, method, path, by):
    ask = asking(port)
    assert [ask(path, method=method), ask(path, method=method)] == [by, by]


def test_what_is_there_at_once_is_done_as_one_group(served):
    assert together(*served, ["/group"] * 7) == [(200, b"7")] * 7


def test_each_is_given_what_came_of_its_own(served):
    answers = together(*served, [f"/own?{number}" for number in range(7)])
    assert answers == [(200, f"{number} of 7".encode()) for number in range(7)]


def test_connections_that_are_new_come_along(port):
    """Nobody waits for the groups of those that were accepted before."""

    def ask(_: int) -> int:
        with opened(port) as line:
            line.sendall(written("/group"))
            return int(answer_on(line)[1])

    with ThreadPoolExecutor(16) as pool:
        groups = list(pool.map(ask, range(160)))
    assert sum(group > 1 for group in groups) > 100, groups


def test_what_goes_wrong_with_a_group_is_told_to_each_and_to_nobody_else(served):
    answers = together(*served, ["/group", *["/fails"] * 9, "/main"])
    assert [status for status, _ in answers] == [500, *[200] * 9, 200]
    assert len({said for _, said in answers[1:-1]}) == 1, "each begins where the first one did"
    assert together(*served, ["/group"] * 2) == [(200, b"2")] * 2


def test_what_waits_aside_holds_nobody_up(port):
    with opened(port) as slow:
        slow.sendall(written("/aside"))
        ask, began = asking(port), time.monotonic()
        assert [ask() for _ in range(20)] == [b"main"] * 20
        assert time.monotonic() - began < 1.9
        assert answer_on(slow) == (200, b"thread")


def test_what_is_done_aside_knows_whose_it_is(served):
    assert together(*served, [f"/asked?{number}" for number in range(7)]) == [(200, b"%d" % n) for n in range(7)]


def test_a_request_that_comes_in_pieces_holds_nobody_up(port):
    whole = written("/main")
    for cut in (0, 3, 12, whole.index(b"\r\n\r\n") + 2, whole.index(b"\r\n\r\n") + 4, len(whole) - 3):
        with opened(port) as line:
            for piece in (whole[:cut], whole[cut:-1], whole[-1:]):
                line.sendall(piece)
                time.sleep(0.02)
                assert asking(port)() == b"main"
            assert answer_on(line) == (200, b"main")


@pytest.mark.parametrize("path", ["/main", "/other"])
def test_what_is_long_is_read_by_a_thread(port, path):
    with opened(port) as line:
        line.sendall(written(path, body="Body=" + "x" * 300_000))
        assert answer_on(line) == (200, b"thread")


def test_requests_sent_ahead_are_answered_in_turn(port):
    with opened(port) as line:
        line.sendall(written("/main") * 3 + written("/group"))
        received = b""
        while received.count(b"HTTP/1.1 200") < 4:
            received += line.recv(4096)


@pytest.mark.parametrize(
    "spoiled",
    [
        written("/main", "Content-Length: 2"),
        written("/main", "Transfer-Encoding: chunked"),
        written("/main", "X: 1\r\n Content-Length: 9"),
        b"POST /main HTTP/1.1\r\nHost: here\r\nContent-Length: 7\r\nNo colon\r\n\r\nBody=Hi",
    ],
)
def test_what_two_servers_might_read_in_two_ways_is_refused_and_holds_nobody_up(port, spoiled):
    with opened(port) as line:
        line.sendall(spoiled)
        assert answer_on(line)[0] == 400
    assert asking(port)() == b"main"


def test_who_does_not_read_the_answers_is_let_go_and_holds_nobody_up(port):
    with opened(port) as line:
        line.sendall(written("/much"))
        began = time.monotonic()
        assert asking(port)() == b"main"
        assert time.monotonic() - began < 2
        time.sleep(0.2)
        received = 0
        while some := line.recv(1 << 20):
            received += len(some)
        assert received < 8_000_000


def test_who_does_not_hang_up_holds_nobody_up_and_takes_no_thread(port):
    silent = [opened(port) for _ in range(12)]
    for line in silent:
        line.sendall(written("/main", "Connection: close"))
    began = time.monotonic()
    assert [asking(port)(path) for path in ("/main", "/other", "/aside")] == [b"main", b"thread", b"thread"]
    assert time.monotonic() - began < 4
    for line in silent:
        assert answer_on(line) == (200, b"main")
        assert line.recv(1) == b""


def test_who_does_not_hang_up_is_hung_up_on_and_not_at_once(port):
    with opened(port) as line:
        began = time.monotonic()
        line.sendall(written("/main", "Connection: close"))
        assert answer_on(line) == (200, b"main")
        wait_for(lambda: is_hung_up_on(line), what="the end of a connection that says it goes on")
        assert time.monotonic() - began > LINGER_SECONDS


def is_hung_up_on(line: socket.socket) -> bool:
    try:
        line.send(b"and another thing")
    except ConnectionError:
        return True
    return False


def test_who_is_answered_while_still_sending_is_told_so(port):
    """As behind nginx, which sends what it has read of a file before it looks for an answer."""
    sent = b"a" * 500_000
    with opened(port) as line:
        line.sendall(written("/unread", body="").replace(b"Length: 0", b"Length: 1500000"))
        for _ in range(3):
            time.sleep(0.2)
            line.sendall(sent)
        assert answer_on(line) == (200, b"thread")
        assert line.recv(1) == b""


def test_connections_count_until_they_are_closed(served):
    port, process = served
    lines = [opened(port) for _ in range(150)]
    for line in lines:
        line.sendall(written("/main", "Connection: close"))
    assert len(list(Path(f"/proc/{worker_of(process)}/fd").iterdir())) < 60 + 40
    for line in lines:
        assert answer_on(line) == (200, b"main")
        line.close()


def test_who_wants_to_be_told_to_go_on_is_told(port):
    head, _, body = written("/main", "Expect: 100-continue").partition(b"\r\n\r\n")
    with opened(port) as line:
        line.settimeout(2)
        line.sendall(head + b"\r\n\r\n")
        assert line.recv(100).startswith(b"HTTP/1.1 100")
        line.sendall(body)
        assert answer_on(line) == (200, b"thread")


def test_who_opens_a_connection_and_says_nothing_takes_no_thread(port):
    silent = [opened(port) for _ in range(20)]
    began = time.monotonic()
    assert asking(port)("/other") == b"thread"
    assert time.monotonic() - began < 2
    for line in silent:
        line.sendall(written("/main"))
        assert answer_on(line) == (200, b"main")
        line.close()


@pytest.mark.parametrize("begun", [b"GET /other HTTP/1.1\r\nHost: h", written("/other", body="x" * 90_000)[:-1]])
def test_who_sends_slowly_is_let_go_and_no_webhook_waits_for_them(port, begun):
    slow = [opened(port) for _ in range(8)]
    for line in slow:
        line.sendall(begun)
    time.sleep(0.2)
    began = time.monotonic()
    assert asking(port)("/aside") == b"thread"
    assert time.monotonic() - began < 3.5
    for line in slow:
        with contextlib.suppress(OSError):
            assert line.recv(1) == b""
        line.close()
    assert time.monotonic() - began < 60
    assert asking(port)("/other") == b"thread"


def test_what_is_no_request_is_not_quoted_in_the_log(started, capfd):
    port, _ = started()
    with opened(port) as line:
        line.sendall(b"Body=my+secret&From=%2B15550001111 x\r\n\r\n")
        assert line.recv(100).startswith(b"HTTP/1.1 400")
    said = capfd.readouterr().err
    assert "Invalid request from ip=127.0.0.1: Invalid HTTP" in said
    assert "secret" not in said


def dripping(line, request, seconds):
    """Send a request a byte every half second, for so long at most; tells how long that was possible."""
    began = time.monotonic()
    with contextlib.suppress(OSError):
        for byte in request:
            line.sendall(bytes([byte]))
            line.settimeout(0.5)
            with contextlib.suppress(TimeoutError):
                if line.recv(1) == b"":
                    break
            if time.monotonic() - began > seconds:
                break
    return time.monotonic() - began


def test_who_sends_a_webhook_byte_by_byte_is_let_go(port):
    with opened(port) as line:
        line.sendall(written("/main")[:20])
        assert 3 < dripping(line, written("/main")[20:-1], seconds=20) < 8


@pytest.mark.parametrize(
    "begun", [written("/main")[:-1], b"", b"GET /healthz HTTP/1.1\r\n"], ids=["webhook", "", "get"]
)
def test_who_takes_all_connections_and_finishes_nothing_makes_room(started, begun):
    port, _ = started()
    slow = [opened(port) for _ in range(130)]
    for line in slow:
        line.sendall(begun)
    began = time.monotonic()
    assert asking(port)() == b"main"
    assert time.monotonic() - began < 8
    for line in slow:
        line.close()


def test_with_too_many_open_files_idle_connections_make_room_and_nothing_is_kept_from_coming_in_later(started):
    port, process = started()
    asking(port)()
    worker = worker_of(process)
    before = resource.prlimit(worker, resource.RLIMIT_NOFILE)
    resource.prlimit(worker, resource.RLIMIT_NOFILE, (len(list(Path(f"/proc/{worker}/fd").iterdir())) + 5, before[1]))
    assert [asking(port)() for _ in range(20)] == [b"main"] * 20
    resource.prlimit(worker, resource.RLIMIT_NOFILE, before)
    callers = [asking(port) for _ in range(30)]
    assert [ask() for ask in callers * 2] == [b"main"] * 60


def test_the_end_waits_for_who_is_served_and_not_for_connections(started):
    port, process = started()
    idle, busy, silent, partly = asking(port), opened(port), opened(port), opened(port)
    idle()
    partly.sendall(written("/main")[:-1])
    busy.sendall(written("/aside"))
    time.sleep(0.2)
    began = time.monotonic()
    process.send_signal(signal.SIGTERM)
    assert answer_on(busy) == (200, b"thread")
    assert process.wait(timeout=12) == 0
    assert time.monotonic() - began < 6
    silent.close()
