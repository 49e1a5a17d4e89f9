"""Every command that webhooks, pages and the API send, explained: none reads a collection, none sorts many rows.

The commands are those that the driver sent while each route was asked, so what is added is explained too: a new route
that names something in its path fails here until `known` says what to ask it for.
"""

import functools
import io
import itertools
from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

import pytest
from bson import ObjectId
from flask import Flask
from pymongo import MongoClient
from pymongo.monitoring import CommandListener

from gateway.core.pointing import Layer, Layers
from gateway.store import (
    api_keys,
    clients,
    connection,
    counted_sessions,
    finding,
    listing,
    outbound,
    pointings,
    resent,
    tailing,
    tunnels,
    users,
)
from gateway.store.listing import STATUSES, TYPES
from gateway.store.searching import MOST_MATCHES
from tests.admin.conftest import Console
from tests.api.chatting import Visitor
from tests.api.conftest import Program
from tests.browser import PASSWORD
from tests.conftest import ACCOUNT, TEN, StoppedClock, Twilio, fixture
from tests.conversation.rushing import together
from tests.conversation.test_importing import message, session, written

EXPLAINED = ("find", "aggregate", "count", "distinct", "findAndModify", "update", "delete")
NOT_EXPLAINED = ("lsid", "$clusterTime", "$db", "$readPreference", "txnNumber", "writeConcern", "maxTimeMS", "ordered")

# What people set up, a row each, and counted pauses, a row for 5,000 messages: all of them are wanted.
READ_WHOLE = {"channels", "users", "api_keys", "subscriptions", "heartbeats", "migrations", "pace", "gaps"}
READ = -1

# What is few is sorted in memory: what one person has, a page, what a search found. There are five times as many.
FEW, SESSIONS = MOST_MATCHES, MOST_MATCHES * 5
LINE = "sms:+15017122661"
GROUP = 8

LISTS = [
    "", "?type=voice", "?status=archived", "?type=sms&status=closed", "?channel=sms:%2B15017122661", "?tag=vip",
    "?assigned=ada", "?assigned=nobody", "?from=2026-03-01&to=2026-03-02", "?q=hello", "?q=1555", "?q=two+words",
]  # fmt: skip
LISTED = [*LISTS, "?error=1", "?person=1", "?assigned=me", "?cursor={cursor}", "?type=voice&cursor={cursor}"]
LISTED_AS_JSON = [
    *(query.replace("-01", "-01T00:00:00Z").replace("-02", "-02T00:00:00Z") for query in LISTS),
    "?failed=true", "?needs_person=true", "?number=%2B15551", "?contact={contact_id}", "?sort=last_message_at",
    "?cursor={cursor}", "?channel=sms:%2B15017122661&sort=last_message_at&cursor={cursor}",
]  # fmt: skip

# What each route is asked for beside its plain address.
QUERIES = {
    "admin.sessions": LISTED,
    "admin.session": ["", "?before={moment}", "?q=hello", "?type=sms"],
    "admin.session_messages": ["", "?before={moment}", "?since={moment}"],
    "admin.merge_search": ["", "?q=ada"],
    "admin.export_sessions": LISTS[::4],
    "admin.analytics_page": ["", "?days=7", "?type=sms", "?channel=sms:%2B15017122661"],
    "admin.what_if": ["", "?threshold=60", "?threshold=60&type=sms"],
    "admin.outbox": ["", "?step=send", "?step=send&reason=30007", "?cursor={cursor}"],
    "admin.webhooks": ["", "?verdict=genuine", "?path=/webhooks/sms", "?status=200", "?cursor={cursor}"],
    "api.list_sessions": LISTED_AS_JSON,
    "api.export_csv": LISTED_AS_JSON[:12:4],
    "api.export_jsonl": ["", "?session={session_id}"],
    "api.list_messages": ["", "?limit=1", "?sort=created_at", "?after=2026-03-01T00:00:00Z"],
    "api.get_session": ["", "?messages=10"],
    "api.list_contacts": ["", "?q=ada", "?q=1555", "?cursor={contact_id}"],
    "api.list_decisions": ["", "?kind=created", "?number=%2B15558675310", "?type=sms"],
    "api.get_whatif": ["", "?threshold=60", "?threshold=60&type=sms"],
    "api.get_stats": ["", "?type=sms", "?channel=sms:%2B15017122661"],
    "api.list_webhook_deliveries": ["", "?status=failed"],
}
PATHS = {"admin.analytics_csv": [{"name": name} for name in ("messages", "sessions")]}
# Files and texts of ours, and a stream of MongoDB's changes, which is no query.
NOT_ASKED = {
    "admin.static",
    "admin.no_such_page",
    "api_docs.docs_file",
    "chat_pages.file",
    "chat_pages.demo",
    "admin.live",
}
# Nothing was fetched in this test, and MongoDB's own clock may say that what was kept of a webhook is over.
EMPTY_HANDED = {"admin.media_file", "api.get_file", "admin.webhook"}


