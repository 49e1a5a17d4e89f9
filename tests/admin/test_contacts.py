"""The person beside a session: merged with another and parted, opted out by hand, reached by e-mail."""

import re

import pytest

from gateway.conversation import claims
from gateway.store import users
from tests.admin.conftest import PASSWORD, Console
from tests.conftest import TEN

ADA, BOB, LINE = "+15558675310", "+15558675399", "+15017122661"


@pytest.fixture
def two(twilio, session_id, clock):
    """The sessions of two people, the second's last."""
    twilio.sms("Hello", From=ADA)
    first = session_id()
    clock.tick(60)
    twilio.sms("Hello", From=BOB)
    return first, session_id()


def act(console, session, deed, **fields):
    answer = console.post(f"/admin/sessions/{session}/contact/{deed}", form_on=f"/admin/sessions/{session}", **fields)
    assert answer.status_code == 302, answer.text
    return console.page(f"/admin/sessions/{session}")


def contact(db, number):
    return str(db.contacts.find_one({"phones": number})["_id"])


def test_two_are_merged_by_searching_and_parted_beside_the_session(console, two, db):
    session = two[0]
    search = f"/admin/sessions/{session}/contact/merge"
    assert f'href="{search}"' in console.page(f"/admin/sessions/{session}")
    proved = {"emails": ["bob@example.com"], "external_ids": ["email:bob@example.com"]}
    db.contacts.update_one({"phones": BOB}, {"$set": proved})
    found = console.page(f"{search}?who=%2B1555867")
    assert found.count("bob@example.com") == 1, "an address that was proved in a chat is named once"
    assert re.findall(r'name="with" value="(\w+)"', found) == [contact(db, BOB)]
    assert "Nobody else is known as" in console.page(f"{search}?who=%2B4930")
    merged = act(console, session, "merge", **{"with": contact(db, BOB)})
    assert BOB in merged
    assert "Also <bdi>+15558675399" in merged
    assert "Their sessions" in merged
    assert console.page(f"/admin/sessions/{two[1]}").count("Also <bdi>") == 1
    parted = act(console, session, "unmerge", contact=contact(db, BOB))
    assert "Also <bdi>" not in parted
    assert "Their sessions" not in parted
    assert [entry["by"] for entry in db.audit.find({"action": {"$regex": "merged$"}})] == ["admin"] * 2


def test_what_cannot_be_merged_is_said_on_the_page(console, two, db):
    at = {"form_on": f"/admin/sessions/{two[0]}"}
    where = f"/admin/sessions/{two[0]}/contact"
    refused = console.post(f"{where}/merge", **at, **{"with": contact(db, ADA)})
    assert (refused.status_code, "same contact" in refused.text) == (409, True)
    assert console.post(f"{where}/merge", **at, **{"with": "nonsense"}).status_code == 404
    assert console.post(f"{where}/emails", **at, emails="nobody").status_code == 409
    act(console, two[1], "emails", emails="ada@example.com")
    merged = act(console, two[0], "emails", emails="ada@example.com")
    assert "one person from here on" in merged
    act(console, two[0], "unmerge", contact=contact(db, BOB))
    taken = console.post(f"{where}/emails", **at, emails="ada@example.com")
    assert (taken.status_code, "merge the two" in taken.text) == (409, True)


def test_what_somebody_says_of_themselves_is_shown_with_whose_it_is_and_decided_on(console, two, db, app):
    act(console, two[0], "emails", emails="ada@example.com")
    runtime, bob = app.extensions["gateway"], contact(db, BOB)
    said = {"email": "ada@example.com", "name": "<b>Bob</b>", "phone": "12"}
    claims.typed(runtime, bob, **said, session_id=two[1], source="flow:callback")
    page = console.page(f"/admin/sessions/{two[1]}")
    assert "Says their e-mail is" in page
    assert f"It is known as <bdi>{ADA}" in page.replace("&#43;", "+")
    assert "<b>Bob</b>" not in page
    (claim,) = db.contacts.find_one({"phones": BOB})["claims"]
    refused = console.post(
        f"/admin/sessions/{two[1]}/contact/claims/{claim['id']}/confirm", form_on=f"/admin/sessions/{two[1]}"
    )
    assert (refused.status_code, "Look again" in refused.text) == (409, True)  # it was not said whom with
    merged = act(console, two[1], f"claims/{claim['id']}/confirm", **{"with": contact(db, ADA)})
    assert "one person from here on" in merged
    assert "Says their e-mail is" not in merged
    claims.typed(runtime, bob, email="b@example.com", session_id=two[1], source="flow:callback")
    (claim,) = [one for row in db.contacts.find() for one in row.get("claims", ()) if one["value"] == "b@example.com"]
    assert "Dismissed" in act(console, two[1], f"claims/{claim['id']}/dismiss")
    gone = console.post(
        f"/admin/sessions/{two[1]}/contact/claims/{'f' * 24}/dismiss", form_on=f"/admin/sessions/{two[1]}"
    )
    assert gone.status_code == 404


