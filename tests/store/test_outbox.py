"""The outbox's look-ups: each by an index, however many finished rows are kept."""

from datetime import timedelta

import mongoengine
import pytest

from gateway.store import asked, attempts, backlog, deliveries, failures, lanes, outbox, outbox_claims
from gateway.store.outbox import Row
from tests.conftest import TEN

LEASE = timedelta(seconds=60)
SENT = Row("m1", outbox.SEND, "m1", TEN, TEN, lane="a|b")
LOOKS = {
    "claim": lambda: outbox_claims.claim("me", TEN, LEASE),
    "claim by id": lambda: outbox_claims.claim("me", TEN, LEASE, row_id="m1"),
    "due": lambda: outbox_claims.due(TEN, limit=2),
    "claim all": lambda: outbox_claims.claim_all("me", TEN, LEASE, ["m1"]),
    "look": lambda: attempts.look(SENT),
    "begin": lambda: attempts.begin(SENT, TEN, LEASE),
    "confirm": lambda: attempts.confirm(SENT, "SM1", "queued", TEN),
    "left lying": lambda: backlog.left_lying(TEN, overdue=timedelta(), hint=LEASE, limit=10),
    "depth": backlog.depth,
    "oldest": backlog.oldest,
    "cancel": lambda: outbox.cancel(["6b0147b97f9cf309296e1567"], ["+15017122661"], TEN),
    "one before": lambda: lanes.one_before(Row("m2", outbox.SEND, "m2", TEN, TEN, lane="a|b"), TEN),
    "next in lane": lambda: lanes.let_next_go("a|b", TEN),
    "claim an event": lambda: outbox_claims.claim_event("me", TEN, LEASE, ["s", "t"]),
    "events waiting": lambda: deliveries.counts("s"),
    "events of one": lambda: deliveries.page("s", limit=1),
    "events again": lambda: deliveries.hurry("s", TEN - LEASE),
    "events too old": lambda: deliveries.give_up(TEN),
    "events dropped": lambda: deliveries.cancel_all("s", TEN, "gone"),
    "failed": lambda: failures.page(limit=10),
    "failed kinds": failures.kinds,
    "waiting": lambda: failures.waiting(TEN),
    "answers due": lambda: asked.due(TEN, LEASE, limit=10),
    "overlooked": lambda: asked.overlooked(TEN, limit=10),
}


@pytest.mark.parametrize("look", LOOKS.values(), ids=LOOKS.keys())
def test_no_look_reads_what_is_done(app, look):
    """MongoDB itself tells of each operation which plan it took."""
    db = mongoengine.get_db()
    db.outbox.insert_many(
        {"_id": f"done{n}", "step": "send", "state": "done", "due": TEN, "queued_at": TEN, "lane": "a|b"}
        for n in range(300)
    )
    # A program has been away for days, and another one refused what it was told.
    db.outbox.insert_many(
        {
            "_id": f"event{n}",
            "step": "event",
            "state": "waiting",
            "due": TEN,
            "queued_at": TEN - LEASE,
            "subscription": "away",
        }
        | {"give_up_at": TEN + LEASE}
        for n in range(300)
    )
    db.outbox.insert_many(
        {
            "_id": f"refused{n}",
            "step": "event",
            "state": "failed",
            "finished_at": TEN,
            "queued_at": TEN,
            "subscription": "r",
        }
        for n in range(300)
    )
    outbox.put(Row("event:s:1", outbox.EVENT, "m1", due=TEN, queued_at=TEN, subscription="s", give_up_at=TEN))
    outbox.put(Row("m1", outbox.SEND, "m1", due=TEN, queued_at=TEN, lane="a|b"))
    db.command("profile", 2)
    try:
        look()
    finally:
        db.command("profile", 0)
    seen = list(db.system.profile.find({"ns": {"$regex": "\\.(outbox|messages)$"}}))
    db.drop_collection("system.profile")
    assert seen
    assert all("COLLSCAN" not in one.get("planSummary", "") for one in seen), [one.get("planSummary") for one in seen]
    assert sum(one.get("docsExamined", 0) for one in seen) <= 3
