"""A contact and what was said, taken to HubSpot."""

from gateway.conversation.crm import queue
from tests.conversation.crm.conftest import NUMBER, Scene


def test_a_session_that_ended_is_on_the_timeline_of_a_new_contact(scene: Scene) -> None:
    scene.text("I need <b>shirts</b> & caps")
    scene.close_all()
    assert scene.work() == 1
    (contact,) = scene.hubspot.objects["contacts"].values()
    assert contact["properties"]["phone"] == NUMBER
    (entry,) = scene.hubspot.of(contact["id"])
    assert entry["properties"]["hs_communication_channel_type"] == "SMS"
    assert sorted(scene.hubspot.said()) == ["I need <b>shirts</b> & caps"] * 2
    assert scene.state()["contact_id"] == contact["id"]
    assert scene.state()["last_sync_at"]
    assert scene.state()["url"] == f"https://app.hubspot.com/contacts/4711/record/0-1/{contact['id']}"


def test_returning_tells_only_what_is_new_to_the_same_contact(scene: Scene) -> None:
    scene.text("one")
    scene.close_all()
    scene.work()
    scene.text("two")
    queue.ask(scene.runtime, str(scene.contact()["_id"]), by="ada")
    scene.work()
    scene.text("three")
    scene.close_all()
    scene.work()
    (contact,) = scene.hubspot.objects["contacts"].values()
    assert sorted(scene.hubspot.said()) == sorted(["one", "two", "three"] * 2)
    assert len(scene.hubspot.of(contact["id"])) == 3
