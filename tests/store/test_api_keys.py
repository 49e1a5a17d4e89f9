"""API keys: what they prove, what they may, and what is kept of them."""

from datetime import timedelta

import mongoengine
import pytest

from gateway.conversation import keys
from gateway.conversation.keys import CannotMakeKey
from gateway.store import api_keys
from tests.conftest import TEN


@pytest.fixture(autouse=True)
def connected(app):
    return app


def test_a_key_tells_who_it_is_and_what_it_may():
    made, key = keys.create("crm", ["read", "write"], TEN, by="ada")
    found = api_keys.authenticate(key, TEN)
    assert found.prefix == made.prefix
    assert key.startswith(f"gw_{made.prefix}_")
    assert (found.access.role, found.access.channels, found.access.name) == ("agent", None, "key:crm")
    assert [found.allows(scope) for scope in api_keys.SCOPES] == [True, True, False]


@pytest.mark.parametrize(("scope", "role"), [("read", "viewer"), ("write", "agent"), ("admin", "admin")])
def test_a_scope_is_a_role(scope, role):
    _, key = keys.create("x", [scope], TEN, by="ada")
    assert api_keys.authenticate(key, TEN).access.role == role


def test_the_secret_is_nowhere_in_the_database():
    _, key = keys.create("crm", ["read"], TEN, by="ada")
    secret = key.split("_", 2)[2]
    db = mongoengine.get_db()
    assert secret not in str([list(db[name].find()) for name in ("api_keys", "audit")])
    assert len(secret) >= 40


def test_what_is_no_key_is_nobodys():
    made, key = keys.create("crm", ["read"], TEN, by="ada")
    wrong = [
        "", "gw", "gw__", "gw_" + made.prefix, f"gw_{made.prefix}_", key[:-1], key + "x", key.replace("gw_", "GW_"),
        "gw_00000000_" + key.split("_", 2)[2], "x" * 100_000, key + "\ud800", "gw_$ne_x", "gw_\ud800_x",
    ]  # fmt: skip
    assert [api_keys.authenticate(one, TEN) for one in wrong] == [None] * len(wrong)


def test_a_key_ends_when_it_expires_and_when_it_is_revoked():
    made, key = keys.create("crm", ["read"], TEN, by="ada", days=1)
    assert api_keys.authenticate(key, TEN + timedelta(hours=23))
    assert api_keys.authenticate(key, TEN + timedelta(days=1)) is None
    assert keys.revoke(made.prefix, TEN, by="bob").name == "crm"
    assert keys.revoke(made.prefix, TEN, by="bob") is None
    assert api_keys.authenticate(key, TEN) is None
    assert [one.state(TEN) for one in api_keys.every()] == ["revoked"]


def test_that_it_was_used_is_written_once_a_minute():
    _, key = keys.create("crm", ["read"], TEN, by="ada")
    used = []
    for seconds in (0, 30, 59, 60, 61):
        api_keys.authenticate(key, TEN + timedelta(seconds=seconds))
        used.append((api_keys.every()[0].last_used_at - TEN).total_seconds())
    assert used == [0, 0, 0, 60, 60]


def test_a_key_may_be_limited_to_channels(twilio):
    twilio.sms()
    (channel,) = mongoengine.get_db().channels.find()
    _, key = keys.create("crm", ["read"], TEN, by="ada", limited_to=[channel["_id"]])
    access = api_keys.authenticate(key, TEN).access
    assert access.sees(channel["_id"])
    assert not access.sees("sms:+1555")


@pytest.mark.parametrize(
    "wrong",
    [
        {"name": "  "}, {"name": "x" * 81}, {"scopes": []}, {"scopes": ["root"]}, {"days": 0}, {"days": 99_999},
        {"limited_to": []}, {"limited_to": ["sms:nowhere"]},
    ],
    ids=str,
)  # fmt: skip
def test_a_key_of_no_use_is_refused(wrong):
    given = {"name": "crm", "scopes": ["read"], "limited_to": None, "days": None} | wrong
    with pytest.raises(CannotMakeKey):
        keys.create(given.pop("name"), given.pop("scopes"), TEN, by="ada", **given)
    assert api_keys.every() == []


def test_who_made_and_ended_a_key_is_in_the_audit():
    made, _ = keys.create("crm", ["read"], TEN, by="ada")
    keys.revoke(made.prefix, TEN, by="bob")
    entries = list(mongoengine.get_db().audit.find({}, {"_id": 0, "by": 1, "action": 1}).sort("_id", 1))
    assert entries == [{"by": "ada", "action": "api_key_added"}, {"by": "bob", "action": "api_key_revoked"}]


def test_a_key_is_found_by_its_index():
    plan = mongoengine.get_db().api_keys.find({"prefix": "x"}).explain()
    assert "IXSCAN" in str(plan["queryPlanner"]["winningPlan"])
