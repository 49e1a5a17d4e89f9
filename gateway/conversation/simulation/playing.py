"""A scenario played to a gateway: several people, one step after another or at once, and what came of each."""

import secrets
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime, timedelta
from typing import Any

from gateway.conversation.phoning import SimulationFailed, new_sid
from gateway.conversation.simulation import delivery
from gateway.conversation.simulation.acting import LINES, Cast, Deed, Stage
from gateway.conversation.simulation.delivery import Delivered
from gateway.conversation.simulation.judging import Came, Miss, judge, judge_ending
from gateway.conversation.simulation.line import Line, session_ids
from gateway.core.messages import SMS, VOICE, WHATSAPP
from gateway.core.replies import answer_id
from gateway.core.scenarios import NEW_USER_ID, Lost, Scenario, Step
from gateway.core.times import floor_ms
from gateway.store import outbound
from gateway.store.connection import deadline
from gateway.store.outbox import Address

# How long it is waited for what a worker makes, and how many things happen at once.
PATIENCE_SECONDS = 10
HANDS = 32
MOST_SESSIONS = 1000


@dataclass
class Play:
    """What came of a scenario: its steps, and what is not as expected in the end."""

    scenario: Scenario
    start: datetime
    numbers: dict[str, str]
    steps: list[Came] = field(default_factory=list)
    misses: list[Miss] = field(default_factory=list)

    @property
    def missed(self) -> list[tuple[str, Miss]]:
        """Give every expectation that was missed, and where it stands."""
        own = [(came.step.label, miss) for came in self.steps for miss in came.misses]
        return own + [("in the end", miss) for miss in self.misses]


def play(scenario: Scenario, stage: Stage) -> Play:
    """Play a scenario and judge it. A step that the gateway does not take is the last one."""
    return _Player(scenario, stage).play()


