"""An export takes no more memory for more messages, and leaves nothing behind when nobody wants the rest."""

from datetime import timedelta
from types import GeneratorType

import pytest
from bson import ObjectId

from gateway.conversation import export
from gateway.conversation.export import PIECE_BYTES, Order
from gateway.store import exporting
from gateway.store.exporting import Selected
from gateway.store.listing import Wanted
from tests.conftest import TEN

COUNT = 3000


@pytest.fixture
def runtime(app):
    return app.extensions["gateway"]


@pytest.fixture
def long_session(db):
    session_id = ObjectId()
    db.sessions.insert_one(
        {"_id": session_id, "communication_type": "sms", "channel_id": "sms:1", "last_message_at": TEN, "title": "Long",
         "status": "closed"}
    )  # fmt: skip
    db.messages.insert_many(
        {"_id": f"SM{n}", "session_id": session_id, "channel_id": "sms:1", "createdAt": TEN + timedelta(seconds=n),
         "content": "x" * 100, "direction": "inbound"}
        for n in range(COUNT)
    )  # fmt: skip
    return str(session_id)


def open_cursors(db):
    return db.command("serverStatus")["metrics"]["cursor"]["open"]["total"]


@pytest.mark.parametrize("file_format", ["jsonl", "csv"])
def test_messages_are_read_as_they_are_sent(runtime, long_session, monkeypatch, file_format):
    read, messages = [], exporting.messages

    def counted(*given):
        for row in messages(*given):
            read.append(row["_id"])
            yield row

    monkeypatch.setattr(exporting, "messages", counted)
    pieces = export.export(runtime, Order(Selected(None, Wanted("sms")), file_format, "ada"))
    assert isinstance(pieces, GeneratorType)
    sizes = []
    for number, piece in enumerate(pieces, start=1):
        sizes.append(len(piece))
        # No piece is held back: what was read is what was sent, and a part of one more piece.
        assert len(read) <= number * PIECE_BYTES / 100
    assert len(read) == COUNT
    assert len(sizes) > 5
    assert max(sizes) < PIECE_BYTES + 1000


def test_who_goes_away_ends_the_cursors(runtime, long_session, db):
    before = open_cursors(db)
    order = Order(Selected(None, Wanted("sms")), "jsonl", "ada")
    pieces = export.export(runtime, order)
    next(pieces)
    assert open_cursors(db) > before
    pieces.close()
    assert open_cursors(db) == before
    noted = db.audit.find_one({"action": "export_finished"})["details"]
    assert noted["complete"] is False
    assert 0 < noted["messages"] < COUNT


def test_the_list_is_read_by_its_index(runtime, long_session, db):
    others = ({"communication_type": "sms", "channel_id": "sms:2", "last_message_at": TEN} for _ in range(200))
    db.sessions.insert_many({**other, "status": "closed"} for other in others)
    wanted, _ = exporting._reading(Selected(frozenset({"sms:1"}), Wanted("sms", since=TEN)))
    plan = db.sessions.find(wanted).sort([("last_message_at", -1), ("_id", -1)]).explain()["queryPlanner"]
    assert "'indexName': 'by_channel'" in str(plan["winningPlan"])
    assert "'stage': 'SORT'" not in str(plan["winningPlan"])
