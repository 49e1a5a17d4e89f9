"""What the doctor says of Twilio's account, asked over HTTP of a stand-in for it."""

from datetime import timedelta

import pytest

from gateway.conversation.doctor import account, reported
from gateway.conversation.doctor.findings import State
from gateway.core import wiring
from gateway.store import tunnels
from gateway.store.tunnels import Tunnel
from tests.conftest import TEN
from tests.conversation.doctor.conftest import only, states
from tests.stand_ins.twilio_account import ACCOUNT, TOKEN, Fault, TwilioAccountStandIn

OK, WARNING, WRONG, NOT_CHECKED = State.OK, State.WARNING, State.WRONG, State.NOT_CHECKED
HOST = "https://gateway.example.com"
OURS, OTHER, SENDER = "+15017122661", "+15557650001", "whatsapp:+15017122661"
TEXTS, CALLS = wiring.expected(HOST, ["sms"]), wiring.expected(HOST, ["voice"])
WHATSAPP = {name.removeprefix("whatsapp_"): url for name, url in wiring.expected(HOST, ["whatsapp"]).items()}


@pytest.fixture
def stand_in():
    with TwilioAccountStandIn() as server:
        yield server


@pytest.fixture
def gateway(stand_in, app, patient):
    """Make a patient that Twilio can call, with the stand-in's account."""

    def make(public_url=HOST, token=TOKEN, **given):
        section = {"api_base_url": stand_in.url, "timeout_seconds": 5}
        return patient(public_url=public_url, twilio=section, twilio_auth_token=[token], **given)

    return make


def test_an_account_that_knows_us_is_one_line(gateway, stand_in):
    stand_in.own(OURS)
    (found,) = account.account_is_known(gateway())
    assert (found.state, found.what) == (OK, f"Twilio knows {ACCOUNT}, with 1 number.")


def test_an_account_that_cannot_be_read_says_why_once(gateway, stand_in, patient):
    wrong_token = only(list(account.account_is_known(gateway(token="theirs"))), WRONG)
    assert (wrong_token.blocks, wrong_token.remedies[0][:21]) == ("Twilio does not let us in", "Set TWILIO_AUTH_TOKEN")
    nowhere = patient(public_url=HOST, twilio={"api_base_url": "http://127.0.0.1:9"})
    assert only(list(account.account_is_known(nowhere)), WRONG).blocks == "Twilio is not reached"
    stand_in.faults.append(Fault(403, on="numbers"))
    assert only(list(account.account_is_known(gateway())), WRONG).blocks == "Twilio's account cannot be read"


def test_without_an_account_nothing_is_asked(patient, monkeypatch):
    unset = only(list(account.account_is_known(patient(twilio_account_sid=""))), WRONG)
    assert "nothing can be sent" in unset.what
    developing = only(list(account.account_is_known(patient(twilio_account_sid="", env="development"))), NOT_CHECKED)
    assert unset.blocks == developing.blocks == "no Twilio account is set (TWILIO_ACCOUNT_SID)"


def test_numbers_are_compared_with_what_they_should_call_on_the_channels_they_are_used_for(gateway, stand_in):
    stand_in.own(OURS, **TEXTS, voice_url="https://demo.twilio.com/welcome")
    stand_in.own(OTHER, sms_url="https://somebody.example.com/")
    well, others = account.numbers_lead_here(gateway())
    assert (well.state, well.what) == (OK, f"{OURS}: number wired as it should be.")
    assert (others.state, others.what) == (OK, f"{OTHER}: used for something else.")


def test_what_is_otherwise_is_told_and_mended_and_can_be_put_back(gateway, stand_in, db):
    row = stand_in.own(OURS, **TEXTS | {"sms_method": "GET", "sms_fallback_url": f"{HOST}/webhooks/sms"}, voice_url="x")
    patient = gateway()
    found = only(list(account.numbers_lead_here(patient)), WRONG)
    assert found.what == f"{OURS}: 2 settings at Twilio should be otherwise."
    assert found.remedies == (f"gateway channels point sms:{OURS}",)
    assert [line.partition(" is ")[0] for line in found.details] == ["sms_method", "sms_fallback_url"]
    assert "sms_method: GET -> POST" in found.mend.lines
    assert stand_in.updates == []
    assert found.mend.apply() == f"Done. `gateway channels restore {OURS}` puts back what stood there."
    assert {name: stand_in.numbers[row["sid"]][name] for name in TEXTS} == TEXTS
    assert stand_in.numbers[row["sid"]]["voice_url"] == "x"
    assert db.audit.find_one({"action": "number_pointed"})["by"] == "gateway doctor"
    assert states(list(account.numbers_lead_here(gateway()))) == [OK]


def test_what_somebody_changed_since_it_was_shown_is_not_mended(gateway, stand_in, db):
    row = stand_in.own(OURS, **TEXTS | {"sms_method": "GET"})
    found = only(list(account.numbers_lead_here(gateway())), WRONG)
    row["sms_method"], row["sms_url"] = "POST", "https://new.example.com/"
    with pytest.raises(account.pointing.CannotPoint, match="Somebody changed"):
        found.mend.apply()
    assert stand_in.updates == []


