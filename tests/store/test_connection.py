"""What is inserted once, against a real mongod."""

import pytest
from pymongo.errors import BulkWriteError

from gateway.store.connection import insert_new
from gateway.store.documents import MessageDocument


@pytest.fixture
def stored(db):
    def ids():
        return {row["_id"] for row in db.messages.find({}, {"_id": 1})}

    db.messages.insert_one({"_id": "b"})
    return ids


@pytest.mark.parametrize(
    ("ordered", "kept"),
    [pytest.param(False, {"a", "b", "c"}, id="unordered"), pytest.param(True, {"a", "b"}, id="ordered")],
)
def test_what_is_there_already_is_told_by_its_position(stored, ordered, kept):
    assert insert_new(MessageDocument, [{"_id": "a"}, {"_id": "b"}, {"_id": "c"}], ordered=ordered) == [1]
    assert stored() == kept


def test_all_that_is_new_leaves_no_positions(stored):
    assert insert_new(MessageDocument, [{"_id": "a"}, {"_id": "c"}]) == []
    assert stored() == {"a", "b", "c"}


def test_what_fails_for_another_reason_is_raised(stored):
    with pytest.raises(BulkWriteError):
        insert_new(MessageDocument, [{"_id": "b"}, {"_id": ["an array is no id"]}])
