"""Sessions to take along: what is in the files, who gets which, and what a file says that was cut off."""

import csv
import io
import json

import pytest
from bson import ObjectId

from gateway.conversation import export
from gateway.core.errors import StoreUnavailable
from gateway.store import exporting, users
from tests.admin.conftest import PASSWORD, Console
from tests.conftest import TEN

OTHER_LINE = "+15017122662"


def lines(answer):
    assert answer.status_code == 200, answer.text
    return [json.loads(line) for line in answer.get_data().splitlines()]


def cells(answer):
    assert answer.status_code == 200, answer.text
    return list(csv.DictReader(io.StringIO(answer.get_data().decode("utf-8-sig"), newline="")))


@pytest.fixture
def filled(twilio, clock):
    twilio.sms("=HYPERLINK(1)")
    clock.move_to(minutes=1)
    twilio.whatsapp("مرحبا")
    clock.move_to(minutes=2)
    twilio.sms("Hello", To=OTHER_LINE)


@pytest.fixture
def log_in_as(app):
    """Log in somebody who is limited to channels."""

    def log_in(name, channels):
        users.add(name, PASSWORD, TEN, role="viewer", channels=channels)
        console = Console(app.test_client())
        assert console.log_in(name=name).status_code == 302
        return console

    return log_in


def test_a_session_as_jsonl_names_its_layout_and_ends_with_its_count(console, filled, db):
    session = db.sessions.find_one({"communication_type": "whatsapp"})
    answer = console.get(f"/admin/sessions/{session['_id']}/export.jsonl")
    assert answer.headers["Content-Type"] == "application/jsonl; charset=utf-8"
    assert answer.headers["Content-Disposition"].startswith(f'attachment; filename="session-{session["_id"]}-2026')
    head, first, *said, end = lines(answer)
    assert (head["layout"], head["version"], head["exported_at"]) == ("gateway", 2, "2026-03-01T10:02:00Z")
    assert head["filter"] == {"session_id": str(session["_id"])}
    assert first["session"]["_id"] == str(session["_id"])
    assert first["session"]["last_message_at"] == "2026-03-01T10:01:00Z"
    assert [line["message"]["content"] for line in said] == ["مرحبا", "مرحبا"]
    assert {line["message"]["session_id"] for line in said} == {str(session["_id"])}
    assert said[0]["message"]["decision"]["kind"] == "created"
    assert end == {"end": {"sessions": 1, "messages": 2}}


def test_what_keeps_races_apart_is_not_exported(console, filled):
    for line in lines(console.get("/admin/export.jsonl")):
        assert not {"open_keys", "slot", "opening", "live"} & set(line.get("session", ()))
        assert "answer" not in line.get("message", ())


def test_a_list_is_exported_as_it_is_filtered_and_in_its_order(console, filled):
    sessions = [line["session"] for line in lines(console.get("/admin/export.jsonl")) if "session" in line]
    assert [session["communication_type"] for session in sessions] == ["sms", "whatsapp", "sms"]
    assert sessions[0]["metadata"]["toNumber"] == OTHER_LINE
    some = lines(console.get("/admin/export.jsonl?type=whatsapp"))
    assert some[0]["filter"] == {"communication_type": "whatsapp"}
    assert some[-1] == {"end": {"sessions": 1, "messages": 2}}


def test_sessions_with_many_messages_are_read_one_by_one_and_come_out_the_same(console, filled, monkeypatch):
    together = lines(console.get("/admin/export.jsonl"))
    monkeypatch.setattr(exporting, "_TOGETHER", 2)
    assert lines(console.get("/admin/export.jsonl")) == together
    assert [next(iter(line)) for line in together[1:-1]] == ["session", "message", "message"] * 3


def test_csv_has_a_line_for_each_message_and_no_formula(console, filled):
    answer = console.get("/admin/export.csv?type=sms")
    assert answer.headers["Content-Type"] == "text/csv; charset=utf-8"
    rows = cells(answer)
    assert [row["content"] for row in rows] == ["Hello", "Hello", "'=HYPERLINK(1)", "'=HYPERLINK(1)"]
    assert {row["fromNumber"] for row in rows} == {"'+15558675310"}
    assert (rows[2]["createdAt"], rows[2]["direction"], rows[2]["decision"]) == (
        "2026-03-01T10:00:00Z",
        "inbound",
        "created",
    )


