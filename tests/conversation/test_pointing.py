"""Numbers pointed here and back: whatever is killed when, whoever else is at it, what stood there can be put back."""

import itertools
from dataclasses import replace

import pytest

from gateway.clients.twilio_account import TwilioAccount
from gateway.conversation import pointing
from gateway.conversation.pointing import CannotPoint
from gateway.core.accounts import AccountError, Unreachable
from gateway.core.wiring import differences
from gateway.store import pointings
from tests.conftest import HOST
from tests.stand_ins.twilio_account import Fault, TwilioAccountStandIn

OURS, SENDER = "+15017122661", "whatsapp:+15017122661"
OLD = {"sms_url": "https://old.example/sms", "voice_url": "https://old.example/voice", "voice_method": "GET"}
TUNNEL = "https://tunnel.example.net"


class Killed(BaseException):
    """The process ends here."""


@pytest.fixture(scope="module")
def served():
    with TwilioAccountStandIn() as server:
        yield server


@pytest.fixture
def stand_in(served):
    for kept in (served.numbers, served.whatsapp, served.faults, served.updates):
        kept.clear()
    served.slow_senders = 0
    return served


@pytest.fixture
def account(app, stand_in, make_settings):
    return TwilioAccount(make_settings(twilio={"api_base_url": stand_in.url}), pause=lambda _: None)


@pytest.fixture
def ours(clock, account):
    """Point and put back one number, as ada."""

    class Ours:
        def point(self, url=HOST, written=OURS, channels=(), **how):
            number = account.find(written)
            should = pointing.wanted(number, url, channels)
            return pointing.point(clock, account, number, should, by="ada", **how)

        def restore(self, **how):
            (row,) = pointings.outstanding()
            return pointing.restore(clock, account, row, by="ada", **how)

    return Ours()


def stands(row, *fields):
    return {name: row[name] for name in fields or OLD}


def test_a_number_calls_us_and_then_what_it_called_before(stand_in, ours, db):
    row = stand_in.own(OURS, **OLD, trunk_sid="TK1")
    before = dict(row)
    done = ours.point()
    assert [one.field for one in done.changed][:3] == ["sms_url", "sms_fallback_url", "voice_url"]
    assert row["sms_url"] == f"{HOST}/webhooks/sms#rc=2&rp=ct,5xx"
    assert (row["status_callback"], row["voice_method"]) == (f"{HOST}/webhooks/voice/status#rc=2&rp=ct,5xx", "POST")
    assert not row["trunk_sid"]
    assert ours.point().changed == ()
    assert ours.restore().left == {}
    assert row == before
    assert pointings.outstanding() == []
    assert [one["action"] for one in db.audit.find()] == ["number_pointed", "number_restored"]


def test_a_sender_too(stand_in, ours):
    row = stand_in.sender(SENDER, callback_url="https://old.example/")
    ours.point(written=SENDER)
    assert row["webhook"]["status_callback_url"] == f"{HOST}/webhooks/status#rc=2&rp=ct,5xx"
    ours.restore()
    assert (row["webhook"]["callback_url"], row["webhook"]["status_callback_url"]) == ("https://old.example/", "")


def test_a_sender_is_believed_only_when_twilio_has_made_the_change(stand_in, ours):
    row = stand_in.sender(SENDER, callback_url="https://old.example/")
    stand_in.slow_senders = 2
    ours.point(written=SENDER)
    assert row["webhook"]["callback_url"] == "https://old.example/"
    assert ours.restore().put_back["whatsapp_callback_url"] == "https://old.example/"
    stand_in.slow_senders = 9
    with pytest.raises(AccountError, match=r"still changing .* Run it again in a minute"):
        ours.point(written=SENDER), ours.restore()


def test_one_channel_of_a_number_leaves_the_other_alone(stand_in, ours):
    row = stand_in.own(OURS, **OLD)
    ours.point(channels=["sms"])
    assert (row["voice_url"], row["voice_method"]) == (OLD["voice_url"], "GET")
    stand_in.own("+15557650001", capabilities={"voice": True, "sms": False, "mms": False})
    with pytest.raises(CannotPoint, match="takes voice, so there is nothing to point"):
        ours.point(written="+15557650001", channels=["sms"])


def test_pointed_twice_it_is_put_back_to_what_was_there_first(stand_in, ours):
    row = stand_in.own(OURS, **OLD)
    ours.point("https://one.example.net")
    ours.point("https://two.example.net")
    ours.restore()
    assert stands(row) == OLD


def test_a_tunnel_is_put_back_to_what_was_pointed_for_good_and_then_that(stand_in, ours):
    row = stand_in.own(OURS, **OLD)
    ours.point()
    pointed = dict(row)
    ours.point(TUNNEL, passing=True)
    ours.point("https://next.example.net", passing=True)
    assert ours.restore().remains
    assert row == pointed
    assert not ours.restore().remains
    assert stands(row) == OLD