class Sent(CommandListener):
    """Remembers one command of each shape that was sent to the database."""

    def __init__(self) -> None:
        self.by_shape: dict[str, tuple[str, dict[str, Any]]] = {}
        self.asked = ""
        self.names: list[str] = []

    def started(self, event: Any) -> None:
        self.names.append(event.command_name)
        if not self.asked or event.command_name not in EXPLAINED:
            return
        command = {name: value for name, value in event.command.items() if name not in NOT_EXPLAINED}
        for one in _each(command):
            if not _is_stream(one):
                self.by_shape.setdefault(repr(_shape(one)), (self.asked, one))

    def looked_up(self, asked: str, times: int) -> Iterator[tuple[str, str]]:
        """Tell the collection and the field of each find of so many values at once."""
        for by, command in self.by_shape.values():
            for field, wanted in command.get("filter", {}).items():
                if by == asked and isinstance(wanted, Mapping) and len(wanted.get("$in", ())) == times:
                    yield command["find"], field

    def succeeded(self, event: Any) -> None: ...

    def failed(self, event: Any) -> None: ...


def _each(command: dict[str, Any]) -> Iterator[dict[str, Any]]:
    """Give each of several writes that were sent as one."""
    for many in ("updates", "deletes"):
        if many in command:
            yield from (command | {many: [one]} for one in command[many])
            return
    yield command


def _is_stream(command: Mapping[str, Any]) -> bool:
    return any("$changeStream" in step for step in command.get("pipeline", ()))