def test_who_is_limited_to_a_channel_gets_nothing_of_others(filled, log_in_as, db):
    agent = log_in_as("ada", [f"sms:{OTHER_LINE}"])
    for line in lines(agent.get("/admin/export.jsonl"))[1:-1]:
        assert next(iter(line.values()))["channel_id"] == f"sms:{OTHER_LINE}"
    assert lines(agent.get("/admin/export.jsonl"))[-1] == {"end": {"sessions": 1, "messages": 2}}
    assert len(cells(agent.get("/admin/export.csv"))) == 2
    hidden = db.sessions.find_one({"communication_type": "whatsapp"})["_id"]
    for path in ("export.jsonl", "export.csv", "print"):
        assert agent.get(f"/admin/sessions/{hidden}/{path}").status_code == 404


def test_messages_of_a_channel_that_is_hidden_stay_out_of_a_session_that_is_seen(filled, log_in_as, db):
    seen = db.sessions.find_one({"channel_id": f"sms:{OTHER_LINE}"})["_id"]
    db.messages.update_one({"session_id": seen, "direction": "outbound"}, {"$set": {"channel_id": "sms:secret"}})
    agent = log_in_as("ada", [f"sms:{OTHER_LINE}"])
    assert lines(agent.get(f"/admin/sessions/{seen}/export.jsonl"))[-1]["end"]["messages"] == 1
    assert agent.page(f"/admin/sessions/{seen}/print").count("<article") == 1


def test_a_limited_export_names_neither_sessions_nor_lines_of_other_channels(filled, log_in_as, db):
    mine = {"channel_id": f"sms:{OTHER_LINE}"}
    own, hidden = (db.sessions.find_one(which) for which in (mine, {"communication_type": "whatsapp"}))
    db.sessions.update_one(
        {"_id": own["_id"]},
        {"$set": {"previous_session_id": hidden["_id"], "opted_out": [OTHER_LINE, "+15550009999", "MG1"]}},
    )
    links = {"decision.previous_session_id": hidden["_id"], "decision.bridges_session_id": own["_id"]}
    db.messages.update_many(mine | {"direction": "inbound"}, {"$set": links | {"moved": [{"from": hidden["_id"]}]}})
    agent = log_in_as("ada", [mine["channel_id"]])
    for path in ("/admin/export.jsonl", f"/admin/sessions/{own['_id']}/export.jsonl"):
        answer = agent.get(path)
        assert str(hidden["_id"]) not in answer.text
        _, first, said, *_ = lines(answer)
        assert first["session"]["opted_out"] == [OTHER_LINE]
        assert said["message"]["decision"]["bridges_session_id"] == str(own["_id"])


def test_the_record_of_a_merged_session_is_not_exported_but_leads_on(console, filled, log_in_as, db):
    own = db.sessions.find_one({"channel_id": f"sms:{OTHER_LINE}"})
    hidden = db.sessions.find_one({"communication_type": "whatsapp"})
    absorbed = {"into": {"keys": ["+15556667777"], "tags": ["secret"]}, "session": own}
    record = {name: own[name] for name in ("channel_id", "createdAt", "last_message_at")}
    db.sessions.replace_one({"_id": own["_id"]}, record | {"merged_into": hidden["_id"], "absorbed": absorbed})
    agent = log_in_as("ada", [own["channel_id"]])
    for path in ("", "/export.jsonl", "/export.csv", "/print", "/messages"):
        led = console.get(f"/admin/sessions/{own['_id']}{path}")
        assert (led.status_code, led.location) == (307, f"/admin/sessions/{hidden['_id']}{path}")
        assert agent.get(f"/admin/sessions/{own['_id']}{path}").status_code == 404


def test_what_a_regrouping_puts_aside_is_not_exported(console, filled, db):
    db.sessions.update_many({}, {"$set": {"absorbed": {"into": {"tags": ["aside"]}}, "heir": ["aside"]}})
    assert "aside" not in console.get("/admin/export.jsonl").text


def test_who_exported_what_and_how_much_is_audited_without_a_word_of_it(console, filled, db):
    lines(console.get("/admin/export.jsonl?type=sms"))
    started, finished = db.audit.find({"action": {"$regex": "^export_"}}, sort=[("_id", 1)])
    assert (started["by"], started["action"]) == ("admin", "export_started")
    assert started["details"] == {"format": "jsonl", "communication_type": "sms"}
    assert (finished["by"], finished["action"]) == ("admin", "export_finished")
    assert finished["details"] == started["details"] | {"sessions": 2, "messages": 4, "complete": True}


def test_an_export_of_one_session_is_in_that_sessions_audit(console, filled, session_id, db):
    console.page(f"/admin/sessions/{session_id()}/print")
    started, finished = db.audit.find({"action": {"$regex": "^export_"}}, sort=[("_id", 1)])
    assert str(started["session_id"]) == str(finished["session_id"]) == session_id()
    assert finished["details"] == {"format": "print", "sessions": 1, "messages": 2, "complete": True}


