"""Files taken in over the API, and what came of them."""

import io
import json

import pytest

from gateway.conversation import importing
from tests.api.conftest import problem
from tests.conftest import FIXTURES
from tests.conversation.test_importing import message, session, written


@pytest.fixture
def send(owner):
    """Upload a file."""

    def upload(file, program=owner, **fields):
        return program.post("/imports", data={"file": (io.BytesIO(file), "march.jsonl"), **fields})

    return upload


def work(app):
    importing.work_off(app.extensions["gateway"], lambda seconds: False)


def test_a_file_is_taken_in_imported_by_a_worker_and_told_of(app, send, owner, db):
    taken = send(written(session(), message(1), message(2), message(3, of=9)))
    assert taken.status_code == 202
    run = taken.json
    assert (run["state"], run["layout"], run["file_name"], run["by"]) == (
        "queued",
        "gateway",
        "march.jsonl",
        "key:test",
    )
    assert (run["rows_read"], run["rows_per_second"], run["complete"]) == (0, None, None)
    assert db.messages.count_documents({}) == 0
    work(app)
    told = owner.get(taken.headers["Location"]).json
    assert (told["state"], told["complete"], told["rows_read"]) == ("done", True, 6)
    assert told["bytes_read"] == told["bytes"]
    assert told["sessions"] == {"created": 1, "existing": 0, "closed": 0}
    assert told["messages"] == {"imported": 2, "duplicate": 0}
    assert (told["rejected"], told["error"], told["seconds_left"]) == (1, None, None)
    assert told["rows_per_second"] > 0
    assert owner.get("/imports").json == {"items": [told], "next_cursor": None}
    rejected = owner.get(f"/imports/{told['id']}/rejected")
    assert rejected.content_type == "application/jsonl; charset=utf-8"
    (line,) = map(json.loads, rejected.text.splitlines())
    assert line["row"] == 5
    assert "is not here" in line["reason"]
    assert json.loads(line["text"]) == message(3, of=9)
    assert [row["action"] for row in db.audit.find()] == ["import_ordered", "import_finished"]


def test_what_another_program_wrote_is_imported_by_a_worker_and_shown_like_the_rest(app, send, owner, db):
    log = (FIXTURES / "layouts" / "twilio" / "sms-log.csv").read_bytes()
    run = send(log + b"+1,+2,cut\n").json
    assert (run["state"], run["layout"]) == ("queued", "twilio")
    work(app)
    told = owner.get(f"/imports/{run['id']}").json
    assert (told["state"], told["complete"], told["rejected"]) == ("done", False, 1)
    assert (told["messages"], told["people"]) == ({"imported": 10, "duplicate": 0}, 3)
    assert told["bytes_read"] == told["bytes"] == len(log) + 10
    assert db["uploads.files"].count_documents({}) == 0
    (line,) = map(json.loads, owner.get(f"/imports/{run['id']}/rejected").text.splitlines())
    assert line == {
        "row": 1,
        "place": "march.jsonl, line 13",
        "reason": "It has 3 fields, and there are 13 columns.",
        "text": "+1,+2,cut",
    }
    sessions = owner.get("/sessions").json["items"]
    assert len(sessions) == 5
    for one in sessions:
        assert owner.get(f"/sessions/{one['id']}").status_code == 200
        assert owner.get(f"/sessions/{one['id']}/messages").json["items"]


def test_an_import_in_place_tells_how_far_it_is_and_what_lies_in_the_backup(send, owner, db):
    run = send(written(session())).json
    assert run["in_place"] is None
    known = {"step": "import", "backup": {"sessions": 2, "messages": 9, "channels": 1}, "late": 1}
    db.imports.update_one({}, {"$set": {"in_place": known}})
    assert owner.get(f"/imports/{run['id']}").json["in_place"] == {**known, "left": 0}


def test_pages(send, owner):
    ids = [send(written(session())).json["id"] for _ in range(3)]
    first = owner.get("/imports?limit=2").json
    rest = owner.get(f"/imports?limit=2&cursor={first['next_cursor']}").json
    assert [one["id"] for one in first["items"] + rest["items"]] == ids[::-1]
    assert rest["next_cursor"] is None


def test_an_import_is_canceled_once(app, send, owner, db):
    run = send(written(session())).json
    assert owner.delete(f"/imports/{run['id']}").json["state"] == "canceled"
    problem(owner.delete(f"/imports/{run['id']}"), 409, "finished")
    work(app)
    assert db.sessions.count_documents({}) == 0
    assert db["uploads.chunks"].count_documents({}) == 0


def test_what_is_no_file_of_ours_is_refused(send, owner, db):
    told = problem(send(b"a,b\n1,2\n"), 409, "bad_file")
    assert "known here (gateway, twilio" in told["detail"]
    told = problem(send(written(session()), layout="teletext"), 409, "bad_file")
    assert "There is no layout 'teletext'. Known: gateway, twilio" in told["detail"]
    problem(owner.post("/imports", data={"file": "just text"}), 422, "wrong_value")
    problem(owner.post("/imports", json={}), 422, "wrong_value")
    problem(send(written(session()), mode="fast"), 422, "wrong_value")
    for wrong in ("nonsense", "65f000000000000000000000"):
        for path in (f"/imports/{wrong}", f"/imports/{wrong}/rejected"):
            problem(owner.get(path), 404, "not_found")
        problem(owner.delete(f"/imports/{wrong}"), 404, "not_found")
    assert db.imports.count_documents({}) == 0


def test_a_large_file_comes_in_and_one_that_is_too_large_does_not(make_app, clock):
    from gateway.store import api_keys
    from tests.api.conftest import Program

    app = make_app(imports={"max_bytes": 3_000_000})
    _, secret = api_keys.add("test", ["admin"], clock.now(), by="a test")
    owner = Program(app.test_client(), secret)
    large = written(session(), *(message(n, content="x" * 1000) for n in range(2000)))
    for file, status in ((large, 202), (large * 2, 413)):
        answer = owner.post("/imports", data={"file": (io.BytesIO(file), "f")})
        assert answer.status_code == status
    assert "imports.max_bytes" in problem(answer, 413, "too_large")["detail"]
    # Only here: what others send is bounded as before.
    problem(owner.patch("/channels/x", data=large, content_type="application/json"), 413, "too_large")


def test_only_keys_that_configure_and_know_all_channels(app, send, writer, program):
    run = send(written(session())).json
    problem(writer.get("/imports"), 403, "scope_missing")
    problem(send(written(session()), program=writer), 403, "scope_missing")
    limited = program("admin", channels=["sms:+15017122661"])
    problem(send(written(session()), program=limited), 403, "key_limited")
    for path in ("/imports", f"/imports/{run['id']}", f"/imports/{run['id']}/rejected", "/imports/nonsense"):
        problem(limited.get(path), 403, "key_limited")
    problem(limited.delete(f"/imports/{run['id']}"), 403, "key_limited")
