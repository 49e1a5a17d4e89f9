"""Forgetting a person: everything the database holds of them, but for the fact that they said STOP.

The steps are those of `retention`, so what arrives meanwhile is either found and erased too, or is the beginning of
something new. Each step may be repeated: after a crash the command is given again.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any

from gateway.conversation import emptying, merging, redaction
from gateway.conversation.crm import erase
from gateway.conversation.runtime import Runtime
from gateway.core.participant import address
from gateway.logs import log
from gateway.store import audit, contacts, forgetting, inspections, rejections, removal, suppressions
from gateway.store import retention as steps
from gateway.store.connection import deadline
from gateway.store.forgetting import Person
from gateway.store.isolation import Channels
from gateway.store.retention import FORGOTTEN, Amount

# Who writes all the time is erased so often; then whoever forgets them has to try again when it is quieter.
ROUNDS = 20

# All sessions are read once.
SEARCH_SECONDS = 600


@dataclass(frozen=True)
class Forgotten:
    """What was erased. `suppressed` are the identities whose STOP is still heeded."""

    contacts: int = 0
    amount: Amount = field(default_factory=Amount)
    queued: int = 0
    callbacks: int = 0
    suppressed: int = 0

    def as_counts(self) -> dict[str, int]:
        """Give it as numbers by name."""
        amount = {name: getattr(self.amount, name) for name in Amount.__slots__}
        rest = {"queued": self.queued, "callbacks": self.callbacks, "opt_outs_kept": self.suppressed}
        return {"contacts": self.contacts, **amount, **rest}


@dataclass(frozen=True)
class _Erasing:
    """One person being erased. `wait` sleeps some seconds; `hold` is called now and then to go on being the one."""

    runtime: Runtime
    who: Person
    at_twilio: bool
    wait: Callable[[float], object]
    hold: Callable[[], None]


def preview(written: str) -> Forgotten:
    """Tell what would be erased of a person."""
    with deadline(SEARCH_SECONDS):
        who = _person(written)
        amount = removal.measure(forgetting.sessions_of(who))
        suppressed = len(who.identities) if who.opted_out else 0
        return Forgotten(len(who.contacts), amount, suppressed=suppressed)


def _person(written: str) -> Person:
    """Read who is meant: a number in any spelling, a WhatsApp user id or an e-mail address."""
    return forgetting.person(written.strip() if "@" in written else address(written).identity)


def forget(
    runtime: Runtime, written: str, *, at_twilio: bool = False, wait: Callable[[float], object] = time.sleep
) -> Forgotten:
    """Erase a person; gives what that was. Busy, TwilioRefuses and StoreUnavailable stop it; then do it again.

    The contact goes when the sessions are gone, since it says which they are; a STOP is kept before anything goes.
    """
    return _forget(runtime, lambda: _person(written), at_twilio=at_twilio, wait=wait)


def ask(runtime: Runtime, contact_id: str, *, by: str, channels: Channels = None) -> None:
    """Have a contact forgotten by a worker, with all that were merged with it; nobody is shown it from here on.

    NoContact where there is none, NotForThem for whoever does not see every channel.
    """
    merging.must_see_all(channels)
    with deadline():
        group, now = merging.person(contact_id), runtime.clock.now()
        contacts.want_forgotten(group.id, by, now)
        audit.note(now, by, "contact_forgotten", contact=group.id)


def forget_asked(runtime: Runtime, wait: Callable[[float], object]) -> int:
    """Forget those whom somebody asked to forget; gives how many. What stops it is tried again the next time."""
    with deadline():
        wanted, done = contacts.to_forget(), 0
    for contact_id in wanted:
        find, at_twilio = partial(forgetting.contact, contact_id), runtime.settings.retention.redact_at_twilio
        try:
            _forget(runtime, find, at_twilio=at_twilio, wait=wait)
            done += 1
        except emptying.Busy:
            break
        except redaction.TwilioRefuses as error:
            log.error("forgetting_failed", contact_id=contact_id, message=str(error)[:300])
    return done


def _forget(
    runtime: Runtime, find: Callable[[], Person], *, at_twilio: bool, wait: Callable[[float], object]
) -> Forgotten:
    with emptying.held(runtime) as hold:
        with deadline(SEARCH_SECONDS):
            inspections.forget_words()
            rejections.forget_words()
            who = find()
            sessions = forgetting.sessions_of(who)
            done = Forgotten(suppressed=_keep_opt_out(runtime, who))
        erasing = _Erasing(runtime, who, at_twilio, wait, hold)
        for _ in range(ROUNDS):
            done = _erase(erasing, sessions, done)
            with deadline():
                # Whoever looked the contact up before it went may have opened a session for it.
                done = replace(done, contacts=done.contacts + forgetting.delete_contacts(who.contacts))
            wait(emptying.GRACE.total_seconds())
            with deadline():
                steps.drop(runtime.clock.now() - emptying.GRACE)
                sessions = forgetting.kept_under(who.contacts)
            hold()
            if not sessions:
                break
    log.info("contact_forgotten", **done.as_counts())
    return done


def _keep_opt_out(runtime: Runtime, who: Person) -> int:
    """Keep what a person says STOP to. One who was forgotten half before has no contact to tell it any more."""
    if not who.contacts:
        return 0
    return suppressions.keep(who.identities, who.opted_out, runtime.clock.now())


def _erase(erasing: _Erasing, sessions: list[Any], done: Forgotten) -> Forgotten:
    """Hide sessions, let what is on its way to them arrive, and empty them."""
    runtime, who = erasing.runtime, erasing.who
    with deadline(SEARCH_SECONDS):
        forgetting.ask_nobody(sessions)
        queued = forgetting.delete_queued(sessions, who.contacts, runtime.clock.now())
        steps.retire(sessions, runtime.clock.now(), why=steps.FORGOTTEN)
    erasing.wait(emptying.GRACE.total_seconds())
    _let_finish(erasing, sessions)
    with deadline(SEARCH_SECONDS):
        callbacks = forgetting.delete_callbacks(who, sessions)
        queued += forgetting.delete_queued(sessions, who.contacts)
        erase.begin(runtime, sessions)
    amount = done.amount
    while batch := _hidden(runtime):
        if erasing.at_twilio:
            _redact(runtime, batch)
        amount += emptying.empty(batch, runtime.clock.now())
        erasing.hold()
    return replace(done, amount=amount, queued=done.queued + queued, callbacks=done.callbacks + callbacks)


def _let_finish(erasing: _Erasing, sessions: list[Any]) -> None:
    """Wait for the workers that answer or send right now: what they store next must be found."""
    runtime = erasing.runtime
    for _ in range(int(runtime.settings.outbox.lease_seconds) + 1):
        with deadline():
            if not forgetting.in_hand(sessions, erasing.who.contacts, runtime.clock.now()):
                return
        erasing.wait(1)


def _hidden(runtime: Runtime) -> list[dict[str, Any]]:
    with deadline(emptying.STEP_SECONDS):
        return steps.retired(runtime.clock.now() - emptying.GRACE, why=FORGOTTEN)


def _redact(runtime: Runtime, batch: list[dict[str, Any]]) -> None:
    """Redact at Twilio; unlike old sessions, none may be left out."""
    left = len(batch) - len(redaction.redact(runtime, batch))
    if left:
        raise redaction.TwilioRefuses(
            f"Twilio did not redact all messages of {left} of {len(batch)} sessions (see the log). Nothing of them "
            "was deleted here: try again later, or without --at-twilio."
        )
