"""What a backfill found, counted per number of ours."""

from collections.abc import Iterable
from dataclasses import asdict, dataclass, field, fields
from datetime import datetime
from typing import Any


@dataclass(slots=True)
class Tally:
    """One number's counts.

    Each entry of `in_log` was `here` under its id, was `matched` to a row that had none, was inserted, or was `left`
    to whoever is still at work on it. `repaired` statuses and `ended` calls belong to entries that were here.
    """

    in_log: int = 0
    here: int = 0
    matched: int = 0
    inserted_inbound: int = 0
    inserted_outbound: int = 0
    inserted_calls: int = 0
    inserted_recordings: int = 0
    repaired: int = 0
    ended: int = 0
    left: int = 0

    @property
    def drift(self) -> int:
        """Count what the provider has and we had not."""
        return self.in_log - self.here - self.matched

    def as_row(self) -> dict[str, int]:
        """Give all counts by name."""
        return asdict(self) | {"drift": self.drift}


def total(tallies: Iterable[Tally]) -> Tally:
    """Add counts up."""
    listed = list(tallies)
    return Tally(**{one.name: sum(getattr(tally, one.name) for tally in listed) for one in fields(Tally)})


@dataclass(slots=True)
class Drift:
    """The report of one run over a span; `numbers` are as the provider writes them."""

    since: datetime
    until: datetime
    dry_run: bool = False
    numbers: dict[str, Tally] = field(default_factory=dict)

    def of(self, number: str) -> Tally:
        """Give the counts of one number."""
        return self.numbers.setdefault(number, Tally())

    @property
    def total(self) -> Tally:
        """Add all numbers up."""
        return total(self.numbers.values())

    def as_json(self) -> dict[str, Any]:
        """Give everything as plain values."""
        return {
            "since": self.since.isoformat(),
            "until": self.until.isoformat(),
            "dry_run": self.dry_run,
            "numbers": [{"number": name, **tally.as_row()} for name, tally in sorted(self.numbers.items())],
            "total": self.total.as_row(),
        }
