"""One form for each identifier: other spellings of it are the same person, a digit more is somebody else."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core import identifiers
from gateway.core.participant import chat_user, participant


@pytest.mark.parametrize(
    "spellings",
    [
        # Brazil: mobiles of eight digits, and the nine in front of them.
        ("+5511987654321", "+551187654321"),
        ("+5585991234567", "+558591234567"),
        ("+5511971234567", "+551171234567"),
        # Argentina: from abroad, without the 9, and as it is dialled at home, by the length of the area code.
        ("+5491123456789", "+541123456789", "+54111523456789", "+549111523456789"),
        ("+5493514567890", "+543514567890", "+54351154567890"),
        ("+5492966412345", "+542966412345", "+54296615412345"),
        # Mexico: the 1 that mobiles had until 2020.
        ("+5215512345678", "+525512345678"),
        # A WhatsApp user id as Twilio writes it, and as people copy it.
        ("whatsapp:US.13491208655302741918", "US.13491208655302741918"),
        ("whatsapp:US.ENT.134912", "US.ENT.134912"),
    ],
)
def test_spellings_of_one_identifier_have_one_form(spellings):
    assert len({identifiers.canonical(one) for one in spellings}) == 1


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("+5511923456789", "+551123456789"),  # a mobile allotted since, and somebody's telephone on a desk
        ("+5511970123456", "+551170123456"),  # trunked radio never got the nine
        ("+5511978123456", "+551178123456"),
        ("+5511987654321", "+5521987654321"),
        ("+15558675310", "+25558675310"),
        ("+4915112345678", "+49915112345678"),
        ("+541123456789", "+5411234567890"),
        ("+525512345678", "+5255123456789"),
        ("12345", "+112345"),
        ("chat:web:US.123", "US.123"),
        ("chat:web:+5511987654321", "chat:web:+551187654321"),
    ],
)
def test_what_only_looks_alike_is_somebody_else(one, other):
    assert identifiers.canonical(one) != identifiers.canonical(other)


@given(st.from_regex(r"\+(1|49|52|54|55)\d{6,13}", fullmatch=True))
def test_the_form_of_a_form_is_itself_and_in_the_same_country(number):
    form = identifiers.number(number)
    assert identifiers.number(form) == form
    assert form[:3] == number[:3]


@given(st.from_regex(r"\+(1|20|34|44|49|91)\d{6,12}", fullmatch=True))
def test_numbers_of_other_countries_stay_what_they_are(number):
    assert identifiers.number(number) == number


def test_what_a_setting_names_is_read_as_what_people_write_by():
    written = ("whatsapp:+55 (11) 8765-4321", " Office@Example.com ", "US.123")
    assert [identifiers.read(one) for one in written] == [
        "+5511987654321",
        "email:office@example.com",
        "whatsapp:US.123",
    ]


def test_what_many_people_write_by_is_left_out_where_something_else_is_known():
    shared = {"+15558675310", "email:office@example.com"}
    person = participant("whatsapp:+15558675310", also="whatsapp:US.123")
    assert identifiers.told_apart(person, shared).identities == ("whatsapp:US.123",)
    assert identifiers.told_apart(participant("+15558675310"), shared).identities == ("+15558675310",)
    chatting = chat_user("web", "alice", email="office@example.com")
    assert identifiers.told_apart(chatting, shared).identities == ("chat:web:alice",)
