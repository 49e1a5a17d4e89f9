"""What else is sent: calls' turns, delivery statuses, texts of new senders only. How each begins, what it leaves."""

import http.client
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from itertools import product
from typing import Any
from xml.etree import ElementTree

from bson import ObjectId
from itsdangerous import URLSafeSerializer
from pymongo.database import Database

from benchmarks.webhooks import signed
from benchmarks.webhooks.servers import SECRET_KEY, Place
from benchmarks.webhooks.signed import Webhook

CALLS, TURNS = 500, 40
STRANGERS = 40_000
SENT_EACH = 10
SENT = signed.SENDERS * SENT_EACH
_LINE = "+15017122661"

Db = Database[dict[str, Any]]


@dataclass(frozen=True)
class Kind:
    """One kind of webhook: what readies a server for it and gives the webhooks, and how many of them are stored."""

    begin: Callable[[Place, Db], Iterator[Webhook]]
    stored: Callable[[Db], int]


def stored_texts(db: Db) -> int:
    """Count the texts that are stored."""
    return db.messages.count_documents({"_id": {"$regex": "^SM"}})


def _first_texts(_place: Place, _db: Db) -> Iterator[Webhook]:
    """Let people write who never did before, as when many answer a campaign."""
    form = signed.shape("sms/text")
    for number in range(STRANGERS):
        sid = f"MM{number:032x}"
        yield Webhook("/webhooks/sms", form | {"MessageSid": sid, "SmsSid": sid, "From": f"+1666{number:07d}"})


def _stored_first_texts(db: Db) -> int:
    return db.messages.count_documents({"_id": {"$regex": "^MM"}})


def _turns(place: Place, _db: Db) -> Iterator[Webhook]:
    """Ring up, and say something in every call in turn, where its first answer told the telephone to send it."""
    said, calls = signed.shape("voice/gather_speech"), []
    for number in range(CALLS):
        call = {"CallSid": f"CA{number:032x}", "From": f"+1555{number:07d}", "Caller": f"+1555{number:07d}"}
        answer = _post(place, Webhook("/webhooks/voice", signed.shape("voice/incoming") | call))
        gather = ElementTree.fromstring(answer).find("Gather")
        # A machine too busy for MongoDB to answer in time lets callers leave a message instead.
        if gather is not None:
            calls.append((call, gather.attrib["action"].removeprefix(f"http://{place.address}")))
    for turn, (call, first) in product(range(1, TURNS + 1), calls):
        yield Webhook(_at_turn(first, turn), said | call)


def _at_turn(first: str, turn: int) -> str:
    """Give the address of a later turn of a call; the gateway's says, signed, which call in which session it is."""
    numbered = first.replace("turn=1", f"turn={turn}")
    if "state=" not in first:
        return numbered
    # As gateway.conversation.runtime signs it; a state that is not ours fails here.
    serializer = URLSafeSerializer(SECRET_KEY, salt="voice turn")
    before, _, state = numbered.partition("state=")
    sid, _, *rest = serializer.loads(state)
    return f"{before}state={serializer.dumps([sid, turn, *rest])}"


def _post(place: Place, webhook: Webhook) -> str:
    headers, body = signed.sign(place.address, webhook)
    connection = http.client.HTTPConnection("127.0.0.1", place.port, timeout=30)
    connection.request("POST", webhook.path, body, headers)
    answer = connection.getresponse()
    if answer.status != 200:
        raise SystemExit(f"{webhook.path} answered {answer.status}.")
    return answer.read().decode()


def _spoken(db: Db) -> int:
    return db.messages.count_documents({"_id": {"$regex": "^CA.*:[1-9][0-9]?$"}})


def _statuses(_place: Place, db: Db) -> Iterator[Webhook]:
    """Put messages of ours into the sessions, and tell of each, after a while, that it was sent and delivered."""
    sessions = [found["_id"] for found in db.sessions.find({}, {"_id": 1}).limit(signed.SENDERS)]
    for first in range(0, SENT, signed.SENDERS):
        db.messages.insert_many([_sent(first + at, session) for at, session in enumerate(sessions)])
    db.sessions.update_many({"_id": {"$in": sessions}}, {"$inc": {"message_count": SENT_EACH}})
    shapes = [signed.shape(f"status/{status}") for status in ("sent", "delivered")]
    for batch in range(0, SENT, 500):
        for shape, number in product(shapes, range(batch, batch + 500)):
            sid, to = _sid(number), f"+1555{number % signed.SENDERS:07d}"
            own = {"MessageSid": sid, "SmsSid": sid, "To": to, "From": _LINE}
            yield Webhook(f"/webhooks/status?m=sent:{number}", shape | own)


def _sid(number: int) -> str:
    return f"SMffff{number:028x}"


def _sent(number: int, session_id: ObjectId) -> Mapping[str, Any]:
    now = datetime.now(UTC)
    return {
        "_id": f"sent:{number}", "session_id": session_id, "channel_id": "benchmark", "communication_type": "sms",
        "contact_id": None, "direction": "outbound", "sender": "agent", "content": "We are open until six.",
        "provider_sid": _sid(number), "media": [], "tools_used": [], "has_error": False, "metadata": {},
        "status": "queued", "status_history": [{"status": "queued", "at": now}], "createdAt": now, "storedAt": now,
    }  # fmt: skip


def _applied(db: Db) -> int:
    """Count the statuses that came after the first, which was there from the start."""
    sizes = {"$group": {"_id": None, "all": {"$sum": {"$size": "$status_history"}}, "sent": {"$sum": 1}}}
    (found,) = db.messages.aggregate([{"$match": {"_id": {"$regex": "^sent:"}}}, sizes])
    return int(found["all"] - found["sent"])


KINDS = {
    "turns": Kind(_turns, _spoken),
    "status": Kind(_statuses, _applied),
    "firsts": Kind(_first_texts, _stored_first_texts),
}
