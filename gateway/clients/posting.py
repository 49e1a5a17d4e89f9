"""One POST to a URL that somebody gave us: bounded in time, never redirected, and only to where it may go.

The host is looked up here and the connection made to the very address that was checked, so a name that answers
differently the second time leads nowhere else. No proxy and no ~/.netrc of this host is used for it. Of the answer
nothing but its status line and headers is read.
"""

import contextlib
import http.client
import ipaddress
import socket
import ssl
import threading
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from time import monotonic
from urllib.parse import SplitResult, urlsplit

from gateway.clients.retrying import retry_after
from gateway.core.errors import GatewayError
from gateway.http import Network, is_trusted

_CONNECT_SECONDS = 5.0
_PORTS = {"http": 80, "https": 443}

IN_THE_CLEAR = "would be sent what people wrote in the clear. Use https."


@cache
def _trusted() -> ssl.SSLContext:
    """Read whose certificates are trusted, which takes 0.2 s: not before something is sent over https."""
    from requests.utils import DEFAULT_CA_BUNDLE_PATH

    context = ssl.create_default_context(cafile=DEFAULT_CA_BUNDLE_PATH)
    context.load_default_certs()
    return context


class Unreachable(GatewayError):
    """No answer came; it may have been taken or not."""


class NotAllowed(GatewayError):
    """The URL leads to where nothing may be sent."""


@dataclass(frozen=True, slots=True)
class Answer:
    """What a POST was answered: its status, and for how many seconds it asks us to wait."""

    status: int
    retry_after: float | None


@dataclass(frozen=True, slots=True)
class Reach:
    """Where requests may go. With `guarded` only to public addresses, over https, and to the networks `allowed`."""

    guarded: bool
    allowed: Sequence[Network] = ()

    def refusal(self, address: str, scheme: str) -> str:
        """Say why an address may not be asked; empty where it may."""
        if not self.guarded or is_trusted(address, self.allowed):
            return ""
        if not _is_public(address):
            return "is a private address. GATEWAY_EVENTS__PRIVATE_NETWORKS names those that may be reached."
        return "" if scheme == "https" else IN_THE_CLEAR


def check(url: str, reach: Reach) -> None:
    """Look at a URL before anything is sent to it; ValueError says what is wrong, as far as its text tells."""
    parts = _parts(url)
    try:
        address = str(ipaddress.ip_address(str(parts.hostname)))
    except ValueError:
        refused = reach.guarded and parts.scheme != "https" and not reach.allowed
        refusal = IN_THE_CLEAR if refused else ""
    else:
        refusal = reach.refusal(address, parts.scheme)
    if refusal:
        raise ValueError(refusal)


def _parts(url: str) -> SplitResult:
    if any(not "!" <= one <= "~" for one in url):
        raise ValueError("holds a character that does not belong into a URL; write it percent-encoded")
    try:
        parts = urlsplit(url)
        port = parts.port
    except ValueError:
        raise ValueError("is no URL; write it as https://host/path") from None
    if parts.scheme not in _PORTS or not parts.hostname or port == 0:
        raise ValueError("is no URL; write it as https://host/path")
    if "@" in parts.netloc:
        raise ValueError("holds a login; check the signature instead")
    if parts.fragment:
        raise ValueError("holds a #fragment, which is never sent")
    return parts


def post(url: str, body: bytes, headers: Mapping[str, str], *, seconds: float, reach: Reach, now: datetime) -> Answer:
    """Post JSON; gives the answer whatever its status is.

    `seconds` bound everything but the look-up of the name. Raises Unreachable and NotAllowed.
    """
    try:
        parts = _parts(url)
        with _connected(parts, seconds, reach) as connection:
            target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
            connection.request("POST", target, body, {"Content-Type": "application/json", **headers})
            response = connection.getresponse()
            return Answer(response.status, retry_after(response.getheader("Retry-After") or "", now))
    except (OSError, http.client.HTTPException, ValueError) as error:
        # What these say may quote the URL, and that may hold a key.
        raise Unreachable(_told(error)) from None


def _told(error: Exception) -> str:
    match error:
        case TimeoutError():
            return "did not answer in time"
        case socket.gaierror():
            return "its name is not known"
        case ssl.SSLCertVerificationError():
            return "its certificate is not valid"
        case _:
            return f"could not be reached ({type(error).__name__})"


@contextlib.contextmanager
def _connected(parts: SplitResult, seconds: float, reach: Reach) -> Iterator[http.client.HTTPConnection]:
    """Connect, and shut the connection when the time is over: a socket's timeout starts anew with every byte."""
    until, host, port = monotonic() + seconds, str(parts.hostname), parts.port or _PORTS[parts.scheme]
    secure = parts.scheme == "https"
    connection = (http.client.HTTPSConnection if secure else http.client.HTTPConnection)(host, port)
    connection.sock = _reach(host, port, parts.scheme, min(seconds, _CONNECT_SECONDS), reach)
    connection.sock.settimeout(seconds)
    late = threading.Event()
    watchdog = threading.Timer(max(0.0, until - monotonic()), _shut, [connection, late])
    watchdog.daemon = True
    watchdog.start()
    try:
        if secure:
            _encrypt(connection, host)
        yield connection
        if late.is_set():  # What was cut off may look like an end.
            raise TimeoutError
    except (OSError, http.client.HTTPException, ValueError):
        if late.is_set():
            raise TimeoutError from None
        raise
    finally:
        watchdog.cancel()
        connection.close()


def _encrypt(connection: http.client.HTTPConnection, host: str) -> None:
    """Shake hands on the socket that is connected; done here, so that its time is bounded too."""
    connection.sock = _trusted().wrap_socket(connection.sock, server_hostname=host, do_handshake_on_connect=False)
    connection.sock.do_handshake()


def _reach(host: str, port: int, scheme: str, seconds: float, reach: Reach) -> socket.socket:
    """Connect to the first address of a host that takes it; NotAllowed if any of them may not be asked."""
    found = socket.getaddrinfo(host, port, type=socket.SOCK_STREAM)
    for *_, place in found:
        if refusal := reach.refusal(str(place[0]), scheme):
            raise NotAllowed(f"{place[0]} {refusal}")
    failure: OSError = ConnectionRefusedError()
    for family, kind, protocol, _, place in found:
        connecting = socket.socket(family, kind, protocol)
        connecting.settimeout(seconds)
        try:
            connecting.connect(place)
        except OSError as error:
            connecting.close()
            failure = error
        else:
            return connecting
    raise failure


def _shut(connection: http.client.HTTPConnection, late: threading.Event) -> None:
    late.set()
    with contextlib.suppress(OSError, TypeError):
        # Not by SSLSocket's own method, which takes the cipher away from the thread that reads.
        socket.socket.shutdown(connection.sock, socket.SHUT_RDWR)


_TRANSLATED = ipaddress.ip_network("64:ff9b::/96")


def _is_public(address: str) -> bool:
    """Tell whether an address is on the internet; one that only wraps another is what it wraps."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    if isinstance(ip, ipaddress.IPv6Address):
        inner = ip.ipv4_mapped or ip.sixtofour
        if ip in _TRANSLATED:
            inner = ipaddress.IPv4Address(int(ip) & 0xFFFFFFFF)
        if inner:
            return _is_public(str(inner))
        if ip.is_site_local:
            return False
    # The reserved ones are for translating too: ::127.0.0.1, ::ffff:0:127.0.0.1 and what networks choose themselves.
    return ip.is_global and not ip.is_multicast and not ip.is_reserved
