"""What a check finds: how something is, what would mend it, and what depends on it."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from enum import StrEnum
from functools import cached_property
from typing import TYPE_CHECKING

from gateway.conversation.runtime import Clock
from gateway.core.accounts import Number
from gateway.core.errors import StoreUnavailable
from gateway.settings import Settings
from gateway.store import tunnels
from gateway.store.connection import deadline

if TYPE_CHECKING:
    from gateway.clients.twilio_account import TwilioAccount


class State(StrEnum):
    """How something is. Only what is wrong makes the doctor's exit code 1."""

    OK = "ok"
    WARNING = "warning"
    WRONG = "wrong"
    NOT_CHECKED = "not checked"


@dataclass(frozen=True, slots=True)
class Mend:
    """Something the doctor can put right: what it would do, in lines, and how; `apply` says what was done."""

    what: str
    lines: tuple[str, ...]
    apply: Callable[[], str]


@dataclass(frozen=True, slots=True)
class Finding:
    """One thing that was found out, what it consists of, and what to do about it, in the order to try it.

    `blocks` says, in a few words, why what depends on this cannot be checked.
    """

    state: State
    what: str
    remedies: tuple[str, ...] = ()
    blocks: str = ""
    mend: Mend | None = None
    details: tuple[str, ...] = ()


@dataclass(frozen=True)
class Patient:
    """The gateway that is looked at. `local_url` is where it listens on this host, `usual_url` its PUBLIC_URL."""

    settings: Settings
    usual_url: str
    local_url: str
    clock: Clock
    account: "TwilioAccount"

    @cached_property
    def tunnel(self) -> str:
        """Give the address that `gateway listen` lends this gateway now; empty where there is none or it is unknown."""
        try:
            with deadline():
                found = tunnels.of(self.settings.env)
        except StoreUnavailable:
            return ""
        return found.url if found and found.until > self.clock.now() else ""

    @property
    def public_url(self) -> str:
        """Say where Twilio reaches this gateway now. To be asked for once it is known whether MongoDB is there."""
        return self.tunnel or self.usual_url

    @cached_property
    def numbers(self) -> list[Number]:
        """Give the numbers of all accounts, as they were a moment ago. Raises AccountError."""
        return self.account.numbers()


@dataclass(frozen=True, slots=True)
class Check:
    """One check: it ends by itself within some seconds, and is not begun where one of its `needs` blocks it.

    It comes `after` others that it can do without, but not mend: nothing of it is mended while one of them is wrong.
    """

    name: str
    group: str
    run: Callable[[Patient], Iterable[Finding]]
    needs: tuple[str, ...] = ()
    after: tuple[str, ...] = ()


def ok(what: str) -> Finding:
    """Say that something is as it should be."""
    return Finding(State.OK, what)


def warning(what: str, *remedies: str, mend: Mend | None = None, details: tuple[str, ...] = ()) -> Finding:
    """Say that somebody should look at something, and that the gateway goes on."""
    return Finding(State.WARNING, what, remedies, mend=mend, details=details)


def wrong(
    what: str, *remedies: str, blocks: str = "", mend: Mend | None = None, details: tuple[str, ...] = ()
) -> Finding:
    """Say that something is broken."""
    return Finding(State.WRONG, what, remedies, blocks, mend, details)


def not_checked(why: str, *, blocks: str = "") -> Finding:
    """Say that something was not looked at, and why."""
    return Finding(State.NOT_CHECKED, why, blocks=blocks)


def said(problem: str, *, blocks: str = "", mend: Mend | None = None) -> Finding:
    """Tell what is wrong from what to do about it: our errors say both, in this order."""
    what, _, remedy = problem.partition(". ")
    return wrong(f"{what.rstrip('.')}.", *([remedy] if remedy else ()), blocks=blocks, mend=mend)
