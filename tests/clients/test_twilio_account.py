"""Twilio's account over real HTTP: every page of every account, changes that may be repeated."""

from datetime import UTC, datetime, timedelta

import pytest

from gateway.clients.twilio_account import TwilioAccount
from gateway.core.accounts import AccountError, NotOurs, Unreachable, WrongCredentials
from tests.stand_ins.twilio_account import ACCOUNT, TOKEN, Fault, TwilioAccountStandIn

TEN = datetime(2026, 3, 1, 10, tzinfo=UTC)
OURS, SENDER = "+15017122661", "whatsapp:+15017122661"
OTHER = "AC" + "b" * 32


@pytest.fixture
def stand_in():
    with TwilioAccountStandIn(tokens={ACCOUNT: [TOKEN], OTHER: ["theirs"]}) as server:
        yield server


@pytest.fixture
def account(stand_in, settle):
    """Make a client of the stand-in; `pauses` is how long it waited."""

    def make(**given):
        section = {"api_base_url": stand_in.url, "timeout_seconds": 5} | given.pop("twilio", {})
        pauses = []
        made = TwilioAccount(settle(twilio=section, **given), pause=pauses.append)
        made.pauses = pauses
        return made

    return make


def test_all_pages_of_all_accounts_are_read(stand_in, account):
    for number in range(1003):
        stand_in.own(f"+1501712{number:04}")
    for number in range(103):
        stand_in.sender(f"whatsapp:+1501712{number:04}")
    stand_in.own("+15557650001", account=OTHER)
    found = account(twilio={"accounts": {OTHER: ["theirs"]}})
    assert len({one.sid for one in found.numbers()}) == 1004
    assert found.find("+15557650001").account_sid == OTHER
    assert len({one.sid for one in found.senders()}) == 103


def test_a_number_is_found_as_people_write_it_and_by_its_sid(stand_in, account):
    row, sender = stand_in.own(OURS, voice_url="https://old.example/"), stand_in.sender(SENDER)
    ours = account()
    for written in (OURS, "+1 (501) 712-2661", row["sid"]):
        assert ours.find(written).sid == row["sid"]
    for written in (SENDER, sender["sid"]):
        assert ours.find(written).sid == sender["sid"]
    assert ours.find(OURS).wiring["voice_url"] == "https://old.example/"
    with pytest.raises(NotOurs, match=r"^\+15557650001 is none of the 1 numbers of AC.*`gateway channels list`"):
        ours.find("+15557650001")


def test_a_change_changes_what_is_named_and_nothing_else(stand_in, account):
    row = stand_in.own(OURS, sms_url="https://old.example/sms", trunk_sid="TK1", voice_method="GET")
    ours = account()
    changed = ours.update(ours.find(OURS), {"voice_url": "https://new.example/", "trunk_sid": ""})
    assert stand_in.updates == [(row["sid"], {"voice_url": "https://new.example/", "trunk_sid": ""})]
    assert changed == ours.fetch(row["sid"], ACCOUNT)
    assert (changed.wiring["sms_url"], changed.wiring["voice_method"]) == ("https://old.example/sms", "GET")


def test_what_is_left_of_a_senders_webhook_is_given_again(stand_in, account):
    row = stand_in.sender(SENDER, status_callback_url="https://old.example/status")
    ours = account()
    changed = ours.update(ours.find(SENDER), {"whatsapp_callback_url": "https://new.example/"})
    assert row["webhook"]["status_callback_url"] == "https://old.example/status"
    assert changed.wiring["whatsapp_callback_url"] == row["webhook"]["callback_url"] == "https://new.example/"
    assert set(stand_in.updates[0][1]) == {"webhook"}


def test_services_say_for_which_addresses_their_own_url_is_called(stand_in, account):
    row = stand_in.own(OURS)
    stand_in.service(OURS, SENDER, inbound_request_url="https://studio.example/", friendly_name="Reminders")
    stand_in.service(OURS, use_inbound_webhook_on_number=True)
    taking, deferring = account().services()
    ours = account().find(row["sid"])
    assert taking.addresses == {OURS, SENDER}
    assert "in the Messaging Service Reminders (MG" in taking.overrides(ours, "https://gateway.example.com/")
    assert (
        taking.overrides(ours, "https://studio.example/#rc=2") == deferring.overrides(ours, "https://x.example") == ""
    )