def test_what_is_pointed_for_good_during_a_tunnel_stays(stand_in, ours):
    row = stand_in.own(OURS, **OLD)
    ours.point(TUNNEL, passing=True)
    ours.point()
    pointed = dict(row)
    assert not ours.restore().remains
    assert stands(row) == OLD
    assert pointed["sms_url"].startswith(HOST)


def test_the_end_of_a_tunnel_does_not_end_what_was_pointed_for_good_meanwhile(stand_in, ours, account, clock):
    row = stand_in.own(OURS, **OLD)
    ours.point(TUNNEL, passing=True)
    (seen,) = pointings.outstanding()
    ours.point(TUNNEL)
    assert pointing.restore(clock, account, seen, by="ada").put_back == {}
    assert row["sms_url"].startswith(TUNNEL)
    (kept,) = pointings.outstanding()
    ours.point("https://next.example.net", passing=True)
    with pytest.raises(CannotPoint, match="at a tunnel meanwhile"):
        pointing.restore(clock, account, kept, by="ada")
    assert ours.restore().remains
    assert not ours.restore().remains
    assert stands(row) == OLD


def test_what_somebody_else_changed_is_left_unless_it_is_forced(stand_in, ours):
    row = stand_in.own(OURS, **OLD)
    ours.point()
    row["sms_url"] = "https://new.example/sms"
    assert ours.restore().left == {"sms_url": OLD["sms_url"]}
    assert stands(row) == OLD | {"sms_url": "https://new.example/sms"}
    assert ours.restore().left == {"sms_url": OLD["sms_url"]}
    ours.restore(force=True)
    assert stands(row) == OLD
    assert pointings.outstanding() == []


def test_or_unless_what_was_there_is_forgotten(stand_in, ours, db):
    row = stand_in.own(OURS, **OLD)
    ours.point()
    row["sms_url"] = "https://new.example/sms"
    ours.restore(forget=True)
    assert row["sms_url"] == "https://new.example/sms"
    assert pointings.outstanding() == []
    assert db.audit.find_one({"action": "pointing_forgotten"})["details"]["changes"] == [
        {"field": "sms_url", "was": OLD["sms_url"]}
    ]


def test_what_somebody_else_put_there_is_what_is_put_back_after_the_next_pointing(stand_in, ours):
    row = stand_in.own(OURS, **OLD)
    ours.point()
    row["sms_url"] = "https://new.example/sms"
    ours.point()
    ours.restore()
    assert stands(row) == OLD | {"sms_url": "https://new.example/sms"}


def test_what_is_ours_is_believed_only_since_it_was_put_back_last(stand_in, ours):
    row = stand_in.own(OURS, **OLD)
    ours.point()
    pointed = dict(row)
    ours.restore()
    row.update(pointed)
    ours.point(TUNNEL, passing=True)
    ours.restore()
    assert row == pointed


WRITES = ["gateway.store.pointings.write", "gateway.store.audit.note", "TwilioAccount.update"]


@pytest.mark.parametrize("after", [False, True])
@pytest.mark.parametrize("where", WRITES)
@pytest.mark.parametrize("verb", ["point", "restore"])
def test_killed_at_any_step_it_can_be_done_again_and_put_back(stand_in, ours, db, monkeypatch, verb, where, after):
    row = stand_in.own(OURS, **OLD)
    if verb == "restore":
        ours.point()
    _kill(monkeypatch, where, after=after)
    with pytest.raises(Killed):
        getattr(ours, verb)()
    monkeypatch.undo()
    if verb == "point":
        ours.point()
        assert row["sms_url"].startswith(HOST)
    if pointings.outstanding():
        assert ours.restore().left == {}
    assert stands(row) == OLD
    assert pointings.outstanding() == []
    actions = [one["action"] for one in db.audit.find()]
    assert {"number_pointed", "number_restored"} <= set(actions)


def _kill(monkeypatch, where, *, after):
    owner, _, name = where.rpartition(".")
    owners = {"TwilioAccount": TwilioAccount, "gateway.store.pointings": pointings}
    target = owners.get(owner) or pointing.audit
    real = getattr(target, name)

    def dies(*args, **kwargs):
        if after:
            real(*args, **kwargs)
        raise Killed

    monkeypatch.setattr(target, name, dies)


def test_killed_right_after_the_record_everything_can_be_restored_without_pointing_again(stand_in, ours, monkeypatch):
    row = stand_in.own(OURS, **OLD)
    _kill(monkeypatch, "TwilioAccount.update", after=True)
    with pytest.raises(Killed):
        ours.point()
    monkeypatch.undo()
    assert row["sms_url"].startswith(HOST)
    ours.restore()
    assert stands(row) == OLD


