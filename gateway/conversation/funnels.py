"""How far people came in each flow: begun, come to each step, left there, completed."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime

from gateway.core.flows import Flow, Outcome
from gateway.store import flow_runs
from gateway.store.flow_runs import StepCount
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
    chosen = {"communication_type": communication_type, "channel_id": channel_id}
    outcomes: dict[str, dict[str, int]] = {}
    for name, outcome, runs in flow_runs.count(since, until, channels, **chosen):
        outcomes.setdefault(name, {})[outcome] = runs
    steps = flow_runs.count_steps(since, until, channels, **chosen) if outcomes else []
    made = [_funnel(name, flows.get(name), ended, steps) for name, ended in outcomes.items()]
    return sorted(made, key=lambda one: (-one.begun, one.flow))


def _funnel(name: str, flow: Flow | None, ended: Mapping[str, int], steps: Sequence[StepCount]) -> Funnel:
    mine = [one for one in steps if one.flow == name and one.step]
    order = list(flow.steps) if flow else []
    mine.sort(key=lambda one: (order.index(one.step) if one.step in order else len(order), -one.reached, one.step))
    return Funnel(
        flow=name,
        title=flow.title if flow else name,
        begun=sum(ended.values()),
        running=ended.get("", 0),
        completed=ended.get(Outcome.COMPLETED, 0),
        abandoned=_abandoned(ended),
        canceled=ended.get(Outcome.CANCELED, 0),
        stages=[
            Stage(one.step, one.reached, _abandoned(one.ended), one.ended.get(Outcome.CANCELED, 0)) for one in mine
        ],
    )


def _abandoned(ended: Mapping[str, int]) -> int:
    return ended.get(Outcome.EXPIRED, 0) + ended.get(Outcome.GIVEN_UP, 0)
