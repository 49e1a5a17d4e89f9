"""Two agents with a channel each: no page, file, search or form of the console tells one of the other's."""

import itertools
import re

import pytest

from gateway.store import users
from tests.admin.conftest import PASSWORD, Console
from tests.conftest import TEN, fixture

MINE, THEIRS = "whatsapp:+14155238886", "sms:+15017122661"
SECRET = "the other agent's customer"
# What a query string of any page may name.
ASKS = {"q": "+15556667777", "type": "sms", "channel": THEIRS, "number": "+15017122661", "line": "+15017122661"}
# Where nothing is read of a session, or without end, or one's own login ends.
ELSEWHERE = {"admin.live", "admin.static", "admin.log_in", "admin.login_form", "admin.logout", "admin.end_logins"}


@pytest.fixture
def theirs(app, twilio, db):
    """A session with a file on the channel of the other agent, and the ids a page could be asked for."""
    twilio.post("/webhooks/sms", fixture("sms/mms_2media") | {"Body": SECRET, "From": "+15556667777"})
    twilio.sms(f"{SECRET}, once more", From="+15556667777")
    twilio.whatsapp("mine", From="whatsapp:+15550001111", WaId="15550001111", ProfileName="Mine")
    session = db.sessions.find_one({"communication_type": "sms"})
    users.add("admin", PASSWORD, TEN)
    return {
        "session_id": str(session["_id"]),
        "message_id": fixture("sms/mms_2media")["MessageSid"],
        "contact_id": str(session.get("contact_id") or session["_id"]),
        "channel_id": THEIRS,
        "number": 0,
        "name": "admin",
    }


@pytest.fixture
def agent(app, theirs):
    users.add("ben", PASSWORD, TEN, role="agent", channels=[MINE])
    console = Console(app.test_client())
    assert console.log_in(name="ben").status_code == 302
    return console


def routes(app, method, theirs):
    """Give every address of the console for a method, filled in with the other agent's ids."""
    with app.test_request_context():
        for rule in app.url_map.iter_rules():
            if not rule.endpoint.startswith("admin.") or rule.endpoint in ELSEWHERE or method not in rule.methods:
                continue
            if rule.endpoint.startswith("admin.no_such"):
                continue
            values = {name: theirs.get(name, theirs["session_id"]) for name in rule.arguments}
            for name, converter in rule._converters.items():
                values[name] = int(theirs["number"]) if type(converter).__name__ == "IntegerConverter" else values[name]
            choices = {name: sorted(one.items) for name, one in rule._converters.items() if hasattr(one, "items")}
            for chosen in itertools.product(*choices.values()):
                yield rule.endpoint, rule.build(values | dict(zip(choices, chosen, strict=True)))[1]


def test_no_address_of_the_console_reads_the_others_channel(agent, app, theirs, db):
    hidden = [
        SECRET,
        THEIRS,
        "15017122661",
        "15556667777",
        *map(str, db.messages.distinct("_id", {"channel_id": THEIRS})),
    ]
    seen = 0
    for endpoint, path in routes(app, "GET", theirs):
        for query in ("", *(f"?{name}={value.replace('+', '%2B')}" for name, value in ASKS.items())):
            answer = agent.get(path + query)
            assert answer.status_code in (200, 204, 302, 400, 403, 404), (endpoint, path + query)
            # What was asked for stands in links and fields again.
            body = re.sub(r"<[^>]*>", "", answer.text) if query else answer.text
            told = [word for word in hidden if word in body]
            assert not told, (endpoint, path + query, told)
            seen += answer.status_code == 200
    assert seen > 5


def test_no_form_of_the_console_changes_the_others_channel(agent, app, theirs, db):
    def everything():
        return {
            name: list(db[name].find({"channel_id": THEIRS}) if name != "users" else db.users.find({"name": "admin"}))
            for name in ("sessions", "messages", "users", "channels", "outbox", "audit")
        }

    before = everything()
    for endpoint, path in routes(app, "POST", theirs):
        if not re.search(r"sessions|people/|media|messages|channels/|keys/|outbox|regroup", path):
            continue
        fields = {"text": "Hello", "nonce": "0" * 32, "message_id": theirs["message_id"], "role": "viewer", "tag": "x"}
        answer = agent.post(path, form_on="/admin/account", **fields)
        assert answer.status_code in (403, 404), (endpoint, path, answer.status_code)
    assert everything() == before
