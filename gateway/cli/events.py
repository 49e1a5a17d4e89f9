"""`gateway events`: what came and went, from the database; without a tunnel, and of every process."""

import time
from collections.abc import Sequence
from datetime import datetime, timedelta

import click

from gateway import logs
from gateway.cli import serving
from gateway.cli.entries import Entry, OutputGone, Printer
from gateway.cli.tail import TAKEN, message_of, of_event, of_message, of_refused
from gateway.conversation.runtime import Runtime
from gateway.core.errors import StoreUnavailable
from gateway.core.notifications import MESSAGE_RECEIVED, Event
from gateway.core.recent import Recent
from gateway.store import feed, tailing
from gateway.store.connection import deadline
from gateway.store.streams import NoChangeStreams, PlaceLost
from gateway.store.tailing import Seen

MOST = 1000
PATIENCE_SECONDS = 10

# The inspector stores what it saw every two seconds. Where it keeps nearly every webhook, a line waits for that.
HOLD = timedelta(seconds=3)
# How much later than a webhook what was seen of it may be stored.
LATE = timedelta(seconds=30)
NEARLY_ALL = 0.5
LOOK_SECONDS = 1
AGAIN_SECONDS = 2


@click.command("events")
@click.option("--follow", "-f", is_flag=True, help="Go on with what happens from now on, until Ctrl-C.")
@click.option(
    "--limit", "-n", type=click.IntRange(0, MOST), default=20, show_default=True, help="How many to begin with."
)
@click.option("--json", "as_json", is_flag=True, help="Print a JSON object a line instead of text.")
def events(follow: bool, limit: int, as_json: bool) -> None:
    """Show the last messages, calls and refused webhooks, one line each: what was decided, and who answered.

    Of a webhook the HTTP status, how long it took and the verdict on its signature are shown where the inspector kept
    it: every refused one, and GATEWAY_INSPECTOR__SAMPLE_RATE of the others. With --follow also delivery statuses, and
    what becomes of sessions and flows.

    \b
    Examples:
      gateway events
      gateway events --follow
      gateway events -n 200 --json | jq -r 'select(.decision == "rolled_over") | .session_id'
    """
    runtime, printer = serving.build(), Printer(as_json=as_json)
    logs.configure_for_commands(redact=runtime.settings.log.redact)
    began = runtime.clock.now()
    last = newest(limit)
    for entry in last:
        printer.entry(entry)
    if not follow:
        if limit and not last and not as_json:
            click.echo("Nothing came yet. `gateway simulate sms` sends a text.", err=True)
        return
    try:
        Following(runtime, printer, began).run()
    except KeyboardInterrupt:
        click.echo(err=True)
    except OutputGone:
        pass


def newest(limit: int) -> list[Entry]:
    """Give the last messages and refused webhooks together, the oldest first."""
    if not limit:
        return []
    with deadline(PATIENCE_SECONDS):
        told = tailing.newest(limit)
        # Where there are fewer messages than wanted, webhooks of any age were refused since.
        first = min((one.at for one in told if one.at), default=None) if len(told) == limit else None
        seen = tailing.seen(first and first - LATE)
    taken = by_message(seen)
    entries = [of_message(one, seen=taken.get(one.id)) for one in told]
    entries += [of_refused(one) for one in seen if one.verdict not in TAKEN]
    return sorted(entries, key=lambda entry: entry.at)[-limit:]


def by_message(seen: Sequence[Seen]) -> dict[str, Seen]:
    """Give what the inspector saw by the message that it stored."""
    return {message_of(one.url, one.about): one for one in seen if one.verdict in TAKEN}


class Following:
    """What happens from a moment on, in MongoDB's changes, and what the inspector keeps meanwhile."""

    def __init__(self, runtime: Runtime, printer: Printer, since: datetime) -> None:
        self._runtime, self._printer, self._since = runtime, printer, since
        self._holds = runtime.settings.inspector.enabled and runtime.settings.inspector.sample_rate >= NEARLY_ALL
        self._held: dict[str, Event] = {}
        self._shown = Recent()
        self._seen: dict[str, Seen] = {}
        self._looked = 0.0

    def run(self) -> None:
        """Follow until somebody stops it; MongoDB's absences are said, and waited for."""
        place = None
        while True:
            try:
                with feed.follow(place, self._since) as batches:
                    for batch in batches:
                        self._take(batch.events)
                        place = batch.place
            except StoreUnavailable:
                self._printer.notice(
                    "mongodb_away", "MongoDB is away. What happens meanwhile is shown when it is back."
                )
                self._wait()
            except PlaceLost:
                self._printer.notice("events_missed", "MongoDB forgot what happened meanwhile. Going on from now.")
                place, self._since = None, self._runtime.clock.now()
            except NoChangeStreams as error:
                raise click.ClickException(f"{error} Make it a replica set, or leave --follow out.") from None

    def _wait(self) -> None:
        while True:
            time.sleep(AGAIN_SECONDS)
            try:
                with deadline():
                    tailing.seen(self._runtime.clock.now())
                return
            except StoreUnavailable:
                continue

    def _take(self, events: Sequence[Event]) -> None:
        """Show what is new; what came by a webhook waits for what the inspector saw of it, for a moment."""
        self._look()
        # The changes begin at a whole second, which is before this does.
        self._held |= {one.id: one for one in events if one.at >= self._since and one.id not in self._shown}
        now = self._runtime.clock.now()
        self._show([event for event in self._held.values() if not self._waits(event, now)])

    def _waits(self, event: Event, now: datetime) -> bool:
        if not self._holds or event.type != MESSAGE_RECEIVED or event.message_id in self._seen:
            return False
        return now - event.at < HOLD

    def _look(self) -> None:
        """Read what the inspector stored since, and say what was refused."""
        if time.monotonic() - self._looked < LOOK_SECONDS:
            return
        self._looked = time.monotonic()
        with deadline():
            kept = tailing.seen(max(self._since, self._runtime.clock.now() - LATE))
        self._seen = by_message(kept)
        for one in reversed(kept):
            if one.verdict not in TAKEN and one.id not in self._shown:
                self._shown.add(one.id)
                self._printer.entry(of_refused(one))

    def _show(self, events: Sequence[Event]) -> None:
        with deadline():
            told = tailing.messages({event.message_id for event in events if event.message_id})
            alone = {event.session_id for event in events if event.session_id and not event.message_id}
            sessions = tailing.sessions(alone)
        for event in events:
            self._shown.add(event.id)
            self._held.pop(event.id, None)
            message, session = told.get(event.message_id or ""), sessions.get(event.session_id or "")
            entry = of_event(event, message, session, self._seen.get(event.message_id or ""))
            if entry:
                self._printer.entry(entry)
