"""Twilio's signature, point by point; what is expected is computed here, not by Twilio's library."""

import base64
import hashlib
import hmac
import json
from typing import Any

import pytest

from gateway.channels.base import Form
from gateway.channels.signature import Keyring, sign, verify
from gateway.http import public_urls

URL = "https://example.com/webhooks/sms"
FORM = [("From", "+14158675310"), ("Body", "Hi")]
MAIN, SUB, OTHER = "AC" + "1" * 32, "AC" + "2" * 32, "AC" + "3" * 32
SHARED = "webhooks_sharedkey_1"


def expected(url: str, pairs: list[tuple[str, str]], secret: str = "12345", digest: str = "sha1") -> str:
    """Sign as Twilio documents it: the URL, then each distinct name and value, sorted, nothing in between."""
    signed = url + "".join(name + value for name, value in sorted(set(pairs)))
    return base64.b64encode(hmac.new(secret.encode(), signed.encode(), digest).digest()).decode()


def is_genuine(signature: Any, *, urls: Any = (URL,), form: Any = FORM, keys: Any = None, **given: Any) -> bool:
    keyring = keys or Keyring(["12345"])
    return verify(keyring, urls=list(urls), form=Form(form), signature=signature, **given).genuine


def test_the_documented_vector():
    form = [
        ("CallSid", "CA1234567890ABCDE"), ("Caller", "+14158675310"), ("Digits", "1234"),
        ("From", "+14158675310"), ("To", "+18005551212"),
    ]  # fmt: skip
    url = "https://example.com/myapp.php?foo=1&bar=2"
    assert is_genuine("L/OH5YylLD5NRKLltdqwSvS0BnU=", urls=[url], form=form)
    assert sign("12345", url, Form(form)) == "L/OH5YylLD5NRKLltdqwSvS0BnU="


@pytest.mark.parametrize("blank", ["", " "])
def test_nothing_is_genuine_by_an_empty_secret(blank):
    keys = Keyring([blank], main_account=MAIN, accounts={SUB: [blank]}, shared_keys={SHARED: blank})
    forged, header = expected(URL, FORM, secret=blank), f"a=HMAC-SHA1,key={SHARED}"
    assert not is_genuine(forged, keys=keys, account_sid=MAIN)
    assert not is_genuine(forged, keys=keys, account_sid=SUB)
    assert not is_genuine(forged, keys=keys, settings_header=header)


@pytest.mark.parametrize(
    "form",
    [
        [],
        [("Body", "")],
        [("a", "2"), ("a", "1")],
        [("a", "1"), ("a", "1"), ("a", "2")],
        [("Zeta", "1"), ("alpha", "2"), ("msg", "Gather End"), ("url", "x"), ("Body", "b")],
        [("Body", "  kept as it is \r\n")],
        [("Body", "Grüße 👩🏽‍🔧"), ("Näme", "ß")],
        [("a.b", "1"), ("$c", "2"), ("d\0", "\0")],
    ],
    ids=["none", "empty", "repeated", "duplicates", "case", "blanks", "unicode", "odd names"],
)
def test_a_form_is_signed_by_its_distinct_names_and_values(form):
    assert is_genuine(expected(URL, form), form=form)
    assert sign("12345", URL, Form(form)) == expected(URL, form)  # which is Twilio's own library


def test_a_value_more_is_refused():
    assert not is_genuine(expected(URL, FORM), form=[*FORM, ("Body", "Bye")])


def test_the_query_belongs_to_the_address_and_not_to_the_form():
    url = f"{URL}?foo=1&Body=query"
    assert is_genuine(expected(url, FORM), urls=[url])
    assert not is_genuine(expected(URL, [*FORM, ("foo", "1")]), urls=[url])


