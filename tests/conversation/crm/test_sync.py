"""A contact and what was said, taken to HubSpot."""

from collections import Counter
from datetime import timedelta
from typing import Any

import pytest
import structlog.testing

from gateway import metrics
from gateway.conversation import contacts, forget, merging, operators, regroup
from gateway.conversation.contacts import Changes
from gateway.conversation.crm import push, queue, standing, sync
from tests.conversation.crm.conftest import NUMBER, Scene
from tests.conversation.events.conftest import wait_for
from tests.stand_ins.hubspot import Refused


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


def ask(scene: Scene, number: str = NUMBER) -> None:
    queue.ask(scene.runtime, str(scene.contact(number)["_id"]), by="ada")


def learn(scene: Scene, **known: Any) -> None:
    contacts.change(scene.runtime, str(scene.contact()["_id"]), Changes(**known), by="ada")


def synced(scene: Scene, number: str = NUMBER) -> dict[str, Any]:
    """Have somebody synchronised; gives their contact at HubSpot."""
    ask(scene, number)
    assert scene.work() >= 1
    return scene.hubspot.objects["contacts"][scene.state(number)["contact_id"]]["properties"]  # type: ignore[no-any-return]


def test_a_late_message_and_a_note_for_our_own_eyes(scene: Scene) -> None:
    scene.text("on time")
    scene.close_all()
    scene.work()
    session = scene.db.sessions.find_one()
    operators.add_note(scene.runtime, str(session["_id"]), "do not tell", "ada", message_id="note:1")
    with scene.following():
        # It happened before what was told, and was stored after it.
        early = session["first_message_at"] - timedelta(seconds=5)
        late = dict(scene.db.messages.find_one({"content": "on time"})) | {"_id": "SMlate", "content": "late"}
        late.pop("crm")
        scene.db.messages.insert_one(late | {"createdAt": early})
        wait_for(lambda: scene.waiting() == 1)
    scene.work()
    assert sorted(scene.hubspot.said()) == ["late", "on time", "on time"]


def test_a_message_that_is_moved_to_another_session_is_not_told_again(scene: Scene) -> None:
    scene.text("one")
    scene.move(seconds=1)
    scene.text("two")
    synced(scene)
    session = scene.db.sessions.find_one()
    second = scene.db.messages.find_one({"content": "two", "direction": "inbound"})["_id"]
    done = regroup.split(scene.runtime, str(session["_id"]), second, by="ada")
    synced(scene)
    regroup.undo(scene.runtime, done.id, by="ada")
    synced(scene)
    assert sorted(scene.hubspot.said()) == ["one", "one", "two", "two"]


def test_what_people_wrote_at_hubspot_stays(scene: Scene) -> None:
    scene.hubspot.add(phone="+1 (555) 867-5310", firstname="Adele", lastname="L.")
    scene.hubspot.requests += [("", "")] * 10  # so that the search knows of it
    scene.text("hello", ProfileName="Ada")
    contacts.change(
        scene.runtime, str(scene.contact()["_id"]), Changes(name="Ada Lovelace", emails=["ada@example.com"]), by="ada"
    )
    found = synced(scene)
    assert found == {
        "phone": "+1 (555) 867-5310", "firstname": "Adele", "lastname": "L.", "email": "ada@example.com",
    }  # fmt: skip


def test_the_email_is_looked_for_before_the_phone(scene: Scene) -> None:
    scene.hubspot.add(phone=NUMBER)
    wanted = scene.hubspot.add(email="ada@example.com")
    scene.hubspot.requests += [("", "")] * 10
    scene.text("hello")
    learn(scene, emails=["ada@example.com"])
    synced(scene)
    assert scene.state()["contact_id"] == wanted


def test_a_number_of_another_country_is_somebody_else(scene: Scene) -> None:
    scene.hubspot.add(phone="+445558675310")
    scene.hubspot.requests += [("", "")] * 10
    scene.text("hello")
    assert synced(scene)["phone"] == NUMBER
    assert len(scene.hubspot.objects["contacts"]) == 2


def test_an_email_that_another_contact_has_is_not_written(scene: Scene) -> None:
    scene.text("hello")
    synced(scene)
    other = scene.hubspot.add(email="ada@example.com")
    contacts.change(
        scene.runtime, str(scene.contact()["_id"]), Changes(emails=["ada@example.com"], name="Ada"), by="ada"
    )
    assert synced(scene) | {"conversation_gateway_id": ""} == {
        "phone": NUMBER, "firstname": "Ada", "conversation_gateway_id": "",
    }  # fmt: skip
    assert other in scene.state()["note"]


def test_a_contact_that_was_deleted_there_is_made_anew(scene: Scene) -> None:
    scene.text("one")
    synced(scene)
    scene.hubspot.objects["contacts"].clear()
    scene.hubspot.associations.clear()
    scene.text("two")
    synced(scene)
    assert len(scene.hubspot.objects["contacts"]) == 1
    assert sorted(scene.hubspot.said()) == ["two", "two"]