@pytest.fixture
def mongodb_goes_away(monkeypatch):
    """Let MongoDB go away after the first message."""

    def broken(selected):
        session, messages = next(conversations(selected))
        yield session, iter([next(messages)])
        raise StoreUnavailable("gone")

    conversations = exporting.conversations
    monkeypatch.setattr(exporting, "conversations", broken)


def test_a_file_that_mongodb_left_in_the_midst_says_so(console, filled, mongodb_goes_away, db):
    *_, last = lines(console.get("/admin/export.jsonl"))
    assert last == {"incomplete": {"sessions": 1, "messages": 1, "reason": "MongoDB did not answer"}}
    *_, last = cells(console.get("/admin/export.csv"))
    assert last["session_id"].startswith("INCOMPLETE: MongoDB did not answer")
    noted = db.audit.find_one({"action": "export_finished"})["details"]
    assert (noted["messages"], noted["complete"]) == (1, False)


def test_a_printed_page_that_mongodb_left_in_the_midst_says_so(console, filled, session_id, monkeypatch):
    def gone(*_):
        raise StoreUnavailable("gone")
        yield

    monkeypatch.setattr(exporting, "messages", gone)
    assert "Not complete" in console.page(f"/admin/sessions/{session_id()}/print")


def test_a_session_on_paper_has_facts_and_everything_that_was_said(console, filled, session_id, monkeypatch):
    monkeypatch.setattr("gateway.admin.export.PRINTED_AT_ONCE", 1)
    page = console.page(f"/admin/sessions/{session_id()}/print")
    assert "<h1><bdi>SMS from +15558675310</bdi></h1>" in page
    assert OTHER_LINE in page
    assert page.count("<h2>") == 1
    assert page.count('<p class="text" dir="auto">Hello</p>') == 2
    assert "<nav" not in page
    assert "Not complete" not in page


@pytest.mark.parametrize(
    "path", ["/admin/export.pdf", "/admin/export.csv?type=fax", "/admin/sessions/nonsense/export.csv", "/admin/export"]
)
def test_what_there_is_not_is_not_found(console, path):
    assert console.get(path).status_code == 404


def test_without_a_login_nothing_is_exported(visitor):
    assert visitor.get("/admin/export.jsonl").status_code == 302


def test_the_list_links_to_an_export_of_what_it_shows(console, filled):
    page = console.page("/admin/?type=sms&cursor=")
    assert 'href="/admin/export.csv?type=sms"' in page
    assert 'href="/admin/export.jsonl?type=sms"' in page


def test_a_session_links_to_its_exports(console, filled, session_id):
    page = console.page(f"/admin/sessions/{session_id()}")
    for path in ("export.jsonl", "export.csv", "print"):
        assert f'href="/admin/sessions/{session_id()}/{path}"' in page


def test_so_many_exports_at_once_that_webhooks_keep_most_threads(console, filled, session_id):
    held = [console.client.get("/admin/export.csv") for _ in range(export.MOST)]
    try:
        assert {answer.status_code for answer in held} == {200}
        for path in ("/admin/export.csv", f"/admin/sessions/{session_id()}/print"):
            refused = console.get(path)
            assert (refused.status_code, refused.headers["Retry-After"]) == (503, "30")
    finally:
        for answer in held:
            answer.close()
    for _ in range(export.MOST + 1):
        with console.client.head("/admin/export.csv") as asked:
            assert asked.status_code == 200
        console.get(f"/admin/sessions/{session_id()}/print").close()
    assert console.get("/admin/export.pdf").status_code == 404
    assert console.get("/admin/export.csv").status_code == 200


def test_a_note_is_told_from_what_was_sent(console, filled, session_id):
    where = f"/admin/sessions/{session_id()}"
    console.post(f"{where}/messages", form_on=where, kind="note", text="Careful", nonce="0" * 32)
    rows = {row["message_id"]: row["private"] for row in cells(console.get(f"{where}/export.csv"))}
    assert rows.pop("note:" + "0" * 32) == "yes"
    assert set(rows.values()) == {""}
    assert console.page(f"{where}/print").count("private note, never sent") == 1


def test_what_became_of_a_message_is_on_paper(console, filled, session_id, db):
    failed = {"status": "undelivered", "error_code": 30003}
    db.messages.update_one({"session_id": ObjectId(session_id()),
                            "direction": "outbound"}, {"$set": failed})  # fmt: skip
    db.contacts.update_many({}, {"$set": {"name": "Grace"}})
    page = console.page(f"/admin/sessions/{session_id()}/print")
    assert page.count("<bdi>Grace</bdi>") == 2
    assert "undelivered" in page
    assert '<p class="failed"><strong>30003</strong> ' in page
