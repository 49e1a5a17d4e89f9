"""How often each API key asked in this minute, counted once for all processes and hosts.

The counters of the library behind the console's login limit take three round trips a request and wait for the
journal; a count that may be lost in a crash needs one, and waits for nothing.
"""

from datetime import datetime, timedelta

from pymongo import ReturnDocument, WriteConcern

from gateway.store.connection import collection
from gateway.store.documents import ApiLimitDocument

WINDOW = timedelta(minutes=1)


def hit(who: str, now: datetime) -> tuple[int, datetime]:
    """Count a request in the minute of `now`; gives how many there were in it, and when it ends."""
    begins = now.replace(second=0, microsecond=0)
    counters = collection(ApiLimitDocument).with_options(write_concern=WriteConcern(w=1, j=False))
    found = counters.find_one_and_update(
        {"_id": f"{who}:{begins:%Y%m%d%H%M}"},
        {"$inc": {"requests": 1}, "$setOnInsert": {"at": begins}},
        upsert=True,
        return_document=ReturnDocument.AFTER,
    )
    assert found is not None  # noqa: S101 - an upsert gives what it wrote
    return found["requests"], begins + WINDOW
