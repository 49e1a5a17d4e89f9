"""Why a signature may have failed: found by trying what Twilio may have signed instead.

Nothing here lets a request in. It runs off the hot path, over a request that was refused already.
"""

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import unquote, urlsplit

from gateway.channels.base import Form
from gateway.channels.signature import Keyring, verify

# Each costs an HMAC for every secret; a request may name as many hosts as it likes.
MOST_HOSTS, MOST_URLS, MOST_SECRETS = 6, 96, 20


@dataclass(frozen=True, slots=True)
class Seen:
    """A refused request as it reached us. `urls` were compared already; `trusted` says who stood before us was."""

    urls: Sequence[str]
    target: str
    scheme: str
    host: str
    forwarded: Mapping[str, str] = field(default_factory=dict)
    trusted: bool = False
    public_url: str = ""


@dataclass(frozen=True, slots=True)
class Diagnosis:
    """What is wrong, in one word, and the address that was signed where it was found.

    public_url: PUBLIC_URL is not what Twilio calls · proxy_untrusted: a proxy says so and is not trusted ·
    proxy_silent: a proxy does not say what was called · path: something rewrites the path · account: signed with
    another account's token · body: the form is not what was signed · unknown: nothing fits.
    """

    cause: str
    url: str = ""


def diagnose(keyring: Keyring, seen: Seen, form: Any, signature: str, *, account_sid: str, settings: str) -> Diagnosis:
    """Find out why a signature fits none of the addresses it was compared over."""

    def fits(urls: Sequence[str], keys: Keyring, signed: Any) -> str:
        verdict = verify(
            keys, urls=urls, form=signed, signature=signature, account_sid=account_sid, settings_header=settings
        )
        return verdict.matched

    if found := fits(list(dict.fromkeys(_candidates(seen)))[:MOST_URLS], keyring, form):
        return Diagnosis(_cause(seen, found), found)
    if found := fits(seen.urls, _every_secret(keyring), form):
        return Diagnosis("account", found)
    if form and (found := fits(seen.urls, keyring, Form())):
        return Diagnosis("body", found)
    return Diagnosis("unknown")


def _every_secret(keyring: Keyring) -> Keyring:
    secrets = [*keyring.tokens, *(token for tokens in keyring.accounts.values() for token in tokens)]
    return Keyring(tokens=secrets[:MOST_SECRETS], shared_keys=keyring.shared_keys)


def _candidates(seen: Seen) -> Iterator[str]:
    for host in _hosts(seen):
        for scheme in ("https", "http"):
            for target in _targets(seen):
                yield f"{scheme}://{host}{target}"


def _hosts(seen: Seen) -> list[str]:
    named = [urlsplit(url).netloc for url in seen.urls]
    named += [seen.host, *seen.forwarded.get("x-forwarded-host", "").split(",")]
    named += [seen.forwarded.get("x-original-host", ""), _host_of(seen.forwarded.get("forwarded", ""))]
    hosts = [host.strip().rpartition("@")[2] for host in named]
    return [host for host in dict.fromkeys(hosts) if host and len(host) < 256][:MOST_HOSTS]


def _host_of(forwarded: str) -> str:
    """Read the host of a Forwarded header (RFC 7239)."""
    for part in forwarded.replace(",", ";").split(";"):
        name, _, value = part.strip().partition("=")
        if name.lower() == "host":
            return value.strip('"')
    return ""


def _targets(seen: Seen) -> list[str]:
    path, mark, query = seen.target.partition("?")
    rest = mark + query
    prefixes = [
        "",
        seen.forwarded.get("x-forwarded-prefix", "").rstrip("/"),
        urlsplit(seen.public_url).path.rstrip("/"),
    ]
    paths = [path, path.rstrip("/"), path.rstrip("/") + "/", unquote(path)]
    return list(dict.fromkeys(prefix + one + end for end in (rest, "") for prefix in prefixes for one in paths))


def _cause(seen: Seen, found: str) -> str:
    """Name what differs between what was signed and what was compared."""
    signed, checked = urlsplit(found), urlsplit(seen.urls[0]) if seen.urls else urlsplit("")
    if (signed.scheme, signed.hostname) == (checked.scheme, checked.hostname):
        return "path"
    if seen.public_url:
        return "public_url"
    told = " ".join(seen.forwarded.values())
    says = signed.scheme in told or (signed.hostname or "") in told
    return "proxy_untrusted" if says and seen.forwarded and not seen.trusted else "proxy_silent"
