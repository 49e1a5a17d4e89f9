"""The state of the list as its address carries it: what is chosen, searched and filtered, and links that keep it."""

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any

from flask import abort, request, url_for

from gateway.admin import login
from gateway.store import searching
from gateway.store.isolation import Channels
from gateway.store.listing import STATUSES, TYPES, Wanted
from gateway.store.searching import Searched

# Everything of the list that an address may carry, in this order.
NAMES = ("type", "status", "q", "channel", "from", "to", "error", "person", "tag", "assigned", "cursor")
_LONGEST = 200
_LAST_DAY = datetime(9999, 12, 31, tzinfo=UTC)
ME, NOBODY = "me", "nobody"


@dataclass(frozen=True, slots=True)
class Filters:
    """What the address says, all as text; what is not there is empty."""

    given: Mapping[str, str]

    def __getitem__(self, name: str) -> str:
        """Give one of NAMES."""
        return self.given.get(name, "")

    @property
    def is_filtered(self) -> bool:
        """Tell whether more is chosen than a tab."""
        return any(self[name] for name in NAMES if name not in ("type", "status", "cursor"))

    @property
    def has_details(self) -> bool:
        """Tell whether something is chosen that only the opened filters show."""
        shown = any(self[name] for name in ("channel", "from", "to", "error", "tag"))
        return shown or self["assigned"] not in ("", ME, NOBODY)

    def url(self, endpoint: str = "admin.sessions", **changes: str) -> str:
        """Give an address of the console that keeps all this but for the changes; another list begins at its start."""
        start = {"cursor": ""} if changes.keys() & set(NAMES) else {}
        carried: dict[str, Any] = {name: value for name, value in {**self.given, **start, **changes}.items() if value}
        return url_for(endpoint, **carried)


def read() -> Filters:
    """Read the address of this request; 404 and 400 for what no link of ours says."""
    given = {name: request.args.get(name, "").strip()[:_LONGEST] for name in NAMES}
    if given["type"] and given["type"] not in TYPES:
        abort(404, "There is no channel of that type.")
    if given["status"] and given["status"] not in STATUSES:
        abort(404, "There is no status of that name.")
    return Filters(given)


def wanted(filters: Filters, channels: Channels) -> Searched:
    """Turn what the address says into what is asked of MongoDB."""
    return searching.narrowed(_plain(filters), filters["q"], channels)


def _plain(filters: Filters) -> Wanted:
    since, until = _day(filters["from"]), _day(filters["to"])
    assigned = filters["assigned"]
    return Wanted(
        communication_type=filters["type"],
        status=filters["status"],
        channel_id=filters["channel"],
        since=since,
        until=until + timedelta(days=1) if until and until < _LAST_DAY else None,
        failed=bool(filters["error"]),
        needs_person=bool(filters["person"]),
        tag=filters["tag"],
        assigned_to=login.name() if assigned == ME else "" if assigned == NOBODY else assigned,
        unassigned=assigned == NOBODY,
    )


def _day(text: str) -> datetime | None:
    if not text:
        return None
    try:
        return datetime.strptime(text, "%Y-%m-%d").replace(tzinfo=UTC)
    except ValueError:
        abort(400, "A date is written as year, month and day: 2026-03-01.")
