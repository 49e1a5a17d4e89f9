"""A migration: one walk through a collection, some documents at a time, each mended by itself.

Documents come in the order of `_id`, so that a walk goes on wherever it was stopped. `mend` is given some as they were
a moment ago, while others write to them: each change is conditional on what was seen, and done twice it is done once.
"""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from mongoengine import Document

from gateway.store.connection import collection

# What is read at once, and mended again after a crash.
AT_ONCE = 1000


@dataclass(frozen=True, slots=True)
class Mended:
    """How many documents were changed, and what a person has to look at: ids, never anybody's words."""

    changed: int = 0
    problems: Sequence[str] = ()


@dataclass(frozen=True, slots=True)
class Migration:
    """What older documents lack, where they are, and how some of them are mended. `fields` is what is read of each."""

    number: int
    name: str
    why: str
    documents: type[Document]
    fields: Mapping[str, int]
    mend: Callable[[Sequence[Mapping[str, Any]]], Mended]

    def estimate(self) -> int:
        """Guess how many documents have to be looked at."""
        return collection(self.documents).estimated_document_count()

    def next(self, place: Mapping[str, Any]) -> list[dict[str, Any]]:
        """Read the documents behind a place, `{"after": _id}`, or the first; fewer than AT_ONCE are the last."""
        found = collection(self.documents).find({}, dict(self.fields)).sort("_id", 1).hint([("_id", 1)])
        if "after" not in place:
            return list(found.limit(AT_ONCE))
        # By the index's own order, for ids may be of several types, which a comparison keeps apart.
        rows = list(found.min([("_id", place["after"])]).limit(AT_ONCE + 1))
        return [row for row in rows if row["_id"] != place["after"]][:AT_ONCE]
