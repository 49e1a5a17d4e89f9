"""What a request tells about itself: the URL it was sent to, byte for byte, and who stands in between."""

import ipaddress
import re
from collections.abc import Iterable, Mapping, Sequence
from functools import lru_cache
from typing import TYPE_CHECKING, Any
from urllib.parse import quote, unquote_to_bytes, urlsplit

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_PORT = re.compile(r":[^\]]*$")

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


def raw_target(environ: Mapping[str, Any]) -> str:
    """Give path and query as they came over the wire; a server that does not tell gets them quoted again."""
    raw = environ.get("RAW_URI") or environ.get("REQUEST_URI")
    if not raw:
        # WSGI hands over the path's bytes as latin-1.
        path = (environ.get("SCRIPT_NAME", "") + environ.get("PATH_INFO", "")).encode("latin-1")
        path = quote(path, safe="/:%+~@!$&'()*,;=")
        query = environ.get("QUERY_STRING", "")
        return f"{path}?{query}" if query else path
    if raw.startswith(("http://", "https://")):
        _, slash, path = raw.partition("://")[2].partition("/")
        return f"{slash}{path}"
    return str(raw)


def own_base_url(environ: Mapping[str, Any], trusted: Sequence[Network]) -> str:
    """Give scheme and host the client used; X-Forwarded-* count only where a trusted proxy sent them."""
    scheme, host = environ.get("wsgi.url_scheme", "http"), environ.get("HTTP_HOST", "")
    if is_trusted(environ.get("REMOTE_ADDR", ""), trusted):
        scheme = _nearest(environ.get("HTTP_X_FORWARDED_PROTO", "")) or scheme
        host = _nearest(environ.get("HTTP_X_FORWARDED_HOST", "")) or host
        port = _nearest(environ.get("HTTP_X_FORWARDED_PORT", ""))
        if port.isdecimal() and not _PORT.search(host) and port != {"http": "80", "https": "443"}.get(scheme):
            host = f"{host}:{port}"
    return f"{scheme}://{host}"


def client_address(environ: Mapping[str, Any], trusted: Sequence[Network]) -> str:
    """Give the address of whoever asks, seen through trusted proxies only."""
    address: str = environ.get("REMOTE_ADDR", "")
    hops = [hop.strip() for hop in environ.get("HTTP_X_FORWARDED_FOR", "").split(",") if hop.strip()]
    while hops and is_trusted(address, trusted):
        address = hops.pop()
    return address


@lru_cache(maxsize=256)
def public_urls(base: str, target: str) -> tuple[str, ...]:
    """Give the URLs a request may have been sent to; behind a path prefix the proxy may have cut it off or not."""
    base = base.rstrip("/")
    _, slash, path = base.partition("://")[2].partition("/")
    prefix = slash + path
    if prefix and target.startswith(prefix):
        return base.removesuffix(prefix) + target, base + target
    return (base + target,)


def path_prefix(base: str) -> str:
    """Give the path that a base URL ends with, as WSGI has it: decoded to bytes, which stand there as latin-1."""
    return unquote_to_bytes(urlsplit(base).path.rstrip("/")).decode("latin-1")


class Mounted:
    """A WSGI app under a path: its links and cookies begin with that path, whether a proxy cuts it off or not.

    What the server says of SCRIPT_NAME is left alone.
    """

    def __init__(self, app: "WSGIApplication", prefix: str) -> None:
        self._app, self._prefix = app, prefix

    def __call__(self, environ: "WSGIEnvironment", start_response: "StartResponse") -> Iterable[bytes]:
        if not environ.get("SCRIPT_NAME"):
            environ["SCRIPT_NAME"] = self._prefix
            path: str = environ.get("PATH_INFO", "")
            if f"{path}/".startswith(f"{self._prefix}/"):
                environ["PATH_INFO"] = path.removeprefix(self._prefix) or "/"
        return self._app(environ, start_response)


def _nearest(header: str) -> str:
    """Give what the nearest proxy said: the last of a list is the one that was added last."""
    return header.rpartition(",")[2].strip()


def is_trusted(address: str, trusted: Sequence[Network]) -> bool:
    """Tell whether what an address says of others is believed."""
    try:
        ip = ipaddress.ip_address(address)
    except ValueError:
        return False
    return any(ip in network for network in trusted)