def test_too_many_requests_let_the_whole_account_wait(scene: Scene) -> None:
    scene.text("one")
    scene.text("other", "+15550002222")
    ask(scene)
    ask(scene, "+15550002222")
    scene.hubspot.faults = [429]
    scene.work()
    asked = len(scene.hubspot.requests)
    assert asked == 1
    assert "no more requests" in scene.state()["error"]
    assert scene.work(seconds=5) == 0
    assert len(scene.hubspot.requests) == asked
    assert scene.work(seconds=3) == 2
    assert "error" not in scene.state()
    assert sorted(scene.hubspot.said()) == ["one", "one", "other", "other"]


@pytest.mark.parametrize(
    ("refused", "words"),
    [
        (Refused(401), "does not take the access token"),
        (
            Refused(403, errors=[{"context": {"requiredGranularScopes": ["crm.objects.contacts.write"]}}]),
            "lacks the scope crm.objects.contacts.write",
        ),
    ],
)
def test_what_somebody_must_do_is_said_and_found_to_be_done(scene: Scene, refused: Refused, words: str) -> None:
    scene.text("one")
    ask(scene)
    scene.hubspot.refuses["POST"] = refused
    scene.work()
    assert words in scene.state()["error"]
    found = standing.overview(scene.runtime)
    assert found
    assert (found.failing, found.waiting) == (1, 1)
    assert words in found.held_for
    scene.hubspot.refuses.clear()
    scene.work(minutes=11)
    assert sorted(scene.hubspot.said()) == ["one", "one"]
    assert scene.contact().keys().isdisjoint({"crm_error_at"})


def test_what_is_refused_for_good_is_shown_and_tried_when_the_next_session_ends(scene: Scene) -> None:
    scene.text("one")
    ask(scene)
    message = '[{"isValid":false,"message":"ada@x is wrong","error":"INVALID_EMAIL","name":"email"}]'
    scene.hubspot.refuses["POST /crm/objects/2026-09/contacts"] = Refused(400, message, "VALIDATION_ERROR")
    scene.work()
    assert scene.waiting(state="failed") == 1
    assert "INVALID_EMAIL" in scene.state()["error"]
    assert "ada@x" not in str(scene.contact())
    scene.hubspot.refuses.clear()
    scene.text("two")
    scene.close_all()
    scene.work()
    assert sorted(scene.hubspot.said()) == ["one", "one", "two", "two"]
    assert "error" not in scene.state()


def test_one_synchronisation_an_interval_and_the_last_one_runs(make_scene: Any) -> None:
    scene = make_scene(crm={"min_interval_seconds": 60})
    scene.text("one")
    synced(scene)
    for word in ("two", "three"):
        scene.text(word)
        ask(scene)
        assert scene.work(seconds=10) == 0
    assert scene.work(seconds=45) == 1
    assert sorted(scene.hubspot.said()) == sorted(["one", "two", "three"] * 2)


def test_more_that_is_wanted_while_a_worker_is_at_it_is_not_lost(scene: Scene, monkeypatch: pytest.MonkeyPatch) -> None:
    scene.text("one")
    ask(scene)
    tell = push.push

    def slow(*args: Any) -> Any:
        told = tell(*args)
        monkeypatch.setattr(push, "push", tell)
        scene.text("two")
        ask(scene)
        return told

    monkeypatch.setattr(push, "push", slow)
    scene.work(seconds=1)
    assert sorted(scene.hubspot.said()) == ["one", "one", "two", "two"]


def test_somebody_whom_nothing_names_is_left_out_until_something_does(scene: Scene) -> None:
    scene.text("one", "messenger:12345")
    contact = scene.db.contacts.find_one()
    queue.ask(scene.runtime, str(contact["_id"]), by="ada")
    scene.work()
    assert not scene.hubspot.objects["contacts"]
    assert "Neither an e-mail nor a phone" in scene.db.contacts.find_one()["crm"]["hubspot"]["skipped"]
    contacts.change(scene.runtime, str(contact["_id"]), Changes(emails=["ada@example.com"]), by="ada")
    scene.text("two", "messenger:12345")
    scene.close_all()
    scene.work()
    assert sorted(scene.hubspot.said()) == ["one", "one", "two", "two"]


def test_a_number_that_many_write_by_finds_nobody_there_and_is_nobodys(make_scene: Any) -> None:
    scene = make_scene(contacts={"shared": [NUMBER]})
    scene.hubspot.add(phone=NUMBER, firstname="Somebody", lastname="Else")
    scene.text("one")
    ask(scene)
    scene.work()
    assert "Neither an e-mail nor a phone" in scene.state()["skipped"]
    learn(scene, emails=["ada@example.com"])
    scene.text("two")
    ask(scene)
    scene.work()
    assert [made["properties"].get("phone") for made in scene.hubspot.objects["contacts"].values()] == [NUMBER, None]


