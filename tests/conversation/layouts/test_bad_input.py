"""What is wrong with a source is told in a line each: nothing vanishes, nothing is half imported."""

import json

import pytest

from gateway.conversation import importing, origins, rehearsal
from gateway.conversation.import_runs import Hands
from gateway.conversation.layouts import BadFile
from gateway.conversation.rehearsal import Told
from gateway.conversation.staging import Options
from gateway.store import rejections
from gateway.store.staging import Stage, StageFailed

GOOD = {"id": 1, "session_id": "s", "user_id": "+15558675310", "role": "user", "content": "hi"}
GOOD |= {"created_at": "2025-11-03T10:00:00Z"}


@pytest.fixture
def runtime(app):
    return app.extensions["gateway"]


def bring_in(runtime, *given, layout="", **options):
    """Import, and see that a dry run said the same before, and left nothing."""
    origin = origins.find([str(one) for one in given], layout, Options(**options), runtime.settings.mongodb_uri)
    lines = []
    foreseen = rehearsal.rehearse(runtime, origin, Told(rejected=lines.append))
    run = importing.run_here(runtime, origin, "gateway import", Hands())
    assert foreseen.tally == run.tally
    assert foreseen.is_complete == run.is_complete
    assert lines == list(rejections.of(run.id))
    return run, lines


def flat(tmp_path, *rows):
    path = tmp_path / "flat.jsonl"
    path.write_text("".join((row if isinstance(row, str) else json.dumps(row)) + "\n" for row in rows))
    return path


@pytest.mark.parametrize(
    ("changes", "reason"),
    [
        ({"created_at": None}, "It has no time."),
        ({"created_at": "soon"}, "'soon' is no time that is known here."),
        ({"created_at": "03/04/2026 10:00"}, "'03/04/2026 10:00' may be the day or the month first"),
        ({"created_at": "2999-01-01T00:00:00Z"}, "createdAt: 2999-01-01T00:00:00+00:00 lies in the future."),
        ({"role": "ghost"}, "Who spoke is not known: 'ghost'"),
        ({"communication_type": "telex"}, "communication_type: 'telex' is none of sms"),
        ({"session_id": None}, "It names no session."),
        ({"token_count": "many"}, "token_count: 'many' is no number."),
        ({"has_error": "perhaps"}, "has_error: 'perhaps' is neither true nor false."),
        ({"x": json.loads("[" * 60 + "]" * 60)}, "It is nested too deeply."),
        ({"content": "x" * 1_000_001}, "is no text of at most 1,000,000 characters"),
        ({"id": None, "status": "x" * 200}, "status: "),
    ],
)
def test_a_row_that_cannot_be_is_kept_with_place_reason_and_all_it_says(runtime, db, tmp_path, changes, reason):
    bad = {name: value for name, value in (GOOD | {"id": 2} | changes).items() if value is not None}
    run, (kept,) = bring_in(runtime, flat(tmp_path, GOOD, bad, GOOD | {"id": 3}))
    assert (run.state, run.tally.messages_imported, run.tally.rejected) == ("done", 2, 1)
    assert reason in kept.reason
    assert kept.place == "flat.jsonl, line 2"
    assert json.loads(kept.text) == bad


def test_what_is_odd_in_names_and_values_is_kept_as_far_as_mongodb_can(runtime, db, tmp_path):
    odd = {"$where": 1, "a.b": {"$x\0": 2}, "n": 2**70, "Session Notes": [{"$oid": "abc"}], "lone": "\ud83d ok"}
    run, _ = bring_in(runtime, flat(tmp_path, GOOD | odd))
    assert run.tally.messages_imported == 1
    assert db.messages.find_one()["metadata"] == {
        "where": 1,
        "a.b": {"x": 2},
        "n": str(2**70),
        "Session Notes": ["abc"],
        "lone": "\ufffd ok",
    }


def test_a_file_that_is_cut_in_the_middle_says_so_and_what_came_before_is_here(runtime, db, tmp_path):
    path = flat(tmp_path, GOOD, GOOD | {"id": 2})
    path.write_text(path.read_text()[:-20])
    run, (kept,) = bring_in(runtime, path)
    assert (run.state, run.is_complete, run.tally.messages_imported) == ("done", False, 1)
    assert "cut off" in kept.reason


def test_encodings_that_are_mixed_are_read_and_told(runtime, db, tmp_path):
    path = tmp_path / "log.csv"
    rows = ("From,To,Body,Status,SentDate,Sid,Direction\n",)
    line = "+15558675310,+15017122661,Grüße,received,2025-11-03T10:00:0{0}Z,SM{0:032x},inbound\n"
    path.write_bytes(rows[0].encode() + line.format(1).encode() + line.format(2).encode("latin-1"))
    run, _ = bring_in(runtime, path)
    assert db.messages.distinct("content") == ["Grüße"]
    assert run.tally.problems == ["log.csv is not all UTF-8: 2 bytes of it were read as Windows-1252."]


