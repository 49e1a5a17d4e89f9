"""What HubSpot's refusals mean: whether they pass, whom they concern, and what somebody must do about them.

https://developers.hubspot.com/docs/api-reference/error-handling. Its own messages quote addresses, so of those only
names of properties and of scopes are taken.
"""

import re
from collections.abc import Mapping
from datetime import UTC, datetime
from http import HTTPStatus
from typing import Any

from gateway.clients.asking import Answer
from gateway.clients.hubspot_answers import an_object, objects, words
from gateway.clients.retrying import retry_after
from gateway.core.crm import CrmConflict, CrmFailed, CrmGone

_DAILY_SECONDS, _USUAL_SECONDS = 1800.0, 10.0
_EXISTING = re.compile(r"Existing ID:\s*(\d+)")
_SCOPE = re.compile(r"[a-z][a-z0-9_.-]{2,60}")
_WRONG = re.compile(r'"(?:error|name)"\s*:\s*"([A-Za-z0-9_]{1,60})"')
_NOT_TAKEN = (
    "HubSpot does not take the access token (401). Copy the token of the private app again, set "
    "GATEWAY_CRM__ACCESS_TOKEN and restart the gateway."
)


def refused(answer: Answer) -> CrmFailed:
    """Say what HubSpot refused, in words that quote nobody: its own messages hold addresses."""
    status, body = answer.status, answer.body
    category = str(body.get("category") or "")[:60]
    if status == HTTPStatus.UNAUTHORIZED:
        return CrmFailed(_NOT_TAKEN, code="401", permanent=True, account=True)
    if status == HTTPStatus.FORBIDDEN:
        return _lacks_scope(body)
    if status == HTTPStatus.TOO_MANY_REQUESTS:
        return _limited(answer)
    if status == HTTPStatus.NOT_FOUND:
        return CrmGone("HubSpot has no such thing any more (404).", code="404", permanent=True)
    existing = _EXISTING.search(str(body.get("message") or ""))
    if status == HTTPStatus.CONFLICT or existing:
        return CrmConflict(
            f"HubSpot has one of these already (409 {category}).", code="409", existing=existing[1] if existing else ""
        )
    if status >= 500 or status in (HTTPStatus.REQUEST_TIMEOUT, HTTPStatus.LOCKED, 477):
        return CrmFailed(
            f"HubSpot answered {status}. It is tried again.", code=str(status), retry_after=_seconds(answer)
        )
    if 300 <= status < 400:
        return CrmFailed(
            f"HubSpot answered {status}, a redirect, which is not followed. Correct GATEWAY_CRM__BASE_URL.",
            code=str(status), permanent=True, account=True,
        )  # fmt: skip
    wrong = " ".join(dict.fromkeys(_WRONG.findall(str(body.get("message") or "")))) or category or "no reason given"
    return CrmFailed(
        f"HubSpot refused it ({status}: {wrong[:200]}). Correct the contact, or that property's rules in HubSpot, and "
        "synchronise again.",
        code=str(status), permanent=True,
    )  # fmt: skip


def _lacks_scope(body: Mapping[str, Any]) -> CrmFailed:
    """Name the scopes that HubSpot misses, wherever in its answer they are."""
    told = [an_object(one.get("context")) for one in [*objects(body.get("errors")), body]]
    named = [context.get(name) for context in told for name in ("requiredGranularScopes", "requiredScopes")]
    scopes = sorted({one for some in named for one in _SCOPE.findall(words(some))})
    lacks = f"lacks the scope {', '.join(scopes[:5])}" if scopes else "lacks a scope"
    return CrmFailed(
        f"The access token {lacks} (403). Add it to the private app in HubSpot (docs/crm.md lists all of them); it is "
        "tried again by itself.",
        code="403", permanent=True, account=True,
    )  # fmt: skip


def _limited(answer: Answer) -> CrmFailed:
    daily = str(answer.body.get("policyName") or "").upper() == "DAILY"
    seconds = _seconds(answer)
    after = seconds if seconds is not None else _DAILY_SECONDS if daily else _USUAL_SECONDS
    which = "for today" if daily else "for now"
    return CrmFailed(f"HubSpot takes no more requests {which} (429).", code="429", account=True, retry_after=after)


def _seconds(answer: Answer) -> float | None:
    return retry_after(answer.headers.get("Retry-After") or "", datetime.now(UTC))