def test_merged_contacts_are_merged_there_and_who_is_parted_gets_a_contact_of_their_own(scene: Scene) -> None:
    other = "+15550002222"
    for number in (NUMBER, other):
        scene.text(f"from {number}", number)
        synced(scene, number)
    one, two = (str(scene.contact(number)["_id"]) for number in (NUMBER, other))
    with scene.following():
        merging.merge(scene.runtime, one, two, by="ada")
        wait_for(scene.waiting)
    scene.hubspot.faults = ["lose"] * 8
    for _ in range(10):
        scene.work(minutes=5)
    (merged,) = scene.hubspot.objects["contacts"]
    assert scene.state()["contact_id"] == merged
    assert len(scene.hubspot.of(merged)) == 2
    with scene.following():
        merging.unmerge(scene.runtime, two, by="ada")
        wait_for(lambda: scene.waiting() == 2)
    scene.work()
    scene.text("later", other)
    synced(scene, other)
    assert scene.state(other)["contact_id"] != merged
    assert len(scene.hubspot.objects["contacts"]) == 2
    assert [Counter(scene.hubspot.said())[one] for one in ("later", f"from {NUMBER}")] == [2, 2]


def test_who_was_parted_never_gets_the_other_ones_contact_however_it_is_merged_further(scene: Scene) -> None:
    other, third = "+15550002222", "+15550003333"
    for number in (NUMBER, other, third):
        scene.text("hi", number)
    one, two, three = (str(scene.contact(number)["_id"]) for number in (NUMBER, other, third))
    contacts.change(scene.runtime, two, Changes(emails=["two@example.com"]), by="ada")
    for number in (NUMBER, other, third):
        synced(scene, number)
    merging.merge(scene.runtime, one, two, by="ada")
    synced(scene)
    merging.unmerge(scene.runtime, two, by="ada")
    merging.merge(scene.runtime, one, three, by="ada")
    synced(scene)
    scene.text("mine", other)
    # HubSpot keeps their e-mail with the contact that they were merged into.
    assert synced(scene, other)["phone"] == other
    assert "another contact there has it" in scene.state(other)["note"]
    assert scene.state(other)["contact_id"] != scene.state()["contact_id"]
    assert len(scene.hubspot.of(scene.state(other)["contact_id"])) == 1
    assert Counter(scene.hubspot.said()) == {"hi": 6, "mine": 2}


def test_a_merge_that_is_refused_there_is_said_and_costs_no_message(scene: Scene) -> None:
    other = "+15550002222"
    for number in (NUMBER, other):
        scene.text("hi", number)
        synced(scene, number)
    one, two = (str(scene.contact(number)["_id"]) for number in (NUMBER, other))
    scene.hubspot.refuses["contacts/merge"] = Refused(400, "too many merges", "VALIDATION_ERROR")
    merging.merge(scene.runtime, one, two, by="ada")
    scene.text("more", other)
    synced(scene)
    assert "did not merge" in scene.state()["merge_error"]
    assert Counter(scene.hubspot.said()) == {"hi": 4, "more": 2}


def test_what_was_told_of_somebody_who_is_forgotten_is_deleted_there(scene: Scene) -> None:
    scene.text("forget me")
    scene.text("not me", "+15550002222")
    synced(scene)
    contact = scene.state()["contact_id"]
    synced(scene, "+15550002222")
    scene.text("and this")
    scene.hubspot.faults = [None, "lose"]  # of the second entry nobody knows whether it is there
    ask(scene)
    scene.work()
    assert len(scene.hubspot.of(contact)) + len(scene.hubspot.objects["communications"]) >= 3
    forget.forget(scene.runtime, NUMBER, wait=lambda seconds: scene.move(seconds=seconds))
    scene.hubspot.faults = [503]
    for _ in range(3):
        scene.work(minutes=1)
    assert scene.hubspot.of(contact) == []
    assert contact in scene.hubspot.objects["contacts"]
    assert sorted(scene.hubspot.said()) == ["not me", "not me"]
    assert scene.db.crm_entries.count_documents({}) == 1
    assert scene.db.outbox.count_documents({"step": "crm", "state": "waiting"}) == 0


def test_each_try_is_counted_and_logged_without_words_or_numbers(scene: Scene) -> None:
    def counted(outcome: str) -> float:
        return metrics.CRM_SYNCS.labels(outcome)._value.get()

    before = {outcome: counted(outcome) for outcome in (sync.SYNCED, sync.RETRIED)}
    scene.text("a secret")
    ask(scene)
    scene.hubspot.faults = [500]
    with structlog.testing.capture_logs() as logs:
        scene.work()
        scene.work(minutes=1)
    assert {outcome: counted(outcome) - before[outcome] for outcome in before} == {sync.SYNCED: 1, sync.RETRIED: 1}
    assert [line["event"] for line in logs] == ["crm_failed", "crm_synced"]
    assert logs[1]["messages"] == 2
    assert not [word for word in ("secret", "8675310", "pat-test") if word in str(logs)]
