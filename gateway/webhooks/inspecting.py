"""What the inspector is given: a webhook as it was once it is answered, without holding it up."""

from collections.abc import Sequence

from flask import Request, Response, request

from gateway.channels import signature
from gateway.channels.diagnosis import Seen
from gateway.conversation.inspector import Captured
from gateway.conversation.runtime import Runtime
from gateway.http import client_address, is_trusted, raw_target
from gateway.webhooks.noted import Noted

# A form beyond this is only measured: what waits to be stored stays in memory meanwhile.
FORM_BYTES = 64_000

# The largest number that MongoDB and a log line hold.
_LARGEST = 2**63 - 1

_FORWARDED = ("X-Forwarded-Host", "X-Forwarded-Proto", "X-Forwarded-Port", "X-Forwarded-Prefix", "X-Original-Host",
              "Forwarded")  # fmt: skip
_REASONS = {404: "unknown_path", 405: "wrong_method", 503: "unavailable"}


def reason_for(response: Response, webhook: Noted | None) -> str:
    """Say why a webhook was refused; empty where it was taken."""
    rejected = webhook.rejected if webhook else ""
    return rejected or ("" if response.status_code < 400 else _REASONS.get(response.status_code, "failed"))


def declared_length(asked: Request) -> int:
    """Give how long a request says its body is; nobody is kept from claiming any number."""
    return min(asked.content_length or 0, _LARGEST)


def seen(serving: Runtime, urls: Sequence[str]) -> Seen:
    """Say how this request reached us, and what its signature was compared over."""
    settings = serving.settings
    return Seen(
        urls=urls,
        target=raw_target(request.environ),
        scheme=str(request.environ.get("wsgi.url_scheme", "")),
        host=request.headers.get("Host", ""),
        forwarded={name.lower(): request.headers[name] for name in _FORWARDED if name in request.headers},
        trusted=is_trusted(request.environ.get("REMOTE_ADDR", ""), settings.trusted_proxies),
        public_url=settings.public_url,
    )


def captured(
    serving: Runtime, urls: Sequence[str], response: Response, webhook: Noted | None, seconds: float | None
) -> Captured:
    """Capture a webhook, the addresses its signature was compared over, and its answer."""
    settings, read = serving.settings, webhook.body_bytes if webhook else 0
    return Captured(
        at=serving.clock.now(),
        method=request.method[:20],
        path=request.path,
        client=client_address(request.environ, settings.trusted_proxies),
        seen=seen(serving, urls),
        headers=tuple(request.headers.items()),
        form=webhook.form if webhook and read <= FORM_BYTES else None,
        body_bytes=read or declared_length(request),
        signature=request.headers.get(signature.SIGNATURE_HEADER, "")[:200],
        settings_header=request.headers.get(signature.SETTINGS_HEADER, "")[:500],
        reason=reason_for(response, webhook),
        verdict=webhook.verdict if webhook else None,
        status=response.status_code,
        answer=response.get_data(as_text=True)[:10_000],
        milliseconds=None if seconds is None else seconds * 1000,
        request_id=webhook.request_id if webhook else "",
    )
