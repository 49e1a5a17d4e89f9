"""How often a key may ask, and what every response says of it."""

from dataclasses import dataclass

from flask import Response, current_app, g

from gateway.api.problems import Refused
from gateway.core.times import ms_between
from gateway.store import api_limits


@dataclass(frozen=True, slots=True)
class Left:
    """What is left of somebody's minute."""

    limit: int
    remaining: int
    seconds: int


def count(who: str, most: int | None = None, what: str = "api.requests_per_minute") -> None:
    """Count a request of a key or a user; Refused with 429 where that is over the limit."""
    serving = current_app.extensions["gateway"]
    limit, now = most or serving.settings.api.requests_per_minute, serving.clock.now()
    asked, ends = api_limits.hit(who, now)
    g.left = left = Left(limit, max(0, limit - asked), max(1, round(ms_between(now, ends) / 1000)))
    if asked > limit:
        detail = f"{limit} requests a minute are allowed ({what}). Try again in {left.seconds} s."
        raise Refused(429, "rate_limited", detail, headers={"Retry-After": str(left.seconds)})


def tell(response: Response) -> Response:
    """Say in every response how much is left."""
    left: Left | None = g.get("left")
    if left:
        response.headers["RateLimit-Limit"] = str(left.limit)
        response.headers["RateLimit-Remaining"] = str(left.remaining)
        response.headers["RateLimit-Reset"] = str(left.seconds)
    return response