def test_missing_retries_alone_are_a_warning(gateway, stand_in):
    stand_in.own(OURS, **{name: value.partition("#")[0] for name, value in TEXTS.items()})
    found = only(list(account.numbers_lead_here(gateway())), WARNING)
    assert "does not try again after an error (5xx)" in found.details[0]


def test_a_number_people_write_to_is_ours_wherever_it_is_pointed(gateway, stand_in, db):
    stand_in.own(OURS, sms_url="https://somebody.example.com/")
    assert only(list(account.numbers_lead_here(gateway())), WARNING).what == (
        f"The account's number does not call this gateway: {OURS}."
    )
    db.channels.insert_one({"_id": f"sms:{OURS}", "phone_number": OURS, "communication_type": "sms"})
    found = only(list(account.numbers_lead_here(gateway())), WRONG)
    assert "go there, not to this gateway" in found.details[0]


def test_a_number_people_wrote_to_that_is_gone_is_a_warning(gateway, stand_in, db):
    stand_in.own(OURS)
    db.channels.insert_many(
        {"_id": f"sms:{number}", "phone_number": number, "communication_type": "sms"} for number in (OURS, OTHER)
    )
    found = only(list(account.known_numbers_are_ours(gateway())), WARNING)
    assert found.what == f"sms:{OTHER}: in none of the accounts."


def test_where_twilio_could_not_call_us_addresses_are_not_judged(gateway, stand_in):
    stand_in.own(OURS, **TEXTS)
    for check in (account.numbers_lead_here, account.services_defer):
        assert states(list(check(gateway(public_url="http://127.0.0.1:8080")))) == [NOT_CHECKED]


def test_whatsapp_senders_are_compared_as_well_and_must_be_online(gateway, stand_in):
    stand_in.sender(SENDER, **WHATSAPP)
    assert states(list(account.senders_lead_here(gateway()))) == [OK]
    stand_in.sender("whatsapp:+15557650001", status="OFFLINE", **WHATSAPP | {"callback_url": f"{HOST}/webhooks/sms"})
    offline, well, otherwise = account.senders_lead_here(gateway())
    assert (offline.what, offline.state) == ("whatsapp:+15557650001 is offline at Twilio.", WARNING)
    assert (well.state, otherwise.state) == (OK, WRONG)


def test_a_messaging_service_that_takes_texts_elsewhere_is_found(gateway, stand_in):
    stand_in.own(OURS, **TEXTS)
    assert states(list(account.services_defer(gateway()))) == [OK]
    service = stand_in.service(OURS, inbound_request_url="https://somebody.example.com/")
    found = only(list(account.services_defer(gateway())), WRONG)
    assert (OURS in found.what, service["sid"] in found.what, bool(found.remedies)) == (True, True, True)
    service["use_inbound_webhook_on_number"] = True
    assert states(list(account.services_defer(gateway()))) == [OK]


def test_errors_twilio_had_with_our_addresses_are_counted_and_explained(gateway, stand_in):
    assert states(list(reported.twilio_reports_nothing(gateway()))) == [OK]
    for minutes in (5, 50, 60 * 25):
        stand_in.alert(f"{HOST}/webhooks/sms?x=1", TEN - timedelta(minutes=minutes))
    stand_in.alert(f"{HOST}/webhooks/voice", TEN - timedelta(hours=2), error_code="99999")
    stand_in.alert("https://somebody.example.com/webhooks/sms", TEN - timedelta(hours=1))
    many, odd = reported.twilio_reports_nothing(gateway())
    assert many.what == (
        "Twilio got an error or no answer 2 times within 24 h, last 5 min 0 s ago (error 11200): /webhooks/sms."
    )
    assert odd.remedies == ("https://www.twilio.com/docs/api/errors/99999",)


def test_while_a_tunnel_is_open_numbers_may_call_it_or_the_usual_address_and_are_not_pointed_at_it(gateway, stand_in):
    tunnel = "https://fleeting.example.net"
    tunnels.hold("test", Tunnel(tunnel, "me", "host", 1, TEN + timedelta(seconds=15)), TEN)
    stand_in.own(OURS, **TEXTS)
    stand_in.own(OTHER, **wiring.expected(tunnel, ["sms"]))
    (well,) = account.numbers_lead_here(gateway())
    assert (well.state, well.what) == (OK, f"{OURS}, {OTHER}: numbers wired as it should be.")
    stand_in.own("+15557650002", sms_url=f"{tunnel}/webhooks/sms")
    found = only(list(account.numbers_lead_here(gateway())), WARNING)
    assert (found.mend, found.remedies) == (None, ("gateway listen --point +15557650002",))
    assert gateway().public_url == tunnel


def test_a_tunnel_that_is_gone_is_no_address(gateway):
    tunnels.hold("test", Tunnel("https://fleeting.example.net", "me", "host", 1, TEN), TEN - timedelta(seconds=15))
    assert gateway().public_url == HOST