def _shape(value: Any) -> Any:
    if isinstance(value, Mapping):
        return {name: one if name in EXPLAINED else _shape(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        # One value may be looked up in another way than several.
        return [len(value) > 1, *sorted({repr(_shape(one)) for one in value})]
    return type(value).__name__


@pytest.fixture
def sent(monkeypatch) -> Sent:
    # The driver tells only those who listened when the connection was made.
    connection.disconnect()
    recorder = Sent()
    monkeypatch.setattr(clients, "MongoClient", functools.partial(MongoClient, event_listeners=[recorder]))
    return recorder


@pytest.fixture
def app(sent, make_app) -> Flask:
    return make_app(
        env="development",
        reply={"responder": "echo"},
        inspector={"sample_rate": 1},
        api={"requests_per_minute": 100_000},
    )


def explained(sent: Sent, db: Any) -> Iterator[str]:
    """Say of each command what it does that no index spares it."""
    for asked, command in sent.by_shape.values():
        name, collection = next(iter(command.items()))
        command = command | ({"cursor": {}} if name == "aggregate" else {})
        facts = list(_facts(db.command("explain", command, verbosity="executionStats")))
        if READ in facts and collection not in READ_WHOLE:
            yield f"{asked} reads all {collection}: {_told(command)}"
        most = max((fact for fact in facts if fact != READ), default=0)
        if most > FEW:
            yield f"{asked} sorts {most} {collection}: {_told(command)}"


def _told(command: Mapping[str, Any]) -> str:
    return str({name: value for name, value in command.items() if name not in ("projection", "fields")})[:600]


def _facts(plan: Any) -> Iterator[int]:
    """Give READ for each collection that is read from end to end, and of each sort how many rows it was given."""
    if isinstance(plan, list):
        for one in plan:
            yield from _facts(one)
    elif isinstance(plan, Mapping):
        stage = str(plan.get("stage", "")).upper()
        if stage == "COLLSCAN" or plan.get("collectionScans"):
            yield READ
        if stage == "SORT":
            yield int(plan.get("inputStage", {}).get("nReturned", 0))
        if "$sort" in plan:
            yield int(plan.get("nReturned", 0))
        for name, value in plan.items():
            if name not in ("rejectedPlans", "command", "serverParameters", "queryPlanner"):
                yield from _facts(value)


def fill(db: Any) -> None:
    """Have enough of everything for MongoDB to prefer an index."""
    rows = [
        {
            "_id": ObjectId(),
            "channel_id": LINE if number % 2 else f"voice:+1501712266{number % 7}",
            "communication_type": TYPES[number % 2 * 2],
            "status": STATUSES[1 if number % 50 else 2],
            "title": f"SMS from +1555{number:07}",
            "keys": [f"sms|+15017122661|+1555{number % 90:07}"],
            "metadata": {"fromNumber": f"+1555{number:07}", "firstMessageAt": TEN},
            "message_count": 1,
            "createdAt": TEN,
            "first_message_at": TEN - timedelta(minutes=number),
            "last_message_at": TEN - timedelta(minutes=number),
            **({"has_failed": True, "tags": ["vip"], "assigned_to": "ada"} if number % 100 == 0 else {}),
            **({"needs_person": {"reason": "handed_over", "at": TEN}} if number % 100 == 1 else {}),
        }
        for number in range(SESSIONS)
    ]
    db.sessions.insert_many(rows)
    shared = {
        "direction": "inbound",
        "sender": "contact",
        "content": "Hello, two words",
        "decision": {"kind": "created"},
    }
    db.messages.insert_many(
        {"_id": f"SMx{number}", "session_id": row["_id"], "channel_id": row["channel_id"], **shared}
        | dict.fromkeys(("createdAt", "storedAt"), row["last_message_at"])
        for number, row in enumerate(rows)
    )


def webhooks(app: Flask, clock: Any, twilio: Twilio) -> None:
    """Send what opens, reuses and rolls over a session, and all that follows from a message and a call."""
    sid = twilio.sid()
    for seconds in (0, 100, 1000, -2000):
        clock.tick(seconds)
        twilio.sms(MessageSid=sid) if seconds == 100 else twilio.sms()
        twilio.whatsapp()
    for _ in range(2):
        twilio.sms(MessageSid=sid)
    media = {"NumMedia": "1", "MediaUrl0": "https://api.twilio.com/x", "MediaContentType0": "image/png"}
    twilio.sms("STOP")
    twilio.sms("START")
    twilio.sms(**media)
    call = twilio.sid("CA")
    twilio.call(CallSid=call)
    turn = fixture("voice/incoming") | {"CallSid": call, "SpeechResult": "Hello", "Confidence": "0.9"}
    twilio.post("/webhooks/voice/turn?turn=1", turn)
    twilio.post("/webhooks/voice/status", fixture("voice/incoming") | {"CallSid": call, "CallStatus": "completed"})
    twilio.post("/webhooks/status", {"MessageSid": sid, "MessageStatus": "delivered", "AccountSid": ACCOUNT})
    app.test_client().post("/webhooks/sms", data={"Body": "forged"})
    app.extensions["inspector"].flush()


def groups(app: Flask, clock: StoppedClock) -> None:
    """Send texts of several senders as one group, known ones and new ones, and then what is said in several calls."""
    people = [f"+1555000{number:04}" for number in range(GROUP)]
    calls = [f"CA{number:032x}" for number in range(9000, 9000 + GROUP)]
    for person, call in zip(people, calls, strict=True):
        Twilio(app.test_client()).sms(From=person, MessageSid=f"SMfirst{person}")
        Twilio(app.test_client()).call(From=person, CallSid=call)

    def text(person: str, when: str = "then") -> None:
        Twilio(app.test_client()).sms(From=person, MessageSid=f"SM{when}{person}")

    def speak(call: str, person: str) -> None:
        said = fixture("voice/gather_speech") | {"CallSid": call, "From": person}
        Twilio(app.test_client()).post("/webhooks/voice/turn?turn=1", said)

    together(app, [functools.partial(text, person) for person in people])
    clock.tick(301)
    together(app, [functools.partial(text, person, "over") for person in people])
    clock.tick(301 * 12)
    together(app, [functools.partial(text, person, "long-over") for person in people])
    together(app, [functools.partial(text, f"+1555900{number:04}") for number in range(GROUP)])
    together(app, [functools.partial(speak, *one) for one in zip(calls, people, strict=True)])


def known(db: Any, owner: Program) -> dict[str, str]:
    """Make what routes name, and give their names for it."""
    hook = owner.post("/webhooks", json={"url": "https://example.com/hook", "events": ["message.received"]}).json
    file = io.BytesIO(written(session(), message(1)))
    opened = db.sessions.find_one({"open_keys": {"$exists": True}, "channel_id": LINE})
    return {
        "session_id": str(opened["_id"]),
        "contact_id": str(opened["contact_id"]),
        "message_id": str(db.messages.find_one({"session_id": opened["_id"]})["_id"]),
        "webhook_id": hook["id"],
        "import_id": owner.post("/imports", data={"file": (file, "rows.jsonl")}).json["id"],
        "inspection_id": str(ObjectId()),
        "channel_id": opened["channel_id"],
        "file_format": "csv",
        "number": "0",
        "moment": str(round(TEN.timestamp() * 1000)),
        "cursor": f"{round(TEN.timestamp() * 1000)}-{opened['_id']}",
    }


def routes(app: Flask, names: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Give every address that answers GET, as often as it has something else to be asked for."""
    for rule in app.url_map.iter_rules():
        if "GET" not in rule.methods or rule.endpoint in NOT_ASKED:
            continue
        for path, query in itertools.product(PATHS.get(rule.endpoint, [{}]), QUERIES.get(rule.endpoint, [""])):
            missing = rule.arguments - names.keys() - path.keys()
            assert not missing, f"{rule}: say in `known` or PATHS what to ask for as {missing}"
            with app.test_request_context():
                url = app.url_map.bind("").build(rule.endpoint, {name: (names | path)[name] for name in rule.arguments})
            yield rule.endpoint, url + query.format_map(names)


def ask_everything(app: Flask, names: Mapping[str, str], key: str, sent: Sent) -> Iterator[str]:
    """Ask each route, pages as somebody who sees all channels and as somebody who sees one; gives what failed."""
    program, site = Program(app.test_client(), key), Visitor(app.test_client(), key, {"user_id": "alice"})
    chat = site.say()["session_id"]
    users.add("admin", PASSWORD, TEN)
    users.add("bea", PASSWORD, TEN, channels=[LINE])
    everybody, limited = Console(app.test_client()), Console(app.test_client())
    everybody.log_in(name="admin")
    limited.log_in(name="bea")
    for endpoint, url in routes(app, names):
        sent.asked = f"GET {url}"
        if endpoint.startswith("chat."):
            answer = site.get(url.removeprefix("/api/chat").replace(names["session_id"], chat))
        elif endpoint.startswith("api."):
            answer = program.get(url)
        else:
            answer = everybody.get(url)
            limited.get(url)
        if answer.status_code >= 400 and endpoint not in EMPTY_HANDED:
            yield f"{url}: {answer.status}"


def watch_and_point(db: Any, message_id: str, session_id: str) -> None:
    """Ask what the commands ask that watch, judge and replay messages, and point numbers."""
    tailing.newest(20)
    tailing.messages([message_id])
    tailing.sessions([session_id])
    tailing.seen(None)
    tailing.seen(TEN)
    resent.note(message_id, TEN, "a test", "gateway.example.com", answer=False)
    counted_sessions.filed([message_id])
    counted_sessions.sessions([session_id])
    finding.newest_ids(["sms|+15017122661|+15550000001"], limit=10)
    outbound.by_sid("SM1")
    mine = tunnels.Tunnel("https://abc.example.com", "me", "host", 1, TEN)
    for number in range(FEW):
        stood = Layer({"sms_url": "https://other.example.com"}, {})
        row = pointings.Pointing(f"PN{number}", ACCOUNT, f"+1501712{number:04}")
        written = pointings.write(row, Layers(stood if number % 50 == 0 else Layer()), at=TEN, by="a test")
        tunnels.hold(f"env{number}", mine, TEN)
    pointings.write(written, Layers(), at=TEN, by="a test")
    assert pointings.get("PN0") in pointings.outstanding()
    assert tunnels.of("env1")
    assert len(tunnels.others("env1")) == FEW - 1
    assert tunnels.let_go("env1", "me")


def test_no_command_of_a_webhook_a_page_or_the_api_reads_a_collection_or_sorts_one(
    app, db, clock, twilio, sent, monkeypatch
):
    monkeypatch.setattr(listing, "FEW", FEW)
    fill(db)
    _, key = api_keys.add("test", ["admin"], TEN, by="a test")
    sent.asked = "a webhook"
    webhooks(app, clock, twilio)
    sent.asked = "a group"
    groups(app, clock)
    looked_up = {("sessions", "keys"), ("messages", "_id"), ("contacts", "identifiers")}
    assert looked_up <= set(sent.looked_up("a group", GROUP))
    sent.asked = "the command line"
    newest = db.messages.find_one({"communication_type": "sms"}, sort=[("storedAt", -1)])
    watch_and_point(db, newest["_id"], str(newest["session_id"]))
    sent.asked = ""
    names = known(db, Program(app.test_client(), key))
    assert "\n".join(ask_everything(app, names, key, sent)) == ""
    assert len(sent.by_shape) > 150
    assert "\n".join(explained(sent, db)) == ""


def test_an_ordinary_webhook_costs_three_commands_and_a_forged_one_none(app, clock, twilio, sent):
    """Each is a trip that Twilio waits for; what is looked at beside it is looked at in the background."""
    twilio.sms()
    costs = {}
    for what, ask in {
        "reused": twilio.sms,
        "resent": lambda: twilio.sms(GatewayResentAt=TEN.isoformat()),
        "forged": lambda: app.test_client().post("/webhooks/sms", data={"Body": "forged"}),
        "no probe of ours": lambda: app.test_client().post("/webhooks/probe", data={"Body": "forged"}),
    }.items():
        sent.names.clear()
        ask()
        costs[what] = sorted(sent.names)
    ordinary = ["find", "insert", "update"]
    assert costs == {"reused": ordinary, "resent": ordinary, "forged": [], "no probe of ours": []}
