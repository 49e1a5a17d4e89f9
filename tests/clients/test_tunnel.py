"""ngrok's tunnel, against a library of the same interface; and against the real one, where it is installed."""

import inspect
import re
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

from gateway.clients import tunnel
from gateway.clients.tunnel import BACK, ENDED, LOST, NgrokTunnel, TunnelFailed

LIBRARIES = Path(__file__).resolve().parents[1] / "stand_ins" / "libraries"
TOKEN = "2abcDEFghi_3jklMNOpqr"


@pytest.fixture
def library(monkeypatch):
    monkeypatch.syspath_prepend(str(LIBRARIES))
    monkeypatch.delitem(sys.modules, "ngrok", raising=False)
    import ngrok

    yield ngrok
    sys.modules.pop("ngrok", None)


def opened(**given):
    told = []
    one = NgrokTunnel(TOKEN, 8090, tell=lambda *said: told.append(said), **given)
    return one, told


def test_it_opens_a_tunnel_to_the_loopback_and_closes_it(library):
    one, _ = opened()
    assert one.open() == "https://abc.ngrok.app"
    (session,) = library.sessions
    assert session.asked["authtoken"] == (TOKEN,)
    assert session.asked["forwards_to"] == ("http://127.0.0.1:8090",)
    one.close()
    assert session.closed
    assert "closed" in session.asked


def test_a_reserved_domain_is_asked_for(library):
    one, _ = opened(domain="mine.ngrok.app")
    assert one.open() == "https://mine.ngrok.app"
    one.close()


def test_a_connection_that_drops_is_told_once_and_that_it_is_back(library):
    one, told = opened()
    one.open()
    asked = library.sessions[0].asked
    (lost,), (beat,) = asked["disconnection"], asked["heartbeat"]
    for call in (lambda: beat(20), lambda: lost("connect.ngrok.com:443", f"reset {TOKEN}"),
                 lambda: lost("connect.ngrok.com:443", "again"), beat, beat):  # fmt: skip
        call()
    asked["stop"][0]()
    assert told == [(LOST, "reset (hidden)"), (BACK, ""), (ENDED, "ngrok was asked to stop it")]
    one.close()


FAILURES = [
    (f"authentication failed: invalid. Your authtoken: {TOKEN}\r\n\r\nERR_NGROK_107", "does not take NGROK_AUTHTOKEN"),
    ("authentication failed: limited to 1 session\nERR_NGROK_108", "Another agent of this ngrok account"),
    ("the endpoint is already online\n\nERR_NGROK_334", "Something else serves this ngrok address"),
    (f"something new about {TOKEN}\nERR_NGROK_9999", "ngrok opened no tunnel: .*ERR_NGROK_9999"),
    ("failed to establish tcp connection", "could not be reached .failed to connect session failed to establish"),
]


@pytest.mark.parametrize(("said", "words"), FAILURES)
def test_what_ngrok_refuses_is_one_line_without_the_token(library, monkeypatch, said, words):
    monkeypatch.setenv("FAKE_NGROK_FAILS", said)
    one, _ = opened()
    with pytest.raises(TunnelFailed, match=words) as told:
        one.open()
    assert TOKEN not in str(told.value)
    assert "\n" not in str(told.value)
    one.close()


def test_without_the_library_the_remedy_is_said(monkeypatch):
    monkeypatch.setitem(sys.modules, "ngrok", None)
    one, _ = opened()
    with pytest.raises(TunnelFailed, match=r"is not installed. Install the extra `tunnel` .*--url https"):
        one.open()
    one.close()


def test_a_library_that_does_not_load_says_why(monkeypatch):
    def broken(_name):
        raise ImportError("libssl.so.3: cannot open shared object file", name="ngrok.ngrok")

    monkeypatch.setattr(tunnel, "import_module", broken)
    one, _ = opened()
    with pytest.raises(TunnelFailed, match="does not work on this machine"):
        one.open()
    one.close()


def test_the_real_library_has_what_is_used_of_it(library, monkeypatch):
    """Compared by name, since it is written in Rust; and asked for a tunnel where nobody listens."""
    sys.modules.pop("ngrok")
    sys.path.remove(str(LIBRARIES))
    real = pytest.importorskip("ngrok")
    for name in ("SessionBuilder", "Session", "HttpListenerBuilder", "Listener"):
        ours = {one for one, _ in inspect.getmembers(getattr(library, name), inspect.isfunction) if one[0] != "_"}
        assert ours <= set(dir(getattr(real, name)))
    nowhere = SimpleNamespace(SessionBuilder=lambda: real.SessionBuilder().server_addr("127.0.0.1:9"))
    monkeypatch.setattr(tunnel, "_library", lambda: nowhere)
    one, _ = opened()
    with pytest.raises(TunnelFailed, match=re.escape("ngrok could not be reached (failed to connect session")):
        one.open()
    one.close()
