"""Somebody at the console: a browser without a screen for most, a real one for what only that can show."""

import re
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from playwright.sync_api import Page
from werkzeug.test import TestResponse

from gateway.store import users
from tests.browser import PASSWORD
from tests.conftest import TEN, StoppedClock, Twilio

# Who wrote to the office.
ADA = "+15550000001"

_TOKEN = re.compile(r'name="csrf_token" value="([^"]+)"')


class Console:
    """An operator's side of the console."""

    def __init__(self, client: FlaskClient) -> None:
        self.client = client

    def get(self, path: str = "/admin/") -> TestResponse:
        return self.client.get(path)

    def page(self, path: str = "/admin/") -> str:
        response = self.get(path)
        assert response.status_code == 200, response.text
        return response.text

    def post(self, path: str, *, form_on: str = "/admin/login", **fields: str) -> TestResponse:
        """Send a form as the page that holds it would: with its token."""
        token = _TOKEN.search(self.get(form_on).text)
        assert token, f"{form_on} has no form"
        return self.client.post(path, data={"csrf_token": token[1]} | fields)

    def log_in(self, *, name: str = "admin", password: str = PASSWORD, at: str = "/admin/login") -> TestResponse:
        return self.post(at, form_on=at, name=name, password=password)


@pytest.fixture
def visitor(app: Flask) -> Console:
    """Somebody who is not logged in, where `admin` could."""
    users.add("admin", PASSWORD, TEN)
    return Console(app.test_client())


@pytest.fixture
def console(visitor: Console) -> Console:
    """An operator who is logged in."""
    assert visitor.log_in().status_code == 302
    return visitor


@pytest.fixture
def session_id(db: Any) -> Any:
    """Find the id of the newest session."""
    return lambda: str(db.sessions.find_one({}, sort=[("_id", -1)])["_id"])


def log_in(page: Page, base: str) -> None:
    """Log in as the first operator."""
    page.goto(f"{base}/admin/")
    page.get_by_label("Name").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{base}/admin/")


@pytest.fixture
def office(serve: Any, clock: StoppedClock) -> tuple[Twilio, str]:
    """A served gateway with one session, and Twilio's side of it."""
    app, base = serve(public_url="http://gateway.example.com")
    twilio = Twilio(app.test_client(), base="http://gateway.example.com")
    twilio.sms("Where is my parcel?", From=ADA)
    clock.tick(5)
    return twilio, base