@pytest.mark.parametrize(
    ("ours", "signed", "genuine"),
    [
        ("https://x.org/a%2Fb?n=J%C3%BCrgen&t=%7E", "https://x.org/a%2Fb?n=J%C3%BCrgen&t=%7E", True),
        ("https://x.org/a%2Fb", "https://x.org/a/b", False),
        ("https://x.org/p?n=J%C3%BCrgen", "https://x.org/p?n=Jürgen", False),
        ("https://x.org/%7E", "https://x.org/~", False),
        ("https://x.org/p?", "https://x.org/p?", True),
        ("https://x.org/p?", "https://x.org/p", False),
        ("https://x.org/p/", "https://x.org/p", False),
        ("https://x.org/p", "http://x.org/p", False),
        ("https://x.org/p", "https://x.org:443/p", True),
        ("https://x.org:443/p", "https://x.org/p", True),
        ("http://x.org/p", "http://x.org:80/p", True),
        ("http://x.org:80/p", "http://x.org/p", True),
        ("https://x.org/p", "https://x.org:80/p", False),
        ("https://x.org:8443/p", "https://x.org:8443/p", True),
        ("https://x.org:8443/p", "https://x.org/p", True),
        ("https://x.org:8443/p", "https://x.org:443/p", False),
        ("https://x.org/p", "https://x.org:8443/p", False),
        ("https://me:pw@x.org/p", "https://x.org/p", True),
        ("https://me:pw@x.org:8443/p", "https://x.org:8443/p", True),
        ("https://me:pw@x.org:8443/p", "https://x.org/p", True),
        ("https://[2001:db8::1]/p", "https://[2001:db8::1]/p", True),
        ("https://[2001:db8::1]/p", "https://[2001:db8::1]:443/p", True),
        ("https://[2001:db8::1]:8443/p", "https://[2001:db8::1]:8443/p", True),
        ("https://[2001:db8::1]:8443/p", "https://[2001:db8::1]/p", True),
        ("http://h/p", "http://h/p", True),
        ("http://h/p", "http://h:80/p", True),
        ("http://h:80/p", "http://h/p", True),
    ],
)  # fmt: skip
def test_the_address_is_compared_byte_for_byte_with_its_port_either_way(ours, signed, genuine):
    assert is_genuine(expected(signed, FORM), urls=[ours]) is genuine


@pytest.mark.parametrize(
    ("target", "signed"),
    [
        ("/webhooks/sms?x=%2F", "https://x.org/gw/webhooks/sms?x=%2F"),
        ("/gw/webhooks/sms?x=%2F", "https://x.org/gw/webhooks/sms?x=%2F"),
    ],
    ids=["cut off by the proxy", "passed on by the proxy"],
)
@pytest.mark.parametrize("base", ["https://x.org/gw", "https://x.org/gw/"])
def test_a_path_prefix_of_the_public_url_is_found(base, target, signed):
    assert is_genuine(expected(signed, FORM), urls=public_urls(base, target))


@pytest.mark.parametrize("url", ["https://x.org:abc/p", "https://x.org:99999/p", "https://[::1/p", "https://[zz]/p"])
def test_an_address_nobody_can_read_is_refused_without_an_exception(url):
    assert not is_genuine(expected(url, FORM), urls=[url])


@pytest.mark.parametrize("given", [None, "", "garbage", "ü", "ÿ" * 28, "=" * 28, "x" * 100_000])
def test_a_bad_signature_is_refused_without_an_exception(given):
    assert not is_genuine(given)


@pytest.mark.parametrize("spoil", ["{} ", " {}", "{}=", "{}\n", "{},{}"])
def test_anything_added_to_a_signature_is_refused(spoil):
    good = expected(URL, FORM)
    assert is_genuine(good)
    assert not is_genuine(spoil.format(good, good))


def test_a_refusal_names_the_addresses_that_were_tried():
    verdict = verify(Keyring(["12345"]), urls=[URL], form=Form(FORM), signature="x")
    assert verdict.reason == "bad_signature"
    assert verdict.tried == (URL, "https://example.com:443/webhooks/sms")


# A body by its hash


def body_url(body: bytes) -> str:
    return f"{URL}?bodySHA256={hashlib.sha256(body).hexdigest()}"


def test_a_json_body_is_vouched_for_by_its_hash_in_the_address():
    body = json.dumps({"a": "ü"}).encode()
    url = body_url(body)
    assert is_genuine(expected(url, []), urls=[url], form=[], body=body)


def test_the_hash_may_be_written_in_capitals():
    body = b"{}"
    url = f"{URL}?bodySHA256={hashlib.sha256(body).hexdigest().upper()}"
    assert is_genuine(expected(url, []), urls=[url], form=[], body=body)


@pytest.mark.parametrize(
    "url", [body_url(b"{other}"), URL, f"{URL}?bodySHA256=", f"{URL}?bodySHA256=%FF"],
    ids=["wrong", "missing", "empty", "unreadable"],
)  # fmt: skip
def test_a_body_without_its_right_hash_is_refused(url):
    assert not is_genuine(expected(url, []), urls=[url], form=[], body=b"{}")