def test_sessions_and_messages_that_miss_each_other_are_told(runtime, db, tmp_path):
    session = {"channel_id": "c1", "communication_type": "sms", "status": "active", "createdAt": "2025-11-03T10:00:00Z"}
    session |= {"metadata": {"fromNumber": "+15558675310", "toNumber": "+15017122661"}}
    message = {"sender": "contact", "content": "hi", "createdAt": "2025-11-03T10:00:00Z"}
    later = {"createdAt": "2025-11-04T10:00:00Z"}
    sessions = [
        session | {"_id": "a" * 24, "previous_session_id": "b" * 24},
        session | later | {"_id": "b" * 24, "previous_session_id": "a" * 24},
        session | later | {"_id": "c" * 24, "previous_session_id": "c" * 24, "status": "closed"},
        session | later | {"_id": "d" * 24, "previous_session_id": "e" * 24, "metadata": {}},
        session | {"_id": "a" * 24},
        {"channel_id": "c1", "communication_type": "sms", "status": "active"},
    ]
    messages = [
        message | {"_id": "1" * 24, "session_id": "a" * 24},
        message | later | {"_id": "2" * 24, "session_id": "b" * 24},
        message | {"_id": "3" * 24, "session_id": "f" * 24},
        message | {"_id": "4" * 24},
        message | later | {"_id": "5" * 24, "session_id": "d" * 24},
    ]
    (tmp_path / "sessions.json").write_text(json.dumps(sessions))
    (tmp_path / "messages.json").write_text(json.dumps(messages))
    (tmp_path / "users.json").write_text('{"name": "Ada"}')
    run, rejected = bring_in(runtime, tmp_path)
    assert sorted((one.place, one.reason) for one in rejected) == [
        ("messages.json, line 1", "It names no session."),
        ("messages.json, line 1", f"Its session {'f' * 24} is not in the source."),
        ("sessions.json, line 1", "It has no id."),
    ]
    assert run.tally.problems == [
        "users was left out: it holds nothing of the layout node.",
        "1 sessions came more than once; their messages were put together.",
        f"1 sessions were open beside a newer one of their sender, and come in closed: {'a' * 24}",
        "3 sessions follow one that is not in the source or began later, and come in without it: "
        f"{'a' * 24}, {'c' * 24}, {'d' * 24}",
        f"1 sessions have no messages, and come in empty: {'c' * 24}",
        f"1 sessions name nobody, and belong to no contact: {'d' * 24}",
    ]
    assert [row["status"] for row in db.sessions.find().sort("_id")] == ["closed", "active", "closed", "closed"]
    links = {str(row["_id"])[0]: row.get("previous_session_id") for row in db.sessions.find()}
    assert {name: one and str(one)[0] for name, one in links.items()} == {"a": None, "b": "a", "c": None, "d": None}


def test_a_bad_message_within_a_session_takes_no_other_with_it(runtime, db, tmp_path):
    said = {"id": 1, "content": "hi", "message_type": "user", "created_at": "2025-11-03T10:00:00Z"}
    odd = [{"created_at": "2999-01-01"}, {"message_type": "ghost"}, {"created_at": None}]
    messages = [said, *(said | one for one in odd), 7, said | {"id": 2}]
    (tmp_path / "chats.json").write_text(json.dumps([{"id": 1, "user_id": "ada", "messages": messages}]))
    run, rejected = bring_in(runtime, tmp_path)
    assert run.tally.messages_imported == 2
    assert [one.reason[:30] for one in rejected] == [
        "createdAt: 2999-01-01T00:00:00",
        "messages, no. 3: Who spoke is ",
        "messages, no. 4: It has no tim",
        "messages, no. 5: it is no obje",
    ]


def test_the_same_text_twice_is_two_messages_by_their_ids_and_one_without(runtime, db, tmp_path):
    nameless = {name: value for name, value in GOOD.items() if name != "id"} | {"session_id": "t"}
    run, _ = bring_in(runtime, flat(tmp_path, GOOD, GOOD | {"id": 2}, GOOD, nameless, nameless))
    assert (run.tally.messages_imported, run.tally.messages_duplicate) == (3, 2)
    assert sorted(db.sessions.distinct("message_count")) == [1, 2]


def test_numbers_alone_name_no_session_so_two_programs_can_be_brought_in(runtime, db, tmp_path):
    bring_in(runtime, flat(tmp_path, GOOD | {"session_id": 1}))
    bring_in(runtime, flat(tmp_path, GOOD | {"session_id": 1, "user_id": "+15558675311"}))
    assert db.sessions.distinct("message_count") == [1]
    assert db.sessions.count_documents({}) == db.messages.count_documents({}) == 2


@pytest.mark.parametrize(
    ("files", "layout", "reason"),
    [
        ({"a.csv": "a,b\n1,2\n"}, "", "of no layout that is known here (gateway, twilio"),
        ({"a.csv": "b,a\n1,2\n"}, "", "Found: a: b, a."),
        ({"a.csv": "# Gateway for Twilio\nSMS\n"}, "", "Found: a: # Gateway for Twilio."),
        ({"a.json": ""}, "", "The file is empty."),
        ({"a.md": "# hello"}, "", "There is no file in it. Looked for: .csv, .json"),
        ({"conversation_messages.csv": "id,session_id,role\n1,1,user\n"}, "relational", "which needs two tables"),
        ({"a.json": '{"layout":"gateway","version":1}', "b.json": "{}"}, "", "is imported alone"),
    ],
)
def test_what_is_no_source_is_refused_before_anything_is_noted(runtime, db, tmp_path, files, layout, reason):
    for name, text in files.items():
        (tmp_path / name).write_text(text)
    with pytest.raises(BadFile) as refused:
        bring_in(runtime, tmp_path, layout=layout)
    assert reason in str(refused.value)
    assert db.imports.count_documents({}) == 0


def test_a_full_disk_ends_an_import_with_its_reason_and_nothing_came_in(runtime, db, tmp_path, monkeypatch):
    def full(*_given, **_named):
        raise StageFailed("disk full")

    monkeypatch.setattr(Stage, "finish", full)
    origin = origins.find([str(flat(tmp_path, GOOD))], "", Options(), runtime.settings.mongodb_uri)
    run = importing.run_here(runtime, origin, "gateway import", Hands())
    assert (run.state, run.error) == ("failed", "disk full")
    assert db.sessions.count_documents({}) == 0
    assert not list((runtime.settings.data_dir / "imports").glob("*"))
