"""Compare what is stored with Twilio's own log, and put in what is missing: webhooks get lost, the log does not.

Days are read one after the other, the oldest first, and their entries are seen to in the order they happened: so
they are filed as they would have been on time (rule T4). Ids are the claim, so any number of runs may overlap, stop
anywhere and be repeated.
"""

from collections.abc import Callable, Iterator, Sequence
from datetime import datetime, timedelta

from gateway.clients.twilio_log import TwilioLog
from gateway.conversation.backfilled import Pass, settle_message
from gateway.conversation.backfilled_calls import settle_call, settle_recording
from gateway.conversation.runtime import Runtime
from gateway.core.drift import Drift
from gateway.core.logged import LoggedCall, LoggedMessage, LoggedRecording, days
from gateway.core.messages import WHATSAPP
from gateway.core.participant import address
from gateway.core.spans import bounded
from gateway.logs import log
from gateway.store import backfilling
from gateway.store.backfilling import Known
from gateway.store.connection import deadline

# What is younger may still be on its way here: with its webhook, its retries, or as a send that was just taken.
YOUNG = timedelta(minutes=2)

BATCH = 500
# For looking a batch up; a webhook's deadline is for webhooks.
BATCH_SECONDS = 10

Entry = LoggedMessage | LoggedCall | LoggedRecording


def backfill(
    runtime: Runtime,
    source: TwilioLog,
    since: datetime,
    until: datetime | None = None,
    *,
    numbers: Sequence[str] = (),
    dry_run: bool = False,
    tell: Callable[[datetime, Drift], object] = lambda _done, _drift: None,
    is_stopping: Callable[[], bool] = lambda: False,
) -> Drift:
    """Bring what is stored up to the log from `since` to `until`, for some numbers of ours or all.

    `tell` hears how far it has come, after every batch. Raises LogUnreadable, StoreUnavailable and, where
    `is_stopping` says so, backfilled.Stopped.
    """
    oldest_young = runtime.clock.now() - YOUNG
    until = min(until or oldest_young, oldest_young)
    bounded(since, until)
    source.check()
    run, drift = Pass(runtime, source, dry_run, is_stopping), Drift(since, until, dry_run)
    for begin, end in days(since, until):
        entries = _read(run, begin, end, numbers)
        for start in range(0, len(entries), BATCH):
            batch = entries[start : start + BATCH]
            known = _known(batch)
            for entry in batch:
                run.go_on()
                _settle(run, drift, entry, known.get(entry.sid), of_all=not numbers)
            tell(min(batch[-1].at, end), drift)
        tell(end, drift)
    log.info("backfilled", **{name: value for name, value in drift.as_json().items() if name != "numbers"})
    return drift


def _read(run: Pass, since: datetime, until: datetime, numbers: Sequence[str]) -> list[Entry]:
    """Read a day at most of all accounts, in the order it happened; each entry once."""
    entries: dict[str, Entry] = {}
    for entry in _listed(run.source, since, until, _spelt(numbers) or [""]):
        run.go_on()
        entries[entry.sid] = entry
    return sorted(entries.values(), key=lambda entry: (entry.at, entry.sid))


def _listed(source: TwilioLog, since: datetime, until: datetime, numbers: Sequence[str]) -> Iterator[Entry]:
    for account in source.accounts:
        for number in numbers:
            yield from source.messages(account, since, until, number)
            if address(number).prefix != WHATSAPP:
                yield from source.calls(account, since, until, number)
        yield from source.recordings(account, since, until)


def _spelt(numbers: Sequence[str]) -> list[str]:
    """Spell each number as the log may: a phone number is a WhatsApp sender too."""
    spelt: list[str] = []
    for number in map(address, numbers):
        spelt += (
            [number.identity, f"whatsapp:{number.identity}"] if number.number and not number.prefix else [number.raw]
        )
    return spelt


def _known(batch: Sequence[Entry]) -> dict[str, Known]:
    with deadline(BATCH_SECONDS):
        return backfilling.known([entry.sid for entry in batch])


def _settle(run: Pass, drift: Drift, entry: Entry, known: Known | None, *, of_all: bool) -> None:
    match entry:
        case LoggedMessage():
            settle_message(run, entry, known, drift.of(entry.line))
        case LoggedCall():
            settle_call(run, entry, known, drift.of(entry.line))
        case LoggedRecording():
            settle_recording(run, entry, known, drift, of_all=of_all)