def test_a_body_that_is_no_text_is_hashed_as_it_is():
    body = b"\xff\xfe"
    assert is_genuine(expected(body_url(body), []), urls=[body_url(body)], form=[], body=body)


# Secrets


@pytest.mark.parametrize("secret", ["new", "old"])
def test_while_tokens_rotate_each_of_them_counts(secret):
    assert is_genuine(expected(URL, FORM, secret), keys=Keyring(["new", "old"]))


def test_a_token_that_was_taken_away_counts_no_more():
    assert not is_genuine(expected(URL, FORM, "gone"), keys=Keyring(["new", "old"]))


ACCOUNTS = Keyring(["main"], main_account=MAIN, accounts={SUB: ["sub", "sub-old"]})


@pytest.mark.parametrize(
    ("account", "secret", "genuine"),
    [
        (MAIN, "main", True), (SUB, "sub", True), (SUB, "sub-old", True),
        (MAIN, "sub", False), (SUB, "main", False),
        (OTHER, "main", False), (OTHER, "sub", False),
        ("", "main", True), ("", "sub", False),
    ],
)  # fmt: skip
def test_each_account_signs_with_its_own_tokens(account, secret, genuine):
    assert is_genuine(expected(URL, FORM, secret), keys=ACCOUNTS, account_sid=account) is genuine


def test_an_unknown_account_is_named_as_the_reason():
    verdict = verify(ACCOUNTS, urls=[URL], form=Form(FORM), signature="x", account_sid=OTHER)
    assert verdict.reason == "unknown_account"


def test_without_a_known_main_account_its_token_vouches_for_accounts_not_named():
    keys = Keyring(["main"], accounts={SUB: ["sub"]})
    assert is_genuine(expected(URL, FORM, "main"), keys=keys, account_sid=OTHER)
    assert not is_genuine(expected(URL, FORM, "main"), keys=keys, account_sid=SUB)


def test_without_any_token_nothing_is_genuine():
    assert not is_genuine(expected(URL, FORM, ""), keys=Keyring([]))


# Shared keys

KEYS = Keyring(["main"], shared_keys={SHARED: "shared"})


@pytest.mark.parametrize(
    ("header", "digest"),
    [
        (f"key={SHARED},algorithm=HMAC_SHA256", "sha256"),
        (f"key={SHARED}, algorithm=hmac_sha256", "sha256"),
        (f"algorithm=HMAC_SHA256,key={SHARED}", "sha256"),
        (f"key={SHARED},algorithm=HMAC_SHA1", "sha1"),
        (f"key={SHARED}", "sha1"),
    ],
)
def test_a_shared_key_signs_with_the_algorithm_it_names(header, digest):
    assert is_genuine(expected(URL, FORM, "shared", digest), keys=KEYS, settings_header=header)


@pytest.mark.parametrize(
    ("header", "secret", "digest", "reason"),
    [
        ("key=webhooks_sharedkey_2,algorithm=HMAC_SHA256", "shared", "sha256", "unknown_key"),
        ("algorithm=HMAC_SHA256", "shared", "sha256", "unknown_key"),
        ("nonsense", "main", "sha1", "unknown_key"),
        (f"key={SHARED},algorithm=HMAC_MD5", "shared", "md5", "unknown_algorithm"),
        (f"key={SHARED},algorithm=none", "shared", "sha256", "unknown_algorithm"),
        (f"key={SHARED},algorithm=HMAC_SHA256", "shared", "sha1", "bad_signature"),
        (f"key={SHARED},algorithm=HMAC_SHA256", "main", "sha256", "bad_signature"),
        ("", "shared", "sha1", "bad_signature"),
    ],
)  # fmt: skip
def test_a_shared_key_that_does_not_fit_is_refused(header, secret, digest, reason):
    verdict = verify(
        KEYS,
        urls=[URL],
        form=Form(FORM),
        signature=expected(URL, FORM, secret, digest),
        settings_header=header,
    )
    assert (verdict.genuine, verdict.reason) == (False, reason)


def test_a_shared_key_takes_several_values_of_a_name():
    form = [("a", "1"), ("a", "2"), ("a", "1")]
    header = f"key={SHARED},algorithm=HMAC_SHA256"
    assert is_genuine(expected(URL, form, "shared", "sha256"), form=form, keys=KEYS, settings_header=header)
