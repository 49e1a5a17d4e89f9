"""How far people came in each flow: begun, come to each step, left there, completed."""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway.core.flows import Flow, Outcome
from gateway.store import flow_runs
from gateway.store.flow_runs import Path
from gateway.store.isolation import Channels


@dataclass(frozen=True, slots=True)
class Stage:
    """A step: how many came to it, and how many of them left there, by themselves or by a cancel word."""

    step: str
    reached: int
    abandoned: int
    canceled: int


@dataclass(frozen=True, slots=True)
class Funnel:
    """A flow in numbers; `running` are under way, the rest of those `begun` came to an end."""

    flow: str
    title: str
    begun: int
    running: int
    completed: int
    abandoned: int
    canceled: int
    stages: Sequence[Stage]


def funnels(
    flows: Mapping[str, Flow],
    since: datetime,
    until: datetime,
    channels: Channels,
    *,
    communication_type: str = "",
    channel_id: str = "",
) -> list[Funnel]:
    """Count the flows that began in a time on these channels, those first that were begun most."""
    paths = flow_runs.count_paths(since, until, channels, communication_type=communication_type, channel_id=channel_id)
    by_flow: dict[str, list[Path]] = {}
    for path in paths:
        by_flow.setdefault(path.flow, []).append(path)
    made = [_funnel(name, flows.get(name), taken) for name, taken in by_flow.items()]
    return sorted(made, key=lambda one: (-one.begun, one.flow))


def _funnel(name: str, flow: Flow | None, paths: Sequence[Path]) -> Funnel:
    ended, reached = Counter[str](), Counter[str]()
    left: dict[str, Counter[str]] = defaultdict(Counter)
    for path in paths:
        ended[path.outcome] += path.runs
        reached.update(dict.fromkeys(path.steps, path.runs))
        if path.outcome not in ("", Outcome.COMPLETED):
            left[path.last_step][path.outcome] += path.runs
    order = list(flow.steps) if flow else []
    steps = sorted(
        filter(None, {*reached, *left}),
        key=lambda step: (order.index(step) if step in order else len(order), -reached[step], step),
    )
    return Funnel(
        flow=name,
        title=flow.title if flow else name,
        begun=ended.total(),
        running=ended[""],
        completed=ended[Outcome.COMPLETED],
        abandoned=_abandoned(ended),
        canceled=ended[Outcome.CANCELED],
        stages=[Stage(one, reached[one], _abandoned(left[one]), left[one][Outcome.CANCELED]) for one in steps],
    )


def _abandoned(ended: Counter[str]) -> int:
    return ended[Outcome.EXPIRED] + ended[Outcome.GIVEN_UP]