def test_somebody_is_opted_out_by_hand_and_in_again(console, two, db, twilio):
    out = act(console, two[0], "opt-out", line=LINE)
    assert "Opted out</span> of <bdi>+15017122661" in out
    assert "<Message" not in twilio.sms("Hello?", From=ADA).text
    back = act(console, two[0], "opt-in", line=LINE)
    assert "Opted out</span>" not in back
    assert "<Message" in twilio.sms("Hello?", From=ADA).text


def test_e_mails_are_kept_as_they_are_written_by_their_servers(console, two, db):
    shown = act(console, two[0], "emails", emails="Ada@Example.COM, b@example.com")
    assert 'href="mailto:ada@example.com"' in shown
    assert db.contacts.find_one({"phones": ADA})["emails"] == ["ada@example.com", "b@example.com"]
    act(console, two[0], "emails", emails="")
    assert "emails" not in db.contacts.find_one({"phones": ADA})


def test_who_is_limited_to_channels_opts_out_of_those_and_merges_nobody(app, two, db, twilio):
    twilio.whatsapp("Hi", From=f"whatsapp:{ADA}", WaId=ADA[1:])
    users.add("eve", PASSWORD, TEN, role="agent", channels=["sms:+15017122661"])
    eve = Console(app.test_client())
    eve.log_in(name="eve")
    page = eve.page(f"/admin/sessions/{two[0]}")
    assert "Merge with another" not in page
    assert "+14155238886" not in page
    at = {"form_on": f"/admin/sessions/{two[0]}"}
    where = f"/admin/sessions/{two[0]}/contact"
    assert eve.get(f"{where}/merge?who=%2B1").status_code == 403
    assert eve.post(f"{where}/merge", **at, **{"with": contact(db, BOB)}).status_code == 403
    assert eve.post(f"{where}/unmerge", **at, contact=contact(db, ADA)).status_code == 403
    assert eve.post(f"{where}/emails", **at, emails="a@example.com").status_code == 403
    assert eve.post(f"{where}/opt-out", **at, line="+14155238886").status_code == 409
    act(eve, two[0], "opt-out", line="all")
    assert set(db.contacts.find_one({"phones": ADA})["opted_out"]) == {LINE}


def test_a_viewer_reads_and_does_nothing(app, two, db):
    users.add("vic", PASSWORD, TEN, role="viewer")
    vic = Console(app.test_client())
    vic.log_in(name="vic")
    page = vic.page(f"/admin/sessions/{two[0]}")
    for words in ("Merge with another", "Opt out by hand", "Add an e-mail"):
        assert words not in page
    assert vic.get(f"/admin/sessions/{two[0]}/contact/merge").status_code == 403


def test_what_was_said_reads_as_one_history_over_channels_and_merged_contacts(console, two, db, twilio, clock):
    clock.tick(60)
    twilio.whatsapp("By WhatsApp", From=f"whatsapp:{ADA}", WaId=ADA[1:])
    clock.tick(60)
    twilio.sms("Later, from the other number", From=BOB)
    act(console, two[0], "merge", **{"with": contact(db, BOB)})
    shown = console.page(f"/admin/contacts/{contact(db, BOB)}/history")
    said = ["Hello", "Hello", "By WhatsApp", "Later, from the other number"]
    theirs = [words for words in re.findall(r'<p class="text" dir="auto">([^<]*)</p>', shown) if words in said]
    assert theirs[::2] == said  # each with echo's answer behind it
    for session in db.sessions.find():
        assert f'href="/admin/sessions/{session["_id"]}"' in shown
    for wrong in ("f" * 24, "nonsense"):
        assert console.get(f"/admin/contacts/{wrong}/history").status_code == 404
    assert console.get(f"/admin/contacts/{contact(db, ADA)}/history?before=nonsense").status_code == 200


def test_a_long_history_is_read_in_pages(console, two, db):
    session = db.sessions.find_one()
    db.messages.insert_many(
        {"_id": f"m{number:03}", "session_id": session["_id"], "direction": "inbound", "createdAt": TEN,
         "content": f"number {number:03}", "channel_id": session["channel_id"]}
        for number in range(130)
    )  # fmt: skip
    where, seen = f"/admin/contacts/{session['contact_id']}/history", []
    while where:
        page = console.page(where)
        seen = re.findall(r"number (\d{3})", page) + seen
        found = re.search(r'class="older" href="([^"]+)"', page)
        where = found[1].replace("&amp;", "&") if found else ""
    assert seen == [f"{number:03}" for number in range(130)]