def test_alerts_come_newest_first_and_only_of_the_span(stand_in, account):
    for minutes in (-1, 10, 30, 61):
        stand_in.alert(f"https://gateway.example.com/{minutes}", TEN + timedelta(minutes=minutes))
    stand_in.alert("https://gateway.example.com/", TEN, log_level="warning")
    new_york = TEN.astimezone(datetime.strptime("-0500", "%z").tzinfo)
    found = account().alerts(new_york, TEN + timedelta(hours=1))
    assert [one.url.rpartition("/")[2] for one in found] == ["30", "10"]
    assert (found[0].code, found[0].at) == ("11200", TEN + timedelta(minutes=30))


def test_what_passes_is_tried_again_as_twilio_says_also_a_change(stand_in, account):
    row = stand_in.own(OURS)
    stand_in.faults += [Fault(429, 20429, retry_after="7", on="update"), Fault(503, accept=True, on="update")]
    ours = account()
    assert ours.update(ours.find(OURS), {"sms_url": "https://new.example/"}).wiring["sms_url"] == row["sms_url"]
    assert ours.pauses == [7, 2]
    assert row["sms_url"] == "https://new.example/"


@pytest.mark.parametrize(
    ("faults", "error", "said"),
    [
        ([Fault(429, 20429, retry_after="900", on="numbers")], AccountError, r"\(429\)\. Run it again in 900 s"),
        ([Fault(503, on="numbers")] * 5, AccountError, r"problem of its own \(HTTP 503\)"),
        ([Fault(reset=True, on="numbers")], Unreachable, r"could not be reached \(ConnectionError\)"),
        ([Fault(200, raw="<html>", on="numbers")], AccountError, "API_BASE_URL right"),
        ([Fault(404, 404, on="numbers")], AccountError, "API_BASE_URL right"),
        (
            [Fault(403, 20008, "Not with Test Credentials", on="numbers")],
            AccountError,
            "code 20008, explained at .* Not with Test Credentials",
        ),
    ],
)
def test_what_does_not_pass_is_said_in_one_line(stand_in, account, faults, error, said):
    stand_in.faults += faults
    with pytest.raises(error, match=said) as told:
        account().numbers()
    assert "\n" not in str(told.value)
    assert TOKEN not in str(told.value)


@pytest.mark.parametrize(
    ("given", "said"),
    [
        ({"twilio_auth_token": ["guess"]}, r"does not know the token of AC.* \(401\)\. Set TWILIO_AUTH_TOKEN"),
        ({"twilio_account_sid": ""}, "needs a Twilio account: set TWILIO_ACCOUNT_SID"),
        ({"twilio_auth_token": []}, "no token for the Twilio account AC.*set TWILIO_AUTH_TOKEN"),
    ],
)
def test_wrong_credentials_name_the_setting(account, given, said):
    ours = account(**given)
    for ask in (ours.numbers, ours.senders, ours.services):
        with pytest.raises(WrongCredentials, match=said):
            ask()


def test_a_number_of_an_account_that_the_settings_do_not_name_is_not_looked_for_in_another(stand_in, account):
    row = stand_in.own(OURS, account=OTHER)
    with pytest.raises(WrongCredentials, match=f"do not name the account {OTHER}. Set GATEWAY_TWILIO__ACCOUNTS"):
        account().fetch(row["sid"], OTHER)
    with pytest.raises(NotOurs, match="404"):
        account().fetch("PN" + "0" * 32, ACCOUNT)


def test_while_tokens_are_rotated_each_is_tried_also_for_the_newer_products(stand_in, account):
    stand_in.sender(SENDER)
    ours = account(twilio_auth_token=["old", TOKEN])
    assert len(ours.senders()) == len(ours.senders()) == 1
    assert len(stand_in.requests) == 3
