"""Two tenants with a channel each: no route of the OpenAPI file tells one of the other's, or changes it."""

import io

import pytest

from gateway.api import documentation
from gateway.conversation import importing, regroup, subscriptions
from gateway.core.access import Access
from tests.conftest import fixture

MINE, THEIRS = "whatsapp:+14155238886", "sms:+15017122661"
THEIR_NUMBER, THEIR_LINE = "+15556667777", "+15017122661"
SECOND = "SM" + "2" * 32
SECRET = "the other tenant's customer"
HOOK = "https://example.com/"
EXPORTED = b'{"layout":"gateway","version":1}\n'

# What a route without an id in its path is asked for: their things, where it takes a body.
_SAID = {"text": "hello"}
_WRITTEN = _SAID | {"channel_id": THEIRS, "to": THEIR_NUMBER}
BODIES = {
    "add_note": _SAID,
    "assign_session": {"to": None},
    "begin_session": _WRITTEN,
    "create_chat_token": {"user_id": "somebody"},
    "change_webhook": {"active": False},
    "create_webhook": {"url": HOOK, "events": ["message.received"]},
    "replay_webhook": {"since": "2026-03-01T00:00:00Z"},
    "merge_contact": {"with": "f" * 24},
    "roll_over": {"channel_id": THEIRS, "number": THEIR_NUMBER},
    "send_message": _SAID,
    "send_to_number": _WRITTEN,
    "split_session": {"message_id": "SMnone"},
    "update_contact": {"name": "x"},
}
# What is the key's own: it hears of its own channels only.
OWN = {"create_webhook"}


@pytest.fixture
def theirs(app, twilio, db, clock):
    """A session with a file on the other tenant's channel, and the ids a route could be asked for."""
    twilio.post("/webhooks/sms", fixture("sms/mms_2media") | {"Body": SECRET, "From": THEIR_NUMBER})
    clock.tick(1)
    twilio.sms(f"{SECRET}, once more", From=THEIR_NUMBER, MessageSid=SECOND)
    twilio.whatsapp("mine", From="whatsapp:+15550001111", WaId="15550001111", ProfileName="Mine")
    session = db.sessions.find_one({"communication_type": "sms"})
    split = regroup.split(app.extensions["gateway"], str(session["_id"]), SECOND, by="them")
    them = Access("them", "admin", frozenset({THEIRS}))
    heard, _ = subscriptions.create(app.extensions["gateway"], them, url=f"{HOOK}{THEIR_NUMBER}", events=["*"])
    return {
        "session_id": str(session["_id"]),
        "webhook_id": heard.id,
        "delivery_id": subscriptions.ping(app.extensions["gateway"], heard, them),
        "regrouping_id": split.id,
        "message_id": fixture("sms/mms_2media")["MessageSid"],
        "contact_id": str(session["contact_id"]),
        "channel_id": THEIRS,
        "import_id": importing.order(app.extensions["gateway"], io.BytesIO(EXPORTED), SECRET, "them").id,
        "number": 0,
        "line": THEIR_LINE,
    }


@pytest.fixture
def tenant(program):
    """A program that may do everything, on one channel."""
    return program("admin", channels=[MINE])


def operations(app, *methods):
    """Give every operation of the file: its id, method, path and description."""
    for path, item in documentation.document(app)["paths"].items():
        for method, operation in item.items():
            if method.upper() in methods and path.startswith("/api/v1/"):
                yield operation["operationId"], method.upper(), path, operation


def filled(path, theirs):
    return path.format_map({name: str(value).replace("+", "%2B") for name, value in theirs.items()})


def asked(operation, theirs):
    """Give the query strings that name the other tenant's things, one for each parameter."""
    named = {
        "channel": THEIRS,
        "contact": theirs["contact_id"],
        "session": theirs["session_id"],
        "number": THEIR_NUMBER,
        "q": SECRET.split()[-1],
        "type": "sms",
    }
    names = [one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"]
    return ["", *(f"?{name}={named[name].replace('+', '%2B')}" for name in names if name in named)]


def test_no_route_tells_of_the_others_channel(app, tenant, theirs, db):
    hidden = [SECRET, THEIR_NUMBER[1:], THEIR_LINE[1:], theirs["session_id"], theirs["contact_id"]]
    hidden += map(str, db.messages.distinct("_id", {"channel_id": THEIRS}))
    seen = 0
    for name, method, path, operation in operations(app, "GET"):
        for query in asked(operation, theirs):
            answer = tenant.ask(method, filled(path, theirs) + query)
            assert answer.status_code in (200, 403, 404), (name, query, answer.text)
            if answer.status_code == 200:
                seen += 1
                told = [word for word in hidden if word in answer.text and word not in query]
                assert not told, (name, query)
    assert seen


def test_no_route_changes_the_others_channel(app, tenant, theirs, db):
    collections = sorted(
        {"sessions", "messages", "contacts", "channels", "outbox", "audit"} & set(db.list_collection_names())
    )

    def everything():
        found = {name: list(db[name].find({"channel_id": THEIRS})) for name in collections}
        found["channels"] = list(db.channels.find({"_id": THEIRS}))
        found["contacts"] = list(db.contacts.find({"phones": THEIR_NUMBER}))
        return found

    before = everything()
    for name, method, path, _operation in operations(app, "POST", "PUT", "PATCH", "DELETE"):
        answer = tenant.ask(method, filled(path, theirs), json=BODIES.get(name, {}))
        if name not in OWN:
            assert answer.status_code in (403, 404), (name, answer.status_code, answer.text)
    assert everything() == before
