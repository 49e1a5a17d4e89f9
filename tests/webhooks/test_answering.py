"""Answers in TwiML are what Flask would make of them."""

import pytest
from flask import Response
from werkzeug.test import create_environ, run_wsgi_app

from gateway.webhooks.answering import Twiml

TYPE = "text/xml; charset=utf-8"


@pytest.mark.parametrize("method", ["POST", "GET", "HEAD"])
@pytest.mark.parametrize(("document", "status"), [("<Response/>", 200), ("<Response>Grüße</Response>", 503), ("", 400)])
def test_is_sent_as_any_response_is(document, status, method):
    sent, usual = (
        run_wsgi_app(made, create_environ(method=method), buffered=True)
        for made in (Twiml(document, status), Response(document, status, content_type=TYPE))
    )
    assert (b"".join(sent[0]), sent[1], list(sent[2])) == (b"".join(usual[0]), usual[1], list(usual[2]))
