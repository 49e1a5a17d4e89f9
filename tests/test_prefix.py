"""The gateway under https://host/prefix/, whether the proxy in front cuts the prefix off or passes it on."""

import re
from collections.abc import Iterable
from typing import Any

import pytest
from flask.testing import FlaskClient

from gateway.api import documentation
from gateway.channels.signature import sign
from gateway.core.errors import ConfigError
from gateway.store import api_keys, users
from tests.admin.conftest import Console
from tests.browser import PASSWORD
from tests.conftest import HOST, TEN, TOKEN, Twilio, fixture

PREFIX = "/texts/gw"
_LINKS = re.compile(r'\b(href|src|action|formaction|data-[a-z-]+|hx-\w+)(?::\w+)?="(/[^"]*)"')


class Proxy:
    """What stands in front: it knows the prefix, and takes it off or leaves it."""

    def __init__(self, app: Any, *, cuts: bool) -> None:
        self.app, self.cuts = app, cuts

    def __call__(self, environ: dict[str, Any], start_response: Any) -> Iterable[bytes]:
        assert environ["PATH_INFO"].startswith(f"{PREFIX}/"), environ["PATH_INFO"]
        if self.cuts:
            environ["PATH_INFO"] = environ["PATH_INFO"].removeprefix(PREFIX)
            for name in ("RAW_URI", "REQUEST_URI"):
                environ[name] = environ[name].removeprefix(PREFIX)
        return self.app(environ, start_response)


@pytest.fixture(params=[True, False], ids=["cut", "passed on"])
def client(make_app, request):
    """A browser, or Twilio, on the other side of the proxy."""
    app = make_app(public_url=f"{HOST}{PREFIX}/")
    users.add("admin", PASSWORD, TEN)
    app.wsgi_app = Proxy(app.wsgi_app, cuts=request.param)
    return app.test_client()


def walk(client: FlaskClient, start: str) -> dict[str, int]:
    """Follow every link of every page, each kind of page once; gives what each answered.

    Forms are not sent, but there must be something to send them to.
    """
    kinds, found, waiting = set(), {}, [("href", start)]
    while waiting:
        name, address = waiting.pop()
        kind = re.sub(r"[0-9a-f]{24}|\?.*", "", address)
        if kind in kinds or kind.endswith(("/live", "/logout")):
            continue
        kinds.add(kind)
        if name not in ("href", "src", "hx-get"):
            assert takes_forms(client, re.split("[?#]", address)[0]), address
            continue
        answer = client.get(address, buffered=True)
        found[address] = answer.status_code
        waiting += _LINKS.findall(answer.text.replace("&amp;", "&")) if answer.mimetype == "text/html" else []
        waiting += [("href", answer.location)] if answer.location else []
    return found


def takes_forms(client: FlaskClient, path: str) -> bool:
    """Tell whether something is at an address, and not only the page for what does not exist."""
    urls = client.application.url_map.bind("localhost")
    found = {urls.match(path.removeprefix(PREFIX), method)[0] for method in ("GET", "POST")}
    return found != {"admin.no_such_page"}


def test_every_page_and_file_of_the_console_is_found(client):
    """A link without the prefix would stop at the proxy, which says so."""
    twilio = Twilio(client, base=HOST)
    assert twilio.post(f"{PREFIX}/webhooks/sms", fixture("sms/text")).status_code == 200
    console = Console(client)
    login = f"{PREFIX}/admin/login"
    answer = client.get(f"{PREFIX}/")
    assert (answer.status_code, answer.location) == (302, f"{PREFIX}/admin/")
    assert client.get(f"{PREFIX}/admin/operations").location == f"{PREFIX}/admin/login?next={PREFIX}/admin/operations"
    assert console.log_in(at=f"{login}?next={PREFIX}/admin/operations").location == f"{PREFIX}/admin/operations"
    found = walk(client, f"{PREFIX}/admin/")
    assert len(found) > 20
    assert {address: code for address, code in found.items() if code not in (200, 302)} == {}
    assert any("/static/" in address for address in found)


def test_the_login_stays_under_the_prefix(client):
    """Two gateways on one host would log each other's people out, and others would be handed the cookie."""
    answer = Console(client).log_in(at=f"{PREFIX}/admin/login")
    cookie = answer.headers["Set-Cookie"]
    assert f"; Path={PREFIX}/" in cookie


@pytest.mark.parametrize("kind", ["sms", "voice"])
def test_what_is_signed_is_the_address_with_the_prefix(client, kind):
    path, form = f"{PREFIX}/webhooks/{kind}", fixture({"sms": "sms/text", "voice": "voice/incoming"}[kind])
    with_prefix = {"X-Twilio-Signature": sign(TOKEN, HOST + path, form)}
    without = {"X-Twilio-Signature": sign(TOKEN, f"{HOST}/webhooks/{kind}", form)}
    answer = client.post(path, data=form, headers=with_prefix)
    assert answer.status_code == 200
    assert client.post(path, data=form, headers=without).status_code == 403
    if kind == "voice":
        assert f'action="{HOST}{PREFIX}/webhooks/voice/turn' in answer.text


def test_the_api_names_addresses_that_exist(client):
    _, secret = api_keys.add("crm", ["admin"], TEN, by="a test")
    key = {"Authorization": f"Bearer {secret}"}
    made = client.post(f"{PREFIX}/api/v1/contacts", json={"name": "Ada", "phones": ["+15558675310"]}, headers=key)
    assert made.status_code == 201
    assert client.get(made.location, headers=key).json["name"] == "Ada"
    described = client.get(f"{PREFIX}/api/openapi.json").json
    assert described["servers"] == [{"url": PREFIX}]
    for name in documentation._FILES:
        assert client.get(f"{PREFIX}/api/docs/{name}", buffered=True).status_code == 200, name


def test_a_path_that_only_begins_alike_is_not_the_prefix(make_app):
    client = make_app(public_url=f"{HOST}/gw").test_client()
    assert client.get("/gwen/healthz").status_code == 404
    assert client.get("/gw/healthz").status_code == client.get("/healthz").status_code == 200
    assert client.get("/gw").location == "/gw/admin/"
    assert client.get("/healthz", environ_overrides={"SCRIPT_NAME": "/other"}).status_code == 200


@pytest.mark.parametrize("path", ["/webhooks", "/webhooks/sms", "/%77ebhooks/sms", "/admin/", "/api"])
def test_a_path_of_the_gateways_own_is_no_prefix(make_settings, path):
    with pytest.raises(
        ConfigError, match=r"PUBLIC_URL = .*: must end before /\w+, which is a path of the gateway's own"
    ):
        make_settings(public_url=HOST + path)
