"""What a process needs to serve: settings, clock, responders and channels, passed along and never imported."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any, ParamSpec, Protocol, TypeVar

from itsdangerous import URLSafeSerializer

from gateway import clients, responders
from gateway.channels.line import Line
from gateway.clients import Sender, broker
from gateway.clients import crm as crms
from gateway.clients.broker import Broker
from gateway.clients.crm import Crm
from gateway.core.combining import Combiner
from gateway.core.errors import StoreUnavailable
from gateway.core.flows import Flow
from gateway.core.messages import Channel
from gateway.core.participant import address
from gateway.core.reach import PublicAddress
from gateway.core.recent import Recent
from gateway.core.replies import FLOW, NOBODY
from gateway.core.sessions import Anchor, CarryOver, Policy, Scope
from gateway.core.times import floor_ms
from gateway.logs import log
from gateway.responders import Responder, flow_files
from gateway.settings import Settings
from gateway.store import connection
from gateway.store.channels import Channels
from gateway.store.spool import Spool

P = ParamSpec("P")
T = TypeVar("T")

# A clock further off than this is worth a warning.
OFFSET_WARNING_MS = 2000


# Development only: the query parameter that says when a webhook is to be taken as received.
SIMULATED_AT = "simulated_at"


def simulated_times(settings: Settings) -> URLSafeSerializer:
    """Give what signs simulated times, with our own secret: Twilio's signature alone must not move the clock."""
    return URLSafeSerializer(settings.secret_key.get_secret_value(), salt="simulated time")


class Clock:
    """This host's clock, corrected by its offset to MongoDB's, in whole milliseconds."""

    def __init__(self) -> None:
        self._offset = timedelta()

    def now(self) -> datetime:
        """Give the moment by MongoDB's clock."""
        return floor_ms(datetime.now(UTC) + self._offset)

    def correct(self) -> None:
        """Measure the offset; while MongoDB is away the last one holds."""
        try:
            milliseconds = connection.clock_offset_ms()
        except StoreUnavailable:
            return
        self._offset = timedelta(milliseconds=milliseconds)
        if abs(milliseconds) > OFFSET_WARNING_MS:
            log.warning(
                "clock_offset",
                message=f"This host's clock is {milliseconds} ms off MongoDB's. Check its time synchronisation.",
                offset_ms=milliseconds,
            )


@dataclass
class Hold:
    """Until when this process leaves the CRM alone, as far as it knows."""

    until: datetime = datetime(1970, 1, 1, tzinfo=UTC)


class Aside(Protocol):
    """Does what waits for a disk or for MongoDB, and gives what came of it, where the wait holds nobody else up."""

    def __call__(self, do: Callable[P, T], *given: P.args, **named: P.kwargs) -> T: ...


def _here(do: Callable[P, T], *given: P.args, **named: P.kwargs) -> T:
    """Do it in this thread: it is nobody else's."""
    return do(*given, **named)


@dataclass(frozen=True)
class Runtime:
    """Everything a use case works with. `notify` tells a broker, where there is one, of a row in the outbox.

    `blocked` are the identities that are never answered automatically. `recent` hints at what is a redelivery.
    In `commits` messages that come at the same time are stored together, in `statuses` those of deliveries; `aside` is
    for whatever else waits, where one thread serves many webhooks (`gateway.evented`).
    """

    settings: Settings
    clock: Clock
    responders: Mapping[str, Responder]
    channels: Channels
    line: Line
    sender: Sender
    spool: Spool
    started_at: datetime
    notify: Callable[[str, datetime], None] = lambda _row_id, _due: None
    broker: Broker | None = None
    blocked: frozenset[str] = frozenset()
    recent: Recent = field(default_factory=Recent)
    commits: Combiner[Any, Any] = field(default_factory=Combiner)
    statuses: Combiner[Any, Any] = field(default_factory=Combiner)
    aside: Aside = _here
    flows: Mapping[str, Flow] = field(default_factory=dict)
    crm: Crm | None = None
    crm_hold: Hold = field(default_factory=Hold)
    _policies: dict[int | None, Policy] = field(default_factory=dict, init=False, repr=False, compare=False)

    def policy_for(self, channel: Channel) -> Policy:
        """Give the policy of a channel: its own threshold, else its type's, else the default."""
        threshold_ms = (
            channel.threshold_ms if channel.has_threshold else self.settings.idle_ms_for(channel.communication_type)
        )
        return self._policies.get(threshold_ms) or self._policies.setdefault(threshold_ms, self._policy(threshold_ms))

    def _policy(self, threshold_ms: int | None) -> Policy:
        sessions = self.settings.sessions
        return Policy(
            threshold_ms=threshold_ms,
            scope=Scope(sessions.scope),
            anchor=Anchor(sessions.anchor),
            carry_over=CarryOver(sessions.carry_over),
            shared=frozenset(self.settings.contacts.shared),
        )

    def responder_for(self, channel: Channel) -> tuple[str, Responder]:
        """Give who answers on a channel, by name; one that is not there answers nothing and never costs a message."""
        name = channel.responder or self.settings.reply.responder
        if name not in self.responders:
            log.error("responder_unknown", responder=name, channel_id=channel.id)
            name = NOBODY
        return name, self.responders[name]

    def has_flows(self, channel: Channel) -> bool:
        """Tell whether what is said on a channel may begin a flow."""
        return self.responder_for(channel)[0] == FLOW

    def responder_beside_flows(self, channel: Channel) -> tuple[str, Responder]:
        """Give who answers on a channel what no flow does, by name."""
        name, responder = self.responder_for(channel)
        if name != FLOW:
            return name, responder
        otherwise = self.settings.flow.otherwise
        return otherwise, self.responders[otherwise]


def build(settings: Settings, *, clock: Clock | None = None) -> Runtime:
    """Put a process's runtime together; opens no connection."""
    voice, clock = settings.voice, clock or Clock()
    carrier = broker.connect(settings, clock.now)
    runtime = Runtime(
        settings=settings,
        clock=clock,
        started_at=clock.now(),
        responders=responders.build(settings),
        flows=flow_files.load(settings),
        channels=Channels(),
        sender=clients.build(settings),
        crm=crms.build(settings),
        spool=Spool(settings.spool_dir, max_bytes=settings.spool.max_bytes),
        blocked=frozenset(address(written).identity for written in settings.reply.blocklist),
        line=Line(
            voice.silence, voice.goodbye, voice.language, voice.voice,
            public=PublicAddress(settings.public_url),
            serializer=URLSafeSerializer(settings.secret_key.get_secret_value(), salt="voice turn"),
        ),
    )  # fmt: skip
    return replace(runtime, broker=carrier, notify=carrier.publish) if carrier else runtime
