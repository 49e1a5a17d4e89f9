"""Split, merge and undo in the console: what the pages offer, to whom, and where the forms lead."""

import re

import pytest
from bson import ObjectId

from gateway.store import users
from tests.admin.conftest import PASSWORD, Console
from tests.conftest import TEN
from tests.conversation.test_regroup import sid

UNDO = re.compile(r'action="(/admin/regroupings/[0-9a-f]{32}/undo)"')


@pytest.fixture
def talked(twilio, clock):
    for number, minute in enumerate((0, 1, 30, 31)):
        clock.move_to(minutes=minute)
        twilio.sms(MessageSid=sid(number))


@pytest.fixture
def ids(db, talked):
    """The earlier session and the later one."""
    return [str(one["_id"]) for one in db.sessions.find({}, sort=[("first_message_at", 1)])]


def page_of(session_id):
    return f"/admin/sessions/{session_id}"


def split(console, session_id, number=3, **more):
    where = page_of(session_id)
    return console.post(f"{where}/split", form_on=where, message_id=sid(number), **more)


def test_each_message_that_came_in_but_the_first_can_be_split_at(console, ids):
    page = console.page(page_of(ids[1]))
    assert re.findall(r'name="message_id" value="([^"]+)"', page) == [sid(3)]


def test_only_a_session_with_one_before_can_be_merged(console, ids):
    offers = ["Merge with the previous session" in console.page(page_of(one)) for one in ids]
    assert offers == [False, True]


def test_a_split_leads_to_the_new_session_that_says_so_and_can_be_undone(console, db, ids):
    answer = split(console, ids[1])
    page = console.page(answer.location)
    assert answer.location not in map(page_of, ids)
    assert "Split off from" in page
    assert page.count("moved here by admin") == 1
    assert "What followed was split off into" in console.page(page_of(ids[1]))
    undone = console.post(UNDO.search(page)[1], form_on=answer.location)
    assert undone.location == page_of(ids[1])
    assert "moved here" not in console.page(undone.location)


def test_a_merge_leads_to_the_session_before_and_the_merged_one_leads_there_too(console, ids):
    answer = console.post(f"{page_of(ids[1])}/merge", form_on=page_of(ids[1]))
    assert answer.location == page_of(ids[0])
    page = console.page(answer.location)
    assert "merged into it" in page
    led = console.get(page_of(ids[1]))
    assert (led.status_code, led.location) == (307, page_of(ids[0]))
    assert console.page().count("SMS from") == 1
    undone = console.post(UNDO.search(page)[1], form_on=answer.location)
    assert undone.location == page_of(ids[1])
    assert console.page().count("SMS from") == 2


def test_what_was_written_on_the_page_of_a_merged_session_is_sent_all_the_same(console, ids):
    console.post(f"{page_of(ids[1])}/merge", form_on=page_of(ids[1]))
    sent = console.client.post(f"{page_of(ids[1])}/messages", data={"csrf_token": "x"})
    assert sent.status_code == 400
    sent = console.post(f"{page_of(ids[1])}/messages", form_on=page_of(ids[0]), text="Hello")
    assert (sent.status_code, sent.location) == (307, f"{page_of(ids[0])}/messages")


def test_the_same_form_sent_twice_splits_once(console, db, ids):
    one, two = (split(console, ids[1], token="b" * 32) for _ in range(2))
    assert one.location == two.location
    assert db.sessions.count_documents({}) == 3


def test_what_cannot_be_done_says_why(console, ids):
    refused = split(console, ids[1], number=2)
    assert refused.status_code == 409
    assert "nothing to split off" in refused.text
    assert split(console, ids[1], number=99).status_code == 404


