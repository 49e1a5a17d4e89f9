"""kill -9 at each step of a synchronisation, and answers of HubSpot lost besides: nothing is there twice or never."""

from typing import Any

import mongoengine
import pytest

from gateway.conversation import work
from gateway.conversation.crm import queue
from gateway.store import connection, crm_entries, crm_queue, crm_state, outbox
from tests.conversation.crm.conftest import NUMBER, Scene
from tests.conversation.test_crashes import _in_a_process_that_dies

STEPS = [
    (crm_state, "note", "before"),
    (crm_state, "note", "after"),
    (crm_entries, "claim", "after"),
    (crm_entries, "mark", "after"),
    (crm_entries, "done", "before"),
    (crm_entries, "done", "after"),
    (crm_queue, "finish", "before"),
    (crm_queue, "finish", "after"),
]


@pytest.mark.parametrize("step", STEPS, ids=lambda step: f"{step[2]} {step[1]}")
def test_a_worker_that_dies_is_followed_by_one_that_finishes(make_scene: Any, step: Any) -> None:
    scene: Scene = make_scene(outbox={"lease_seconds": 25})
    for word in ("one", "two"):
        scene.text(word)
    queue.ask(scene.runtime, str(scene.contact()["_id"]), by="ada")

    def do(_app: Any) -> None:
        connection.connect(scene.runtime.settings)
        row = work.claim(scene.runtime, steps=[outbox.CRM])
        assert row
        work.do(scene.runtime, row)

    assert _in_a_process_that_dies(lambda: None, step, do)
    connection.connect(scene.runtime.settings)
    scene.db = mongoengine.get_db()
    scene.text("three")
    scene.hubspot.faults = ["lose", "lose"]
    queue.ask(scene.runtime, str(scene.contact()["_id"]), by="ada")
    for _ in range(4):
        scene.work(minutes=2)
    assert len(scene.hubspot.objects["contacts"]) == 1
    assert sorted(scene.hubspot.said()) == sorted(["one", "two", "three"] * 2)
    assert scene.db.outbox.count_documents({"step": "crm", "state": "waiting"}) == 0
    assert scene.state(NUMBER)["last_sync_at"]
