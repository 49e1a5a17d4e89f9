"""What HubSpot is asked and what its answers mean."""

from typing import Any

import pytest
import structlog.testing

from gateway.clients import asking
from gateway.clients.hubspot import HubSpot as Client
from gateway.core.crm import CrmConflict, CrmFailed, CrmGone, Entry, Facts, Known, Line, body, fitting
from gateway.core.errors import ConfigError
from gateway.settings import load
from tests.conftest import TEN, USUAL
from tests.stand_ins.hubspot import TOKEN, HubSpot, Refused

ADA = Facts("65f0c0ffee", "Ada Lovelace", ("ada@example.com",), ("+4915112345678",))


@pytest.fixture
def hubspot() -> Any:
    with HubSpot() as hubspot:
        yield hubspot


@pytest.fixture
def client(hubspot: HubSpot, tmp_path: Any) -> Client:
    crm = {"provider": "hubspot", "access_token": TOKEN, "base_url": hubspot.url, "timeout_seconds": 0.5}
    return Client(load(**USUAL, data_dir=tmp_path, crm=crm))


def test_a_contact_whose_answer_was_lost_is_found_though_the_search_lags(client: Client, hubspot: HubSpot) -> None:
    hubspot.unseen = 1000
    client.find(ADA)
    hubspot.faults = ["lose"]
    with pytest.raises(CrmFailed) as lost:
        client.create(ADA)
    assert (lost.value.permanent, lost.value.code) == (False, "unreachable")
    assert client.find(Facts("65f0c0ffee")) == Known(
        "101",
        "Ada Lovelace",
        "ada@example.com",
        "+4915112345678",
        "https://app.hubspot.com/contacts/4711/record/0-1/101",
    )


def test_an_entry_that_is_written_twice_is_there_once(client: Client, hubspot: HubSpot) -> None:
    contact = hubspot.add(email="ada@example.com")
    for kind, where in (
        ("voice", "notes"),
        ("chat", "notes"),
        ("sms", "communications"),
        ("whatsapp", "communications"),
    ):
        entry = Entry(f"{kind}:1..2", kind, TEN, "<p>hello</p>")
        assert client.log(contact, entry) == client.log(contact, entry)
        found = hubspot.objects[where][client.entry(kind, entry.key)]["properties"]
        assert found["hs_timestamp"] == "1772359200000"
    assert len(hubspot.of(contact)) == 4
    assert {one["properties"].get("hs_communication_channel_type") for one in hubspot.of(contact)} == {
        "SMS", "WHATS_APP", None,
    }  # fmt: skip
    # Our properties are made once, and looked for once in the life of a process.
    assert hubspot.asked("crm/properties") == 2 * 4
    client.erase("sms", [client.entry("sms", "sms:1..2")])
    assert len(hubspot.of(contact)) == 3


def test_an_entry_for_a_contact_that_is_gone(client: Client, hubspot: HubSpot) -> None:
    with pytest.raises(CrmGone):
        client.log("999", Entry("k", "sms", TEN, ""))


def test_an_email_that_is_taken_names_who_has_it(client: Client, hubspot: HubSpot) -> None:
    has = hubspot.add(email="ada@example.com")
    with pytest.raises(CrmConflict) as conflict:
        client.create(ADA)
    assert conflict.value.existing == has


@pytest.mark.parametrize("written", ["+49 151 12345678", "0151 / 123 456 78", "015112345678", "4915112345678"])
def test_a_phone_is_found_as_people_write_it(client: Client, hubspot: HubSpot, written: str) -> None:
    hubspot.add(mobilephone=written)
    assert client.find(ADA)


@pytest.mark.parametrize("written", ["+1 151 12345678", "9915112345678", "", "5112345678"])
def test_another_phone_is_somebody_else(client: Client, hubspot: HubSpot, written: str) -> None:
    hubspot.add(phone=written)
    assert client.find(ADA) is None


@pytest.mark.parametrize(
    ("fault", "after", "words"),
    [
        ({"retry_after": "12"}, 12, "for now"),
        ({"retry_after": "", "policy": "DAILY"}, 1800, "for today"),
        ({"retry_after": "", "policy": "SECONDLY"}, 10, "for now"),
    ],
)
def test_a_limit_says_how_long(client: Client, hubspot: HubSpot, fault: Any, after: float, words: str) -> None:
    vars(hubspot).update(fault)
    hubspot.faults = [429]
    with pytest.raises(CrmFailed, match=words) as limited:
        client.get("1")
    assert (limited.value.account, limited.value.retry_after) == (True, after)


