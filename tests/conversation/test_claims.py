"""What people say of themselves leads to nobody's history until somebody confirms it."""

import pytest

from gateway.channels.chat import ChatUser
from gateway.conversation import chat
from gateway.conversation.claims import NoClaim, confirm, dismiss, typed
from gateway.conversation.merging import CannotMerge, NotForThem, merge, unmerge
from gateway.store import claims as kept
from gateway.store import people
from tests.conversation.test_merging import ADA, BOB, Scene

ADDRESS, SITE = "ada@example.com", frozenset({"chat:web"})


@pytest.fixture
def make_scene(make_app, clock, live_db):
    """Ada, whose address an operator wrote down, and Bob, of whom only his number is known."""

    def make(**given):
        scene = Scene(make_app(**given), clock, live_db)
        scene.says(ADA)
        scene.says(BOB)
        contact = {"emails": [ADDRESS], "identifiers": [ADA, f"email:{ADDRESS}"]}
        live_db.contacts.update_one({"phones": ADA}, {"$set": contact})
        return scene

    return make


@pytest.fixture
def scene(make_scene):
    return make_scene()


def says(scene, number=BOB, **said):
    session_id = str(scene.session(number)["_id"])
    typed(scene.runtime, scene.id(number), session_id=session_id, source="flow:callback", **said)


def claimed(scene, number=BOB):
    return [(one.field, one.value) for one in people.get(scene.id(number)).claims]


def are_one(scene):
    return people.get(scene.id(ADA)).id == people.get(scene.id(BOB)).id


def the_claim(scene, number=BOB):
    (one,) = people.get(scene.id(number)).claims
    return one


def test_what_is_typed_is_kept_once_and_links_nothing(scene):
    for address in (ADDRESS, " Ada@Example.com ", ADDRESS):
        says(scene, name=" Bob  Builder ", email=address, phone="(555) 867-5310")
    assert sorted(claimed(scene)) == [("email", ADDRESS), ("phone", ADA)]
    assert not are_one(scene)
    person = people.get(scene.id(BOB))
    assert (person.name, person.emails, person.phones) == ("Bob Builder", (), (BOB,))
    assert {one.source for one in person.claims} == {"flow:callback"}
    says(scene, name="Robert")  # another name than the one there is stays a claim
    assert ("name", "Robert") in claimed(scene)


def test_what_is_none_or_known_already_is_no_claim(scene):
    says(scene, email="nonsense", phone="12345")
    says(scene, phone="+266696687")
    says(scene, phone=BOB)
    says(scene, ADA, email=ADDRESS)
    assert claimed(scene) == claimed(scene, ADA) == []
    typed(scene.runtime, "f" * 24, email=ADDRESS, session_id="", source="chat")


def test_only_so_many_are_kept(scene):
    for number in range(kept.MOST + 5):
        says(scene, email=f"{number}@example.com")
    assert len(claimed(scene)) == kept.MOST
    assert ("email", f"{kept.MOST + 4}@example.com") in claimed(scene)


def test_confirming_gives_what_nobody_has_and_merges_with_whoever_has_it(scene):
    says(scene, email="bob@example.com")
    confirm(scene.runtime, scene.id(BOB), the_claim(scene).id, by="eve", expected="")
    assert people.get(scene.id(BOB)).emails == ("bob@example.com",)
    says(scene, email=ADDRESS)
    claim = the_claim(scene)
    assert kept.holders([claim])[claim.id].id == scene.id(ADA)
    with pytest.raises(CannotMerge, match="Look again"):
        confirm(scene.runtime, scene.id(BOB), claim.id, by="eve", expected="")
    assert not are_one(scene)
    confirm(scene.runtime, scene.id(BOB), claim.id, by="eve", expected=scene.id(ADA))
    assert are_one(scene)
    assert claimed(scene) == []
    told = [(one["by"], one["action"]) for one in scene.db.audit.find()]
    assert told == [("eve", "claim_confirmed"), ("eve", "contacts_merged"), ("eve", "claim_confirmed")]
    assert ADDRESS not in str(list(scene.db.audit.find()))
    unmerge(scene.runtime, scene.id(BOB), by="eve")
    assert people.get(scene.id(BOB)).emails == ("bob@example.com",)
    with pytest.raises(NoClaim):
        confirm(scene.runtime, scene.id(BOB), claim.id, by="eve")


