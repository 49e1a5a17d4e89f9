"""Whether a tunnel leads here is asked of whoever answers there."""

import logging

import pytest
import requests
from flask import Flask, Response

from gateway.cli.probing import leads_elsewhere
from gateway.conversation.phoning import SimulationFailed
from gateway.conversation.simulation.line import Line
from tests.stand_ins.serving import Served


def test_an_answer_without_end_is_not_read():
    """The name of a tunnel that is gone may be somebody else's by now."""
    pieces, app = [], Flask("elsewhere")

    def endless():
        while len(pieces) < 300:
            pieces.append(1)
            yield b"x" * 1_000_000

    app.add_url_rule("/", view_func=lambda: Response(endless()))
    with Served(app) as served:
        assert leads_elsewhere(served.url) == "it answers HTTP 200"
    assert len(pieces) < 300


@pytest.mark.parametrize(
    ("said", "fault"),
    [
        (
            "certificate verify failed: certificate has expired (_ssl.c:1006)",
            "expired",
        ),
        (
            "certificate verify failed: Hostname mismatch, certificate is not valid for 'a.example'. (_ssl.c:1006)",
            "certificate is not valid for 'a.example'",
        ),
    ],
)
def test_what_is_wrong_with_a_certificate_is_named(monkeypatch, said, fault):
    def refuse(*_args, **_options):
        raise requests.exceptions.SSLError(said)

    monkeypatch.setattr(requests, "get", refuse)
    monkeypatch.setattr(requests, "request", refuse)
    assert leads_elsewhere("https://a.example").endswith(fault)
    with pytest.raises(SimulationFailed, match=r"The certificate of https://a.example is not accepted: .*Renew"):
        Line(None, "https://a.example", "https://a.example").knock()


def test_where_no_tls_is_spoken_no_certificate_is_blamed():
    logging.getLogger("werkzeug").setLevel(logging.CRITICAL)
    with Served(Flask("plain")) as served:
        assert leads_elsewhere(served.url.replace("http", "https")) == "no TLS is spoken there"