class _Player:
    def __init__(self, scenario: Scenario, stage: Stage) -> None:
        self._stage = stage
        last = max(step.at_ms for step in scenario.steps)
        start = scenario.start or floor_ms(datetime.now(UTC)) - timedelta(milliseconds=last)
        numbers = {name: _number(person.number) for name, person in scenario.people.items()}
        self._play, self._cast = Play(scenario, start, numbers), Cast(stage, scenario.people, numbers)
        self._labels: dict[str, str] = {}
        self._named: dict[str, Came] = {}
        self._reported: dict[str, Delivered] = {}

    def play(self) -> Play:
        for group in _groups(self._play.scenario.steps):
            came = self._act(group)
            for one in came:
                self._judge(one)
            if any(one.failed for one in came):
                return self._play
        if self._stage.stored:
            self._play.misses += judge_ending(self._play.scenario.ending, sorted(self._sessions()), self._labels)
        return self._play

    def _moment(self, step: Step) -> datetime:
        return self._play.start + timedelta(milliseconds=step.at_ms)

    def _act(self, group: list[Step]) -> list[Came]:
        """Do some steps at once, each with all its copies; in the order of the file where there is one step."""
        came = [Came(step) for step in group]
        deeds = [deed for one in came for deed in self._deeds(one)]
        if len(deeds) == 1:
            deeds[0]()
        else:
            with ThreadPoolExecutor(HANDS, "person") as hands:
                list(hands.map(lambda deed: deed(), deeds))
        return came

    def _deeds(self, came: Came) -> list[Callable[[], None]]:
        step = came.step
        if step.lost is Lost.WEBHOOK:
            return []
        line = replace(self._stage.line, at=self._moment(step))
        try:
            deed = self._reports(step) if step.kind == "status" else self._cast.deed(step)
        except SimulationFailed as failure:
            came.failed = str(failure)
            return []
        return [lambda: _do(came, replace(line, told=[]), deed)] * step.copies

    def _reports(self, step: Step) -> Deed:
        """Prepare the callbacks on the answer to an earlier step, which has the same SID in all of them."""
        if step.of not in self._reported:
            asked = self._named[step.of]
            ours = answer_id(str(asked.decided.get("message_id", "")))
            known = delivery.look_up(ours) if self._stage.stored else None
            at_once = Delivered(new_sid("SM"), Address("", ""), ours)
            self._reported[step.of] = known or at_once
        told = self._reported[step.of]

        def report(line: Line) -> str:
            for status in step.statuses:
                delivery.report(line, told, status, step.error_code)
            return ""

        return report

    def _judge(self, came: Came) -> None:
        step, expected = came.step, came.step.expected
        if not came.failed and self._stage.stored:
            if came.decided.get("answer") == "queued" and (expected.answer or expected.answer_has):
                came.answer = self._later(step, answer_id(came.decided["message_id"])) or ""
            if expected.texted is not None:
                came.texted = self._later(step, f"text-back:{came.decided['message_id'].partition(':')[0]}")
            if step.kind == "status":
                came.status = delivery.stored_status(self._reported[step.of].message_id)
        came.misses += judge(came, self._labels)
        if step.name:
            self._named[step.name] = came
        self._play.steps.append(came)

    def _later(self, step: Step, message_id: str) -> str | None:
        """Wait for what a worker says; None where nothing comes. What follows keeps its distance from it."""
        until, moment = time.monotonic() + PATIENCE_SECONDS, self._moment(step)
        while time.monotonic() < until:
            with deadline():
                said = outbound.get(message_id)
            if said:
                self._play.start += max(said.at - moment, timedelta())
                return said.text
            self._stage.wait()
        return None

    def _sessions(self) -> set[str]:
        """Give the sessions of these people: those the gateway told of, and any others on the lines they used."""
        found = {str(came.decided["session_id"]) for came in self._play.steps if came.decided.get("session_id")}
        used = {(step.kind, step.person, step.to or LINES[step.kind]) for step in self._play.scenario.steps
                if step.kind in (SMS, WHATSAPP, VOICE)}  # fmt: skip
        for kind, person, to in used:
            sender = self._play.numbers[person]
            sender = f"whatsapp:{sender}" if kind == WHATSAPP else sender
            with deadline():
                found |= set(session_ids(self._stage.line.configured, kind, sender, to, limit=MOST_SESSIONS))
        return found


def _do(came: Came, line: Line, deed: Deed) -> None:
    """Do one delivery of a step, and keep what the gateway told of it."""
    try:
        came.answer = deed(line)
    except SimulationFailed as failure:
        came.failed = str(failure)
    came.told += line.told


def _groups(steps: tuple[Step, ...]) -> Iterator[list[Step]]:
    """Give the steps that happen at once, one group after the other."""
    group: list[Step] = []
    for step in steps:
        if group and not step.together:
            yield group
            group = []
        group.append(step)
    yield group


def _number(wanted: str) -> str:
    """Make up a number that nobody had before, so that no run meets the sessions of another, unless one is given."""
    if wanted == NEW_USER_ID:
        return f"{NEW_USER_ID}{10**19 + secrets.randbelow(9 * 10**19)}"
    return wanted or f"+1555{secrets.randbelow(10**7):07d}"


def as_json(play: Play) -> dict[str, Any]:
    """Give a play as plain values."""
    return {
        "scenario": play.scenario.title,
        "file": play.scenario.file,
        "start": play.start.isoformat(),
        "as_expected": not play.missed,
        "steps": [
            {
                "number": came.step.number,
                "name": came.step.name or None,
                "from": came.step.person or None,
                "kind": came.step.kind,
                "at_seconds": came.step.at_ms / 1000,
                "answer": came.answer,
                "status": came.status,
                "decision": came.decided.get("decision"),
                "session_id": came.decided.get("session_id"),
                "message_id": came.decided.get("message_id"),
                "missed": [str(miss) for miss in came.misses],
            }
            for came in play.steps
        ],
        "missed": [f"{where}: {miss}" for where, miss in play.missed],
    }