def test_what_was_dismissed_is_not_asked_again(scene):
    says(scene, email=ADDRESS)
    claim = the_claim(scene)
    dismiss(scene.runtime, scene.id(BOB), claim.id, by="eve")
    says(scene, email=ADDRESS)
    assert claimed(scene) == []
    for decide in (confirm, dismiss):
        with pytest.raises(NoClaim):
            decide(scene.runtime, scene.id(BOB), claim.id, by="eve")


def test_a_claim_of_either_is_theirs_when_they_are_merged(scene):
    says(scene, email="bob@example.com")
    merge(scene.runtime, scene.id(ADA), scene.id(BOB), by="eve")
    assert claimed(scene, ADA) == [("email", "bob@example.com")]
    confirm(scene.runtime, scene.id(ADA), the_claim(scene, ADA).id, by="eve")
    assert set(people.get(scene.id(ADA)).emails) == {ADDRESS, "bob@example.com"}


def test_whoever_is_limited_to_channels_confirms_nothing_and_sees_what_was_said_there(scene):
    says(scene, email=ADDRESS)
    mine, others = ["sms:+15017122661"], ["whatsapp:+14155238886"]
    person = people.get(scene.id(BOB))
    assert len(people.as_seen(person, mine).claims) == 1
    assert people.as_seen(person, others).claims == ()
    with pytest.raises(NotForThem):
        confirm(scene.runtime, person.id, the_claim(scene).id, by="eve", channels=mine)
    with pytest.raises(NoClaim):
        dismiss(scene.runtime, person.id, the_claim(scene).id, by="eve", channels=others)
    dismiss(scene.runtime, person.id, the_claim(scene).id, by="eve", channels=mine)


# contacts.trust_claims


def test_what_is_trusted_links_at_once_and_an_undone_merge_stays_undone(make_scene):
    scene = make_scene(contacts={"trust_claims": True})
    says(scene, email="bob@example.com")
    assert people.get(scene.id(BOB)).emails == ("bob@example.com",)
    for _ in range(2):
        says(scene, email=ADDRESS)
        assert are_one(scene)
    (entry,) = scene.db.audit.find({"action": "contacts_merged"})
    assert (entry["by"], entry["details"]["reason"]) == ("gateway", "claim_trusted")
    unmerge(scene.runtime, scene.id(BOB), by="eve")
    says(scene, email=ADDRESS)
    assert not are_one(scene)
    assert claimed(scene) == [("email", ADDRESS)]  # an agent may still confirm it


@pytest.mark.parametrize("trusted", [True, False])
def test_what_many_people_write_by_links_nobody_even_where_claims_are_trusted(make_scene, trusted):
    scene = make_scene(contacts={"trust_claims": trusted, "shared": ADDRESS})
    says(scene, email=ADDRESS)
    assert not are_one(scene)
    with pytest.raises(CannotMerge, match="Many people"):
        confirm(scene.runtime, scene.id(BOB), the_claim(scene).id, by="eve")


# What a website may prove


def test_a_site_that_does_not_see_a_contact_proves_nothing_of_it(scene):
    alice = ChatUser("web", "alice", email=ADDRESS)
    taken = chat.proved(scene.runtime, alice, SITE)
    assert (taken.email, taken.claimed_email) == ("", ADDRESS)
    assert chat.proved(scene.runtime, alice, None) == alice
    nobody = ChatUser("web", "alice", email="nobody@example.com")
    assert chat.proved(scene.runtime, nobody, SITE) == nobody
    scene.db.sessions.update_one({"_id": scene.session(ADA)["_id"]}, {"$set": {"channel_id": "chat:web"}})
    assert chat.proved(scene.runtime, alice, SITE) == alice


def test_a_shared_address_is_nobodys_in_a_chat(make_scene):
    scene = make_scene(contacts={"shared": ADDRESS})
    taken = chat.proved(scene.runtime, ChatUser("web", "alice", email=ADDRESS), None)
    assert (taken.email, taken.claimed_email) == ("", "")
