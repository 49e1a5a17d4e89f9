"""The rows that imports did not take, kept for whoever mends them."""

from collections.abc import Iterator, Sequence
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any

from bson import ObjectId
from pymongo import ReplaceOne

from gateway.store.connection import collection, deadline
from gateway.store.documents import RejectionDocument

READ_SECONDS = 10
# Each may be some megabytes.
_AT_ONCE = 10


@dataclass(frozen=True, slots=True)
class Rejection:
    """A row that was not taken: its number, why, what it was, and where a person finds it."""

    row: int
    reason: str
    text: str
    place: str = ""

    def as_json(self) -> dict[str, Any]:
        """Give it as people are shown it."""
        return {"row": self.row, "place": self.place, "reason": self.reason, "text": self.text}


def keep(import_id: str, rejections: Sequence[Rejection], now: datetime) -> None:
    """Keep rows that were not taken; each once, however often its batch is tried."""
    if rejections:
        rows = [
            {"_id": f"{import_id}:{one.row}", "import_id": ObjectId(import_id), "at": now, **asdict(one)}
            for one in rejections
        ]
        collection(RejectionDocument).bulk_write([ReplaceOne({"_id": row["_id"]}, row, upsert=True) for row in rows])


def of(import_id: str) -> Iterator[Rejection]:
    """Give the rows that were not taken, in the order of the file, a few at a time."""
    after = 0
    while True:
        wanted = {"import_id": ObjectId(import_id), "row": {"$gt": after}}
        with deadline(READ_SECONDS):
            rows = list(collection(RejectionDocument).find(wanted).sort("row", 1).limit(_AT_ONCE))
        yield from (Rejection(row["row"], row["reason"], row["text"], row.get("place") or "") for row in rows)
        if len(rows) < _AT_ONCE:
            return
        after = rows[-1]["row"]


def forget_words() -> int:
    """Delete the rows that were not taken: nobody can say whose words are in there."""
    return collection(RejectionDocument).delete_many({}).deleted_count
