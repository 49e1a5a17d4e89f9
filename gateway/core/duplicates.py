"""Duplicates: what tells that contacts are one person, and that sessions of a sender are one conversation."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway.core import emails, identifiers
from gateway.core.participant import EMAIL
from gateway.core.sessions import IDLE
from gateway.core.times import ms_between

# As what an import closes a session whose sender has another open one: nobody decided that it was over.
_NOT_OVER = (None, IDLE, "imported")


def forms(
    phones: Sequence[str], external_ids: Sequence[str], addresses: Sequence[str], *, is_imported: bool
) -> set[str]:
    """Give the forms that contacts are compared by, e-mails in lower case.

    The user id of a site counts as an e-mail where it is one and an import brought the contact: programs named people
    by their e-mail. Of a visitor it does not, for whoever opens a site may call themselves anything.
    """
    known = {_form(one) for one in (*phones, *external_ids, *(f"{EMAIL}{one}" for one in addresses))}
    called = (emails.user_email([one]) for one in external_ids) if is_imported else ()
    return known | {email for email in called if email}


def _form(identity: str) -> str:
    email = emails.normalised(identity.removeprefix(EMAIL)) if identity.startswith(EMAIL) else None
    return f"{EMAIL}{email}" if email else identifiers.canonical(identity)


@dataclass(frozen=True, slots=True)
class Stretch:
    """A session as far as it matters whether another one is the same: when it was, and as what it ended.

    One that `is_ours` was opened by the gateway, for a message that says why: it is nobody's duplicate.
    """

    id: str
    channel_id: str
    communication_type: str
    first: datetime
    last: datetime
    status: str
    closed_reason: str | None = None
    live_until: datetime | None = None
    is_ours: bool = False

    @property
    def place(self) -> tuple[str, str]:
        """Give what sessions of a sender must have in common to be one."""
        return self.channel_id, self.communication_type

    @property
    def is_over(self) -> bool:
        """Tell whether somebody ended it: what came after was meant to be another one."""
        return self.status != "active" and (self.status != "closed" or self.closed_reason not in _NOT_OVER)


def clusters(stretches: Sequence[Stretch], threshold_ms: int | None) -> Iterator[list[Stretch]]:
    """Give the sessions of a sender in one place that are one: they overlap, or no pause between them is too long.

    Without a threshold only those that overlap, for else all that was ever said would be one; with 0 none are.
    """
    if threshold_ms == 0:
        return
    held: list[Stretch] = []
    theirs = (one for one in stretches if one.is_over or not one.is_ours)
    for one in sorted(theirs, key=lambda stretch: (stretch.first, stretch.id)):
        end = max((other.last for other in held), default=one.first)
        if one.is_over or ms_between(end, one.first) > (threshold_ms or 0):
            if len(held) > 1:
                yield held
            held = []
        if not one.is_over:
            held.append(one)
    if len(held) > 1:
        yield held


def in_order(cluster: Sequence[Stretch]) -> list[Stretch]:
    """Give one to keep, and the others as they are to be merged into it: its state is that of the last one.

    So whatever is open stays open, and else the newest words have it.
    """
    return sorted(cluster, key=lambda one: (one.status == "active", one.closed_reason == IDLE, one.last, one.id))
