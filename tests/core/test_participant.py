"""One identity from every form of address."""

import pytest

from gateway.core.participant import (
    WITHHELD_NUMBERS,
    WITHHELD_WORDS,
    address,
    caller,
    chat_user,
    is_withheld,
    participant,
)


@pytest.mark.parametrize(
    ("raw", "prefix", "identity", "number", "label"),
    [
        ("+15558675310", "", "+15558675310", "+15558675310", "+15558675310"),
        ("+1 (555) 867-5310", "", "+15558675310", "+15558675310", "+15558675310"),
        ("+49\u00a030.1234/567", "", "+49301234567", "+49301234567", "+49301234567"),
        ("whatsapp:+15558675310", "whatsapp", "+15558675310", "+15558675310", "+15558675310"),
        ("WhatsApp:+15558675310", "whatsapp", "+15558675310", "+15558675310", "+15558675310"),
        ("rcs:+15558675310", "rcs", "+15558675310", "+15558675310", "+15558675310"),
        ("whatsapp:US.13491208655302741918", "whatsapp", "whatsapp:US.13491208655302741918", None,
         "US.13491208655302741918"),
        ("whatsapp:US.ENT.134912", "whatsapp", "whatsapp:US.ENT.134912", None, "US.ENT.134912"),
        ("messenger:200000000000002", "messenger", "messenger:200000000000002", None, "200000000000002"),
        ("rcs:example_agent", "rcs", "rcs:example_agent", None, "example_agent"),
        ("client:alice", "client", "client:alice", None, "alice"),
        ("sip:bob@example.com", "sip", "sip:bob@example.com", None, "bob@example.com"),
        ("12345", "", "12345", "12345", "12345"),
        ("ACME", "", "ACME", None, "ACME"),
        ("nonsense:+15558675310", "", "nonsense:+15558675310", None, "nonsense:+15558675310"),
        ("+123456", "", "+123456", None, "+123456"),
        ("+1234567", "", "+1234567", "+1234567", "+1234567"),
        ("+123456789012345", "", "+123456789012345", "+123456789012345", "+123456789012345"),
        ("+1234567890123456", "", "+1234567890123456", None, "+1234567890123456"),
        ("15558675310", "", "15558675310", "15558675310", "15558675310"),
        ("+١٥٥٥٨٦٧٥٣١٠", "", "+١٥٥٥٨٦٧٥٣١٠", None, "+١٥٥٥٨٦٧٥٣١٠"),
        ("", "", "", None, ""),
    ],
)  # fmt: skip
def test_an_address_is_taken_apart(raw, prefix, identity, number, label):
    found = address(raw)
    assert (found.raw, found.prefix, found.identity, found.number, found.label) == (
        raw, prefix, identity, number, label,
    )  # fmt: skip


def test_a_short_code_is_never_made_a_phone_number():
    assert address("12345").identity == "12345"


WITHHELD = [*sorted(WITHHELD_NUMBERS), *sorted(WITHHELD_WORDS), "Anonymous", " UNKNOWN ", "+2 666-96687"]


@pytest.mark.parametrize("raw", WITHHELD)
def test_a_withheld_caller_is_known_by_the_call_alone(raw):
    assert is_withheld(raw)
    found = caller(raw, "CA1", name="SOMEBODY")
    assert (found.identities, found.number, found.label) == (("call:CA1",), None, "withheld number")
    assert found.withheld


@pytest.mark.parametrize(
    "raw", ["+15558675310", "client:anonymous", "+2666966870", "266696687", "12345", "anonymously"]
)
def test_everybody_else_is_not_withheld(raw):
    assert not is_withheld(raw)
    assert caller(raw, "CA1").identities == (address(raw).identity,)


@pytest.mark.parametrize(
    ("word", "number"),
    [
        ("ANONYMOUS", "+266696687"),
        ("RESTRICTED", "+7378742833"),
        ("BLOCKED", "+2562533"),
        ("UNKNOWN", "+8656696"),
        ("UNAVAILABLE", "+86282452253"),
    ],
)
def test_withheld_numbers_are_their_words_on_a_keypad(word, number):
    keys = str.maketrans("ABCDEFGHIJKLMNOPQRSTUVWXYZ", "22233344455566677778889999")
    assert number == "+" + word.translate(keys)
    assert number in WITHHELD_NUMBERS


def test_a_number_and_a_user_id_seen_together_are_two_identities_of_one_person():
    found = participant("whatsapp:+15558675310", also="whatsapp:US.1349", name="Ada")
    assert found.identities == ("+15558675310", "whatsapp:US.1349")
    assert (found.number, found.prefix, found.name) == ("+15558675310", "whatsapp", "Ada")


@pytest.mark.parametrize("also", ["", "whatsapp:US.1349"])
def test_the_same_identity_twice_counts_once(also):
    assert participant("whatsapp:US.1349", also=also).identities == ("whatsapp:US.1349",)


@pytest.mark.parametrize("user_id", ["alice", "+15558675310", "a:b|c", "anonymous", "12345"])
def test_the_user_of_a_website_is_never_taken_for_a_phone(user_id):
    found = address(f"chat:web:{user_id}")
    assert (found.identity, found.number, found.label) == (f"chat:web:{user_id}", None, user_id)
    assert chat_user("web", user_id).identities == (f"chat:web:{user_id}",)
    assert not is_withheld(found.identity)


def test_a_proved_address_is_the_same_however_it_is_written():
    one, other = (
        chat_user("web", user, email=email) for user, email in [("1", "Ada@Example.com "), ("2", "ada@example.com")]
    )
    assert one.identities == ("chat:web:1", "email:ada@example.com")
    assert set(one.identities) & set(other.identities) == {"email:ada@example.com"}