def test_a_change_whose_answer_is_lost_can_be_put_back(stand_in, ours):
    row = stand_in.own(OURS, **OLD)
    stand_in.faults.append(Fault(reset=True, accept=True, on="update"))
    with pytest.raises(Unreachable):
        ours.point()
    assert row["sms_url"].startswith(HOST)
    ours.restore()
    assert stands(row) == OLD


def test_what_twilio_refuses_is_said_and_nothing_is_left_to_put_back(stand_in, ours):
    row = stand_in.own(OURS, **OLD)
    stand_in.faults.append(Fault(400, 21502, "SmsUrl is not a valid URL", on="update"))
    with pytest.raises(AccountError, match="21502"):
        ours.point()
    assert (ours.restore().put_back, stands(row)) == ({}, OLD)


@pytest.mark.parametrize("step", range(4))
@pytest.mark.parametrize("other", ["point", "point again", "restore"])
def test_two_at_once_in_any_order_lose_nothing(stand_in, ours, account, clock, monkeypatch, step, other):
    """At one of its steps another one does all of its own; in the end what was there first can be put back."""
    row = stand_in.own(OURS, **OLD)
    if other != "point":
        ours.point("https://one.example.net")
    steps = itertools.count()

    def interrupted(real):
        def goes_on(*args, **kwargs):
            if next(steps) == step:
                if other != "restore":
                    ours.point("https://other.example.net")
                elif pointings.outstanding():
                    ours.restore()
            return real(*args, **kwargs)

        return goes_on

    for target, name in ((pointings, "get"), (pointings, "write"), (account, "fetch"), (account, "update")):
        monkeypatch.setattr(target, name, interrupted(getattr(target, name)))
    ours.point("https://two.example.net")
    assert next(steps) > step
    monkeypatch.undo()
    assert row["sms_url"].startswith(("https://two.example.net", "https://other.example.net"))
    ours.restore()
    assert stands(row) == OLD


def test_a_tunnel_that_was_put_back_just_before_it_was_pointed_at_can_be_put_back(stand_in, ours, account, monkeypatch):
    row = stand_in.own(OURS, **OLD)
    ours.point()
    pointed, real = dict(row), account.update

    def late(*args):
        monkeypatch.undo()
        ours.restore()
        return real(*args)

    monkeypatch.setattr(account, "update", late)
    ours.point(TUNNEL, passing=True)
    assert row["sms_url"].startswith(TUNNEL)
    assert ours.restore().remains
    assert row == pointed


def test_what_was_agreed_to_is_not_done_to_something_else(stand_in, ours, account):
    row = stand_in.own(OURS, **OLD)
    seen = account.find(OURS).wiring
    row["sms_url"] = "https://new.example/sms"
    with pytest.raises(CannotPoint, match=r"Somebody changed .* meanwhile"):
        ours.point(seen=seen)
    assert stand_in.updates == []
    assert pointings.outstanding() == []


def test_a_number_that_was_given_back_is_forgotten_with_an_entry(stand_in, ours, db):
    row = stand_in.own(OURS, **OLD)
    ours.point()
    del stand_in.numbers[row["sid"]]
    assert ours.restore().gone
    assert pointings.outstanding() == []
    told = db.audit.find_one({"action": "pointing_forgotten", "details.changes.field": "sms_url"})
    assert {"field": "sms_url", "was": OLD["sms_url"]} in told["details"]["changes"]


def test_a_password_in_an_old_address_is_put_back_and_in_no_entry(stand_in, ours, db, capsys):
    secret = "https://user:hunter22@old.example/sms?token=hunter22"
    row = stand_in.own(OURS, sms_url=secret)
    ours.point()
    ours.restore()
    assert row["sms_url"] == secret
    assert "hunter22" not in str(list(db.audit.find())) + capsys.readouterr().out


@pytest.mark.parametrize(
    "url",
    ["", "http://localhost:8080", "http://127.0.0.1:8080", "https://10.0.0.5", "http://gateway", "https://a.local"],
)
def test_where_twilio_cannot_call_nothing_is_pointed(stand_in, ours, url):
    stand_in.own(OURS, **OLD)
    with pytest.raises(CannotPoint, match=r"PUBLIC_URL .*so Twilio could not call it\. Set PUBLIC_URL"):
        ours.point(url)
    assert stand_in.updates == []


def test_what_is_written_down_survives_its_way_through_mongodb(stand_in, ours, account):
    stand_in.own(OURS, **OLD)
    ours.point(TUNNEL, passing=True)
    (row,) = pointings.outstanding()
    number = account.find(OURS)
    assert row == replace(row, sid=number.sid, address=OURS, by="ada", version=1)
    assert differences(number.wiring, pointing.wanted(number, TUNNEL)) == []