def test_whoever_hangs_redirects_or_talks_without_end_is_left(
    client: Client, hubspot: HubSpot, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(asking, "MOST_BYTES", 100)
    hubspot.refuses["contacts/1"] = Refused(400, "x" * 200)
    hubspot.refuses["contacts/2"] = Refused(302)
    hubspot.faults = ["hang"]
    for contact_id, code, words in (
        ("3", "unreachable", "within 0.5 s"),
        ("1", "unreachable", "kB"),
        ("2", "302", "redirect"),
    ):
        with pytest.raises(CrmFailed, match=words) as failed:
            client.get(contact_id)
        assert failed.value.code == code


def test_a_property_that_is_not_unique_is_refused(client: Client, hubspot: HubSpot) -> None:
    hubspot.properties["contacts"]["conversation_gateway_id"] = {"name": "conversation_gateway_id"}
    with pytest.raises(CrmFailed, match="does not require unique values"):
        client.find(ADA)


def test_neither_token_nor_addresses_are_in_errors_and_logs(client: Client, hubspot: HubSpot) -> None:
    said = []
    hubspot.refuses["GET"] = Refused(400, '[{"message":"ada@example.com","name":"email"}]')
    with structlog.testing.capture_logs() as logs:
        for fault in ("drop", "hang", 500, None):
            hubspot.faults = [fault]
            with pytest.raises(CrmFailed) as failed:
                client.find(ADA)
            said.append(f"{failed.value!s}{failed.value!r}{failed.value.__cause__}")
    assert not [word for word in (TOKEN, "ada@", "151123") if word in f"{said}{logs}"]


def test_a_provider_without_a_token_is_refused(tmp_path: Any) -> None:
    with pytest.raises(ConfigError, match="GATEWAY_CRM__ACCESS_TOKEN is not set"):
        load(**USUAL, data_dir=tmp_path, crm={"provider": "hubspot", "access_token": " "})
    clear = {"provider": "hubspot", "access_token": "t", "base_url": "http://crm.example.com"}
    with pytest.raises(ConfigError, match="in the clear"):
        load(**USUAL | {"env": "production"}, data_dir=tmp_path, crm=clear)


def test_a_conversation_reads_as_one_and_is_parted_where_it_is_too_long() -> None:
    lines = [Line(TEN, "Ada & <Bob>", f"one\ntwo {index}") for index in range(3)]
    written = body("SMS", lines, url="https://gateway.example.com/a?b&c")
    assert "<p>2026-03-01 10:00 <strong>Ada &amp; &lt;Bob&gt;</strong>: one<br>two 1</p>" in written
    assert fitting(lines) == 3
    long = [Line(TEN, "Ada", "&" * 100_000)] * 5
    assert fitting(long) == 1
    assert len(body("SMS", long[:1])) < 65_536
    assert fitting([Line(TEN, "Ada", "x")] * 1000) == 200


_ODD: list[Any] = [None, 1, True, 1.5, "x", "../../x", "javascript:alert(1)", [], [None], {}, {"id": {}}]


@pytest.mark.parametrize("status", [200, 400, 403, 409, 429])
def test_what_hubspot_never_answers_is_an_error_and_leads_nowhere(
    client: Client, hubspot: HubSpot, monkeypatch: pytest.MonkeyPatch, status: int
) -> None:
    client._prepare("contacts", "conversation_gateway_id")
    client._prepare("communications", "conversation_gateway_key")
    asks = (
        lambda: client.get("1").id,  # type: ignore[union-attr]
        lambda: client.create(ADA).id,
        lambda: client.merge("1", "2").id,
        lambda: client.log("1", Entry("k", "sms", TEN, "")),
        lambda: client.entry("sms", "k"),
        lambda: client.find(Facts("k", phones=("+4915112345678",))),
    )
    names = ("id", "properties", "results", "errors", "message", "category", "context", "policyName", "url")
    bodies = [{"id": "7", name: odd} for name in names for odd in _ODD]
    bodies += [{"errors": [{"context": odd}]} for odd in _ODD]
    bodies += [{"errors": [{"context": {"requiredScopes": odd}}]} for odd in _ODD]
    bodies += [{"id": "7", "properties": {name: odd}} for name in ("email", "firstname", "phone") for odd in _ODD]
    bodies += [{"results": [{"id": odd, "properties": {"phone": "+4915112345678"}}]} for odd in _ODD]
    for told in bodies:
        monkeypatch.setattr(client._api, "ask", lambda *_, told=told, **__: asking.Answer(status, {}, told))
        for ask in asks:
            try:
                given = ask()
            except CrmFailed:
                continue
            given = given.id if isinstance(given, Known) else given
            assert given is None or given.isdecimal(), told
