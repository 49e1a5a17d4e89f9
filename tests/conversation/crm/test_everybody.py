"""Five hundred sessions of a hundred people, with a HubSpot that fails in every way and workers that are killed."""

import random
import threading
from collections import Counter
from typing import Any

import pytest

from gateway.conversation import upkeep, work
from gateway.store import crm_entries, crm_queue, crm_state, outbox
from tests.conversation.crm.conftest import Scene
from tests.conversation.events.conftest import wait_for

PEOPLE, ROUNDS, HANDS = 100, 5, 3
FAULTS = ["lose"] * 10 + ["drop", 429, 500, 503, 502]
KILLED_AT = [
    (crm_entries, "claim"),
    (crm_entries, "mark"),
    (crm_entries, "done"),
    (crm_state, "note"),
    (crm_queue, "finish"),
]


class Killed(BaseException):
    """A worker that stops here, as with kill -9: nothing after it is done, nothing is let go of."""


class Killer:
    """Kills whoever comes to some steps, now and then, before or after them."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch, chance: random.Random) -> None:
        self._chance, self.kills = chance, Counter[str]()
        self.armed = True
        for module, name in KILLED_AT:
            monkeypatch.setattr(module, name, self._deadly(getattr(module, name), name))

    def _deadly(self, step: Any, name: str) -> Any:
        def deadly(*args: Any, **kwargs: Any) -> Any:
            drawn = self._chance.random() if self.armed else 1
            if drawn < 0.02:
                self.kills[f"before {name}"] += 1
                raise Killed
            done = step(*args, **kwargs)
            if drawn < 0.04:
                self.kills[f"after {name}"] += 1
                raise Killed
            return done

        return deadly


def _work(scene: Scene) -> None:
    """Let workers do all that is due, as many at once as there are hands; one that is killed is followed by another."""

    def one() -> None:
        while True:
            try:
                row = work.claim(scene.runtime, steps=[outbox.CRM])
                if row is None:
                    return
                work.do(scene.runtime, row)
            except Killed:
                continue

    hands = [threading.Thread(target=one) for _ in range(HANDS)]
    for hand in hands:
        hand.start()
    for hand in hands:
        hand.join()


def _found_out(scene: Scene) -> set[Any]:
    """Give the sessions that wait to be told of, or are."""
    waiting = {one for row in scene.db.outbox.find({"step": "crm"}) for one in row["sessions"]}
    return waiting | set(scene.db.crm_entries.distinct("session_id"))


def test_a_hundred_people_are_a_hundred_contacts_and_every_message_is_there_once(
    make_scene: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    chance = random.Random(7)
    scene: Scene = make_scene(
        reply={"responder": "none"}, crm={"timeout_seconds": 0.3, "min_interval_seconds": 60},
        twilio={"api_base_url": "http://127.0.0.1:9", "timeout_seconds": 1}, outbox={"lease_seconds": 5},
    )  # fmt: skip
    hubspot, killer = scene.hubspot, Killer(monkeypatch, chance)
    numbers = [f"+1555{index:07d}" for index in range(PEOPLE)]
    # HubSpot knows some of them already, each in a spelling of its own.
    hubspot.add(phone=numbers[0], firstname="Ada")
    hubspot.add(phone="(555) 000-0001")
    hubspot.fault = lambda: chance.choice(FAULTS) if chance.random() < 0.1 else None
    with scene.following():
        for turn in range(ROUNDS):
            for number in numbers:
                scene.text(f"{number} says {turn}", number)
            wait_for(lambda turn=turn: len(_found_out(scene)) == PEOPLE * turn)
            hubspot.faults += ["hang"] + [503] * (10 * turn)  # It is away for a while.
            for _ in range(3):
                _work(scene)
                scene.move(minutes=3)
        upkeep.sweep(scene.runtime)
        assert scene.db.sessions.count_documents({"status": "closed"}) == PEOPLE * ROUNDS
        wait_for(lambda: len(_found_out(scene)) == PEOPLE * ROUNDS)
    hubspot.fault, killer.armed = (lambda: None), False
    for _ in range(20):
        _work(scene)
        if not scene.waiting():
            break
        scene.move(minutes=70)
    assert scene.waiting() == 0
    assert len(hubspot.objects["contacts"]) == PEOPLE
    assert Counter(hubspot.said()) == Counter(f"{number} says {turn}" for number in numbers for turn in range(ROUNDS))
    assert len(killer.kills) >= 8, killer.kills
