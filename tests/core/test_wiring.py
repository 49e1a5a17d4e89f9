"""What Twilio is to call, how that differs from what it calls, and what of an address may be shown."""

import pytest

from gateway.core.wiring import differences, expected, same_place, shown, unreachable

BASE = "https://gateway.example.com/twilio/"
SHOULD = expected(BASE, {"sms", "voice"})


def test_every_address_is_under_the_public_one_with_its_retries():
    assert SHOULD["sms_url"] == SHOULD["sms_fallback_url"] == f"{BASE}webhooks/sms#rc=2&rp=ct,5xx"
    assert SHOULD["status_callback"] == f"{BASE}webhooks/voice/status#rc=2&rp=ct,5xx"
    assert SHOULD["sms_application_sid"] == SHOULD["trunk_sid"] == ""
    assert expected(BASE, {"whatsapp"}) == {
        "whatsapp_callback_url": f"{BASE}webhooks/whatsapp#rc=2&rp=ct,5xx",
        "whatsapp_callback_method": "POST",
        "whatsapp_fallback_url": f"{BASE}webhooks/whatsapp#rc=2&rp=ct,5xx",
        "whatsapp_fallback_method": "POST",
        "whatsapp_status_callback_url": f"{BASE}webhooks/status#rc=2&rp=ct,5xx",
        "whatsapp_status_callback_method": "POST",
    }


@pytest.mark.parametrize(
    ("field", "actual", "breaks", "why"),
    [
        ("sms_url", "", True, "go nowhere"),
        ("sms_url", "https://old.example/", True, "go there, not to this gateway"),
        ("sms_url", f"{BASE}webhooks/sms", False, "does not try again"),
        ("sms_url", f"{BASE}webhooks/sms#rc=0&rp=all", False, "does not try again"),
        ("sms_url", f"{BASE}webhooks/sms#rc=5&rp=ct", False, "does not try again"),
        ("sms_url", f"{BASE}webhooks/sms/", True, "not to this gateway"),
        ("sms_method", "GET", True, "takes POST"),
        ("sms_fallback_url", "", False, "are lost where"),
        ("status_callback", "", True, "stays open for hours"),
        ("voice_application_sid", "AP1", True, "go to this application"),
        ("trunk_sid", "TK1", True, "go to this trunk"),
    ],
)
def test_a_difference_says_what_it_breaks(field, actual, breaks, why):
    (found,) = differences(SHOULD | {field: actual}, SHOULD)
    assert (found.field, found.actual, found.expected, found.breaks) == (field, actual, SHOULD[field], breaks)
    assert why in found.why


@pytest.mark.parametrize(
    "actual",
    [
        f"{BASE}webhooks/sms#rc=2&rp=ct,5xx",
        f"{BASE}webhooks/sms#rp=5xx,ct,rt&rc=3&ct=2000",
        f"{BASE}webhooks/sms#rp=all",
        "HTTPS://Gateway.Example.com:443/twilio/webhooks/sms#rp=all",
    ],
)
def test_an_address_that_is_as_good_is_left_alone(actual):
    assert differences(SHOULD | {"sms_url": actual}, SHOULD) == []


def test_places_differ_by_what_is_signed():
    assert not same_place("https://a.example/x?y=1", "https://a.example/x?y=2")
    assert not same_place("http://a.example/x", "https://a.example/x")
    assert not same_place("https://a.example:8443/x", "https://a.example/x")
    assert not same_place("https://a.example:99999/x", "https://a.example/x")


@pytest.mark.parametrize(
    "url",
    [
        "",
        "http://localhost:8080",
        "http://127.0.0.1",
        "http://[::1]:8080",
        "https://192.168.1.2/x",
        "https://169.254.1.1",
        "http://0.0.0.0",
        "https://gateway",
        "https://mac.local",
        "https://x.localhost",
        "https://my_host.example.com",
    ],
)
def test_what_twilio_cannot_call(url):
    assert "PUBLIC_URL" in unreachable(url)


@pytest.mark.parametrize("url", ["https://gateway.example.com", "http://8.8.8.8:81/x", "https://[2606:4700::1111]"])
def test_what_twilio_may_call(url):
    assert unreachable(url) == ""


@pytest.mark.parametrize(
    ("url", "seen"),
    [
        ("https://ada:hunter22@old.example:81/x?a=1#rc=2", "https://(hidden)@old.example:81/x?a=…#rc=2"),
        ("https://old.example/x?pin=1234&friendly_name=Ada", "https://old.example/x?pin=…&friendly_name=…"),
        ("https://old.example/x?next=https://ada:hunter22@x/", "https://old.example/x?next=…"),
        ("https://old.example/x?hunter2222", "https://old.example/x?…"),
        ("https://old.example/x?aHVudGVyMg==&&b=", "https://old.example/x?…&&…"),
        ("ada:hunter22@old.example/x?token=hunter22", "(hidden)@old.example/x?token=…"),
        ("/login?token=hunter22", "/login?token=…"),
        ("AP123", "AP123"),
        ("", ""),
    ],
)
def test_secrets_of_an_address_are_not_shown(url, seen):
    assert shown(url) == seen
