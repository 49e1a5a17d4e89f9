"""A real browser, and a gateway it can open."""

import contextlib
import os
import shutil
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask
from playwright.sync_api import Browser, sync_playwright
from werkzeug.serving import make_server

from gateway.store import users

PASSWORD = "correct horse battery"
DESK = {"width": 1280, "height": 860}


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
        users.add("admin", PASSWORD, app.extensions["gateway"].clock.now())
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


@pytest.fixture(scope="session")
def spare_pages() -> dict[str, list[Any]]:
    """Pages to use again, by what they were made with: a new one takes longer than most of what is done in it."""
    return {}


@pytest.fixture
def open_page(browser: Browser, spare_pages: dict[str, list[Any]]) -> Iterator[Any]:
    """Open a page that remembers what it asked for and what its console said."""
    with contextlib.ExitStack() as used:

        def opened(
            *, viewport: Any = DESK, color_scheme: Any = "light", reduced_motion: Any = "no-preference", **given: Any
        ) -> Any:
            spare = spare_pages.setdefault(repr(sorted(given.items())), [])
            page = spare.pop() if spare else _new_page(browser, **given)
            used.callback(_put_back, page, spare)
            page.asked, page.said = [], []
            page.set_viewport_size(viewport)
            page.emulate_media(media="null", color_scheme=color_scheme, reduced_motion=reduced_motion)
            return page

        yield opened


def _new_page(browser: Browser, **given: Any) -> Any:
    page: Any = browser.new_context(**given).new_page()
    page.on("request", lambda request: page.asked.append(request.url))
    page.on("console", lambda message: page.said.append(message.text))
    page.on("pageerror", lambda error: page.said.append(str(error)))
    return page


def _put_back(page: Any, spare: list[Any]) -> None:
    """Leave where the page is, and forget who was logged in; what it keeps for a site is under that one's port."""
    if page.is_closed() or page.context.pages != [page]:
        page.context.close()
        return
    page.unroute_all(behavior="ignoreErrors")
    page.goto("about:blank")
    page.context.clear_cookies()
    spare.append(page)