class TestAccess:
    @pytest.fixture
    def log_in(self, app, console):
        def as_(role, channels=None):
            name = f"{role}-{len(channels or ())}"
            users.add(name, PASSWORD, TEN, role=role, channels=channels)
            somebody = Console(app.test_client())
            assert somebody.log_in(name=name).status_code == 302
            return somebody

        return as_

    def posts(self, ids, regrouping):
        later = page_of(ids[1])
        return [
            (f"{later}/split", {"message_id": sid(3)}),
            (f"{later}/merge", {}),
            (f"/admin/regroupings/{regrouping}/undo", {}),
        ]

    @pytest.mark.parametrize(("role", "channels", "status"), [("viewer", None, 403), ("agent", ["elsewhere"], 404)])
    def test_who_may_not_or_sees_none_of_it_changes_nothing(self, console, db, log_in, ids, role, channels, status):
        done = console.post(f"{page_of(ids[1])}/merge", form_on=page_of(ids[1]))
        regrouping = db.regroupings.find_one()["_id"]
        console.post(f"/admin/regroupings/{regrouping}/undo", form_on=done.location)
        split(console, ids[1])
        (held,) = db.regroupings.find({"state": "done"})
        before = list(db.messages.find({}, {"session_id": 1}))
        somebody = log_in(role, channels)
        for path, fields in self.posts(ids, held["_id"]):
            assert somebody.post(path, form_on="/admin/", **fields).status_code == status, path
        assert list(db.messages.find({}, {"session_id": 1})) == before
        assert db.regroupings.count_documents({}) == 2

    def test_a_viewer_reads_what_was_done_and_is_offered_nothing(self, console, log_in, ids):
        done = split(console, ids[1])
        page = log_in("viewer").page(done.location)
        assert "Split off from" in page
        assert "Split here" not in page
        assert "Undo" not in page
        assert "Merge with" not in page

    def test_of_a_session_on_another_channel_nothing_is_said(self, console, db, log_in, ids):
        console.post(f"{page_of(ids[1])}/merge", form_on=page_of(ids[1]))
        db.regroupings.update_one({}, {"$push": {"channel_id": "secret"}})
        agent = log_in("agent", [db.sessions.find_one({"status": "active"})["channel_id"]])
        assert "merged into it" not in agent.page(page_of(ids[0]))

    def test_a_session_before_on_another_channel_is_not_offered(self, db, log_in, ids):
        mine = db.sessions.find_one({"status": "active"})["channel_id"]
        db.sessions.update_one({"_id": ObjectId(ids[0])}, {"$set": {"channel_id": "secret"}})
        page = log_in("agent", [mine]).page(page_of(ids[1]))
        assert ids[0] not in page
        assert "Merge with" not in page


def test_every_query_of_the_page_has_an_index(db, ids):
    one = db.sessions.find_one()["_id"]
    plan = db.regroupings.find({"$or": [{"earlier": {"$in": [one]}}, {"later": {"$in": [one]}}]}).explain()
    assert "COLLSCAN" not in str(plan["queryPlanner"]["winningPlan"])
    for query in (
        {"busy": {"$exists": True}, "lease": {"$lte": TEN}},
        {"unsettled": {"$exists": True}, "busy": {"$exists": False}},
    ):
        assert "COLLSCAN" not in str(db.regroupings.find(query).explain()["queryPlanner"]["winningPlan"])


def test_what_is_asked_of_a_merged_session_is_asked_of_the_one_it_is_in(console, db, ids):
    console.post(f"{page_of(ids[1])}/merge", form_on=page_of(ids[1]))
    for path in ("print", "export.csv", "export.jsonl"):
        answer = console.get(f"{page_of(ids[1])}/{path}")
        assert (answer.status_code, answer.location) == (307, f"{page_of(ids[0])}/{path}")
    for path in ("assign", "unread", "seen"):
        answer = console.post(f"{page_of(ids[1])}/{path}", form_on=page_of(ids[0]), to="admin")
        assert (answer.status_code, answer.location) == (307, f"{page_of(ids[0])}/{path}")


def test_after_an_undo_the_list_is_as_it_was(console, ids):
    done = split(console, ids[1])
    query = "?status=active&tag=vip"
    undo = re.search(r'action="(/admin/regroupings/[^"]+)"', console.page(done.location + query))[1]
    undone = console.post(undo.replace("&amp;", "&"), form_on=done.location)
    assert undone.location == page_of(ids[1]) + query
