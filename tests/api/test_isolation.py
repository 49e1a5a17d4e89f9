"""Two tenants: no route of the OpenAPI file tells one of the other's, or changes it.

Of the API they have a channel each; of the chat they are two users of one site, or keys of two sites.
"""

import io

import pytest
from bson import ObjectId

from gateway.api import documentation
from gateway.conversation import chat_sites, claims, importing, regroup, subscriptions
from gateway.core.access import Access
from gateway.store import claims as store_claims
from tests.api.chatting import Visitor
from tests.api.conftest import Program
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
    "begin_flow": {"flow": "callback"},
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
    runtime, contact, said = app.extensions["gateway"], str(session["contact_id"]), "claimed@example.com"
    claims.typed(runtime, contact, email=said, session_id=str(session["_id"]), source="chat")
    them = Access("them", "admin", frozenset({THEIRS}))
    heard, _ = subscriptions.create(app.extensions["gateway"], them, url=f"{HOOK}{THEIR_NUMBER}", events=["*"])
    return {
        "session_id": str(session["_id"]),
        "webhook_id": heard.id,
        "delivery_id": subscriptions.ping(app.extensions["gateway"], heard, them),
        "regrouping_id": split.id,
        "message_id": fixture("sms/mms_2media")["MessageSid"],
        "contact_id": contact,
        "claim_id": store_claims.id_of("email", said),
        "channel_id": THEIRS,
        "import_id": importing.order(app.extensions["gateway"], io.BytesIO(EXPORTED), SECRET, "them").id,
        "number": 0,
        "line": THEIR_LINE,
    }


@pytest.fixture
def tenant(program):
    """A program that may do everything, on one channel."""
    return program("admin", channels=[MINE])


def operations(app, *methods, under="/api/v1/"):
    """Give every operation of the file: its id, method, path and description."""
    for path, item in documentation.document(app)["paths"].items():
        for method, operation in item.items():
            if method.upper() in methods and path.startswith(under):
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


# What a visitor's page asks without any credential: it makes somebody new, and reads nothing.
OPEN = {"visit"}
CHAT_BODIES = {
    "change_chat_session": {"session_name": "mine", "context": {"a": 1}, "is_active": False},
    "say_in_chat": {"content": "hello"},
    "say_to_chat": {"content": "hello"},
}


@pytest.fixture
def chatting(app, program):
    """Somebody who chats on one site, as another of its users could know of them."""
    chat_sites.add(app.extensions["gateway"], "shop", "a test")
    server = Visitor(app.test_client(), program("write").key, {"user_id": "theirs", "email": "theirs@example.com"})
    server.say(f"{SECRET}, on the site")
    told = server.say(f"{SECRET}, again")
    return {"session_id": told["session_id"], "message_id": told["in_reply_to"], "answer_id": told["id"]}


@pytest.fixture
def token(app, program):
    """A browser's token for another user of the site."""
    made = program("write").post("/chat-tokens", json={"user_id": "mine", "email": "mine@example.com"})
    return Program(app.test_client(), made.json["token"])


def chat_questions(operation, theirs, who):
    """Give the query strings of a chat's route that name their things, each with whom the request is about."""
    asked = {"cursor": f"9999999999999-{theirs['session_id']}", "after": theirs["message_id"]}
    asked |= {"before": theirs["answer_id"]}
    names = [one["name"] for one in operation.get("parameters", ()) if one["in"] == "query"]
    about = "&".join(f"{name}={value}" for name, value in who.items() if name in names)
    return [about, *(f"{about}&{name}={asked[name]}" for name in names if name in asked)]


def walk_the_chat(app, program, theirs, db, who, statuses):
    """Go all routes of the chat as somebody who is not them: nothing of theirs is told, and nothing changed."""

    def everything():
        return [
            list(db.sessions.find({"channel_id": "chat:web", "metadata.userId": "theirs"})),
            list(db.messages.find({"session_id": ObjectId(theirs["session_id"])}).sort("_id", 1)),
            list(db.contacts.find({"emails": "theirs@example.com"})),
        ]

    before, walked = everything(), set()
    for name, method, path, operation in operations(app, "GET", "POST", "PUT", "DELETE", under="/api/chat/"):
        body = CHAT_BODIES.get(name, {}) | who
        named = [body, body | {"session_id": theirs["session_id"]}] if name == "say_to_chat" else [body]
        for given in [None] if method in ("GET", "DELETE") else [{"key": "pk_web_x"}] if name in OPEN else named:
            for query in chat_questions(operation, theirs, who):
                answer = program.ask(method, f"{filled(path, theirs)}?{query}", json=given)
                assert answer.status_code in statuses, (name, query, answer.text)
                if theirs["session_id"] in path.format_map(theirs) or (given or {}).get("session_id"):
                    assert answer.status_code in (403, 404), (name, query, answer.text)
                for hidden in (SECRET, "theirs@", *theirs.values()):
                    assert hidden not in answer.text or hidden in f"{path.format_map(theirs)}{query}{given}", name
        walked.add(name)
    assert len(walked) > 9
    assert everything() == before


def test_no_chat_route_tells_a_users_token_of_another_user(app, token, chatting, db):
    walk_the_chat(app, token, chatting, db, {}, (200, 201, 202, 401, 404))


def test_no_chat_route_lets_a_users_token_name_another_user(app, token, chatting, db):
    for who in ({"user_id": "theirs"}, {"channel": "shop"}):
        walk_the_chat(app, token, chatting, db, who, (401, 403))


def test_no_chat_route_lets_a_key_of_another_site_in(app, program, chatting, db):
    shop = program("admin", channels=["chat:shop"])
    walk_the_chat(app, shop, chatting, db, {"user_id": "theirs"}, (401, 404))
    walk_the_chat(app, shop, chatting, db, {"user_id": "theirs", "channel": "shop"}, (200, 201, 202, 401, 404))
    walk_the_chat(app, shop, chatting, db, {}, (401, 403))


def test_a_users_token_opens_no_route_of_the_api(app, token, theirs):
    for name, method, path, _operation in operations(app, "GET", "POST", "PUT", "PATCH", "DELETE"):
        assert token.ask(method, filled(path, theirs), json={}).status_code == 401, name
