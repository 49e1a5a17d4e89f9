"""Somebody at the console: a browser without a screen for most, a real one for what only that can show."""

import os
import re
import shutil
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from flask.testing import FlaskClient
from playwright.sync_api import Browser, Page, sync_playwright
from werkzeug.serving import make_server
from werkzeug.test import TestResponse

from gateway.store import users
from tests.conftest import TEN

PASSWORD = "correct horse battery"
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


@pytest.fixture(scope="session")
def browser() -> Iterator[Browser]:
    """A real browser; CI must have one."""
    names = ("chromium", "chromium-browser", "google-chrome")
    found = os.environ.get("GATEWAY_CHROMIUM") or next(filter(None, map(shutil.which, names)), None)
    if not found:
        reason = f"no browser: install one of {', '.join(names)}, or set GATEWAY_CHROMIUM to its path"
        if os.environ.get("CI"):
            pytest.fail(reason)
        pytest.skip(reason)
    quiet = ("background-networking", "component-update", "sync", "gpu")
    arguments = ["--no-sandbox", "--no-first-run", *(f"--disable-{name}" for name in quiet)]
    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=found, args=arguments)
        yield started
        started.close()


@pytest.fixture
def serve(make_app: Any) -> Iterator[Any]:
    """Serve an app of the development environment, whose cookies need no https; gives its address."""
    servers = []

    def start(**given: Any) -> tuple[Flask, str]:
        app = make_app(**({"env": "development", "public_url": ""} | given))
        users.add("admin", PASSWORD, TEN)
        server = make_server("127.0.0.1", 0, app, threaded=True)
        thread = threading.Thread(target=server.serve_forever, daemon=True)
        thread.start()
        servers.append((server, thread))
        return app, f"http://127.0.0.1:{server.server_port}"

    yield start
    for server, thread in servers:
        server.shutdown()
        thread.join()
        server.server_close()


@pytest.fixture
def open_page(browser: Browser) -> Iterator[Any]:
    """Open a page that remembers what it asked for and what its console said."""
    contexts: list[Any] = []

    def opened(**given: Any) -> Any:
        context = browser.new_context(**({"viewport": {"width": 1280, "height": 860}} | given))
        contexts.append(context)
        page: Any = context.new_page()
        page.asked, page.said = [], []
        page.on("request", lambda request: page.asked.append(request.url))
        page.on("console", lambda message: page.said.append(message.text))
        page.on("pageerror", lambda error: page.said.append(str(error)))
        return page

    yield opened
    for context in contexts:
        context.close()


def log_in(page: Page, base: str) -> None:
    """Log in as the first operator."""
    page.goto(f"{base}/admin/")
    page.get_by_label("Name").fill("admin")
    page.get_by_label("Password").fill(PASSWORD)
    page.get_by_role("button", name="Log in").click()
    page.wait_for_url(f"{base}/admin/")
