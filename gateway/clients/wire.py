"""Calling Twilio with its library: with the settings' credentials, over one session, and what came back kept."""

import contextlib
import json
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

import requests
from requests.adapters import HTTPAdapter
from twilio.http.http_client import TwilioHttpClient
from twilio.rest import Client

from gateway.clients.credentials import API, Credentials
from gateway.core.codes import CODES, explain
from gateway.settings import Settings

# The library would take TWILIO_EDGE and TWILIO_REGION from the process and bend even a stand-in's address to them.
_NO_ENVIRONMENT = {"TWILIO_EDGE": "", "TWILIO_REGION": ""}
_LONG_NUMBER = re.compile(r"\d{7,}")


class _Wire(TwilioHttpClient):  # type: ignore[misc]  # the library has no types
    """The transport of one call: keeps the answer's status and headers, which the library's exceptions drop.

    The library's own logging stays silent: at level info it would write down whole phone numbers.
    """

    def __init__(self, session: requests.Session, timeout: float) -> None:
        super().__init__(pool_connections=False, timeout=timeout)
        self.session = session
        self.status: int | None = None
        self.headers: Mapping[str, str] = {}

    def request(self, *args: Any, **kwargs: Any) -> Any:
        self.status, self.headers = None, {}
        answer = super().request(*args, **kwargs)
        self.status, self.headers = answer.status_code, answer.headers
        return answer

    def log_request(self, kwargs: dict[str, Any]) -> None:
        """Stay silent."""

    def log_response(self, status_code: int, response: Any) -> None:
        """Stay silent."""


class Failed(Exception):
    """A call that raised, with what came back over the wire; `status` is None where nothing did."""

    def __init__(self, error: Exception, status: int | None, headers: Mapping[str, str]) -> None:
        super().__init__(str(error))
        self.error, self.status, self.headers = error, status, headers

    @property
    def told(self) -> tuple[str, str]:
        """Give Twilio's code and words; what a list was refused for the library leaves in the answer."""
        error: Any = self.error
        code, words = getattr(error, "code", None), getattr(error, "msg", None) or getattr(error, "detail", None)
        if code is None and len(error.args) > 1:
            with contextlib.suppress(AttributeError, ValueError):
                answer = json.loads(error.args[1].text)
                code, words = answer.get("code"), answer.get("message")
        return str(code or self.status or ""), str(words or "")

    def reason(self) -> str:
        """Say what went wrong; where we do not know a code, in Twilio's words without the phone numbers."""
        code, words = self.told
        if not code:
            return type(self.error).__name__
        return f"{explain(code)} {'' if code in CODES else without_numbers(words)}".strip()


class Caller:
    """Makes calls as the accounts of the settings. Shared by threads; make it after forking.

    `products` are those of Twilio's that are called; each has a host, and a part of the library that takes a while to
    import.
    """

    def __init__(
        self, settings: Settings, credentials: Credentials, *, connections: int, products: Sequence[str] = ("api",)
    ) -> None:
        self._products = products
        self._credentials = credentials
        self._base = settings.twilio.api_base_url.rstrip("/")
        self._timeout = settings.twilio.timeout_seconds
        self._session = requests.Session()
        adapter = HTTPAdapter(pool_maxsize=connections, max_retries=0)
        self._session.mount("https://", adapter)
        self._session.mount("http://", adapter)
        _settle_environment(self._session, self._base or API)

    def call(self, account_sid: str | None, call: Callable[[Any], Any]) -> Any:
        """Make a call with one token after the other until Twilio knows one: a 401 has changed nothing.

        Raises NoCredentials, or Failed with whatever the library raised.
        """
        login = self._credentials.login(account_sid)
        for token in login.tokens:
            wire = _Wire(self._session, self._timeout)
            client = Client(login.account, token, http_client=wire, environment=_NO_ENVIRONMENT)
            self._bend(client)
            try:
                answer = call(client)
            except Exception as error:  # Whatever it is, only the wire tells what it means.
                if wire.status == 401 and token != login.tokens[-1]:
                    continue
                raise Failed(error, wire.status, wire.headers) from error
            self._credentials.remember(login.account, token)
            return answer
        raise AssertionError("a login has at least one token")

    def _bend(self, client: Any) -> None:
        """Go where the settings say: to a region of Twilio's, where each product has its host, or to a stand-in."""
        if not self._base:
            return
        is_twilio = (urlsplit(self._base).hostname or "").endswith(".twilio.com")
        for name in self._products:
            getattr(client, name).base_url = self._base.replace("//api.", f"//{name}.", 1) if is_twilio else self._base


def _settle_environment(session: requests.Session, url: str) -> None:
    """Take proxies and certificates from the environment now: `requests` goes through all of it with every request."""
    found = session.merge_environment_settings(url, {}, None, None, None)
    session.proxies, session.verify, session.trust_env = found["proxies"], found["verify"], False


def without_numbers(text: str) -> str:
    """Leave phone numbers out of a text."""
    return _LONG_NUMBER.sub("...", text)
