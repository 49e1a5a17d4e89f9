"""What people write, say and key, and what it is read as."""

import signal
from datetime import datetime

import pytest

from gateway.core.flow_parts.definition import Option
from gateway.core.recognise import choices, dates, items, numbers, persons
from gateway.core.recognise.words import clean, folded, phrase_in

# A Saturday evening.
NOW = datetime(2026, 11, 21, 18, 4)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20", 20), ("twenty", 20), ("a dozen", 12), ("two dozen", 24), ("half a dozen", 6), ("a couple", 2),
        ("one hundred and twenty", 120), ("two hundred fifty", 250), ("one thousand two hundred", 1200),
        ("twenty-five", 25), ("two zero", 20), ("3k", 3000), ("1,000", 1000), ("1.000", 1000), ("1 000", 1000),
        ("1,234.50", 1234.5), ("2.5", 2.5), ("2,5", 2.5), ("-5", -5), ("20.", 20), ("about 30 please", 30),
        ("３０", 30), ("٢٠", 20), ("२०", 20), ("5 dozen", 60),
        ("none", None), ("", None), ("x2y", None), ("seven eleven", None), ("hundred " * 300, None), ("1" * 40, None),
    ],
)  # fmt: skip
def test_numbers(text, expected):
    found = next(numbers.spot(clean(text)), None)
    assert (found.value if found else None) == expected


def test_a_point_is_a_decimal_one_where_decimals_are_asked_for():
    assert next(numbers.spot("1.500", decimals=True)).value == 1.5
    assert next(numbers.spot("1,500", decimals=True)).value == 1500


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("Hari", "Hari"), ("hari kumar", "Hari Kumar"), ("my name is Hari", "Hari"), ("I'm Hari", "Hari"),
        ("I’m Hari", "Hari"), ("Name: Hari", "Hari"), ("this is Hari speaking", "Hari"), ("It's for Hari", "Hari"),
        ("Hi, I'm Hari, thanks", "Hari"), ("yes my name is bob", "Bob"), ("Hari, not Harry", "Hari"),
        ("It's María-José O'Neil.", "María-José O'Neil"), ("jan van der berg", "Jan van der Berg"),
        ("محمد علي", "محمد علي"), ("हरि कुमार", "हरि कुमार"), ("李小龙", "李小龙"), ("Dr. Anna Lee", "Dr. Anna Lee"),
        ("no", None), ("what?", None), ("20", None), ("looking for help", None), ("I'm not sure", None), ("", None),
        ("nme is bob", "Bob"), ("the weather is nice", None), ("forget the whole thing", None),
        ("who is this?", None), ("remove the caps", None), ("tomorrow", None), ("a" * 200, None),
        ("one two three four five six seven", None),
        ("h@example.com", None), ("👍", None),
    ],
)  # fmt: skip
def test_names(text, expected):
    assert persons.name(clean(text)) == expected


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("8848850922", "8848850922"), ("+91 88488 50922", "+918848850922"), ("(040) 123-4567", "0401234567"),
        ("call 8848850922 20 shirts", "8848850922"), ("0049 30 1234567", "+49301234567"),
        ("８８４８８５０９２２", "8848850922"),
        ("eight eight four eight eight five oh nine double two", "8848850922"),
        ("double four triple three 22 55", "443332255"), ("eighty eight forty eight eighty five", None),
        ("plus forty nine thirty one two three four five six seven", "+4931234567"),
        ("12/11/2026", None), ("2026-11-22", None), ("20, 30, 40 50 60", None), ("123", None), ("1" * 30, None),
        ("", None),
    ],
)  # fmt: skip
def test_phone_numbers(text, expected):
    found = persons.phone(clean(text))
    assert (found[0] if found else None) == expected


def test_a_number_said_with_pauses_is_one_and_written_with_commas_several():
    assert persons.phone("88, 48, 85, 09 22", spoken=True)[0] == "8848850922"
    assert persons.phone("88, 48, 85, 09 22") is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("h@example.com", "h@example.com"), ("H@Example.COM.", "h@example.com"), ("<h@example.com>", "h@example.com"),
        ("mail me at h@example.com, thanks", "h@example.com"), ("h at example dot com", "h@example.com"),
        ("h (at) example [dot] com", "h@example.com"), ("h @ example . com", "h@example.com"),
        ("hari underscore m at g mail dot com", "hari_m@gmail.com"),
        ("h a r i at example dot com", "hari@example.com"), ("_h_k__m_ at example dot com", "_h_k__m_@example.com"),
        ("a_b_c_d_e_f_g_h at example dot com", "a_b_c_d_e_f_g_h@example.com"), ("h _ k @ e.com", "h_k@e.com"),
        ("john._smith at example dot com", "john._smith@example.com"), ("j_-k at e dot com", "j_-k@e.com"),
        ("my email is hari dot k at example dot co dot uk", "hari.k@example.co.uk"),
        ("h@example", None), ("meet me at noon", None), ("I am at home", None), ("@", None), ("a@b@c", None),
        ("", None),
    ],
)  # fmt: skip
def test_email_addresses(text, expected):
    found = persons.email(clean(text), asked=True)
    assert (found[0] if found else None) == expected


@pytest.mark.parametrize("text", ["_" * 1600, "dot'" * 400, "a at " + "dot-" * 398, "a dot " * 266, "plus-" * 320])
def test_a_text_of_signs_only_keeps_nobody_busy_with_its_email_address(text):
    def took_too_long(*_):
        raise TimeoutError

    before = signal.signal(signal.SIGALRM, took_too_long)
    signal.alarm(5)
    try:
        assert persons.email(text, asked=True) is None
    finally:
        signal.alarm(0)
        signal.signal(signal.SIGALRM, before)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2026-11-25", "2026-11-25"), ("2026-11-25T17:00", "2026-11-25T17:00"), ("12/11", "2027-11-12"),
        ("25.12.", "2026-12-25"), ("12/11/27", "2027-11-12"), ("the 3rd of december", "2026-12-03"),
        ("december 3rd at noon", "2026-12-03T12:00"), ("29 feb", "2028-02-29"), ("today", "2026-11-21"),
        ("tomorrow", "2026-11-22"), ("tomorrow at 5 pm", "2026-11-22T17:00"), ("5 pm tomorrow", "2026-11-22T17:00"),
        ("tomorrow morning", "2026-11-22T09:00"), ("day after tomorrow", "2026-11-23"), ("friday", "2026-11-27"),
        ("saturday", "2026-11-28"), ("next friday", "2026-11-27"), ("on mon at 10", "2026-11-23T10:00"),
        ("friday evening", "2026-11-27T18:00"), ("Friday after 3", "2026-11-27T15:00"), ("in 3 days", "2026-11-24"),
        ("in two weeks", "2026-12-05"), ("in an hour", "2026-11-21T19:04"), ("now", "2026-11-21T18:04"),
        ("asap", "2026-11-21T18:04"), ("at 5 pm", "2026-11-22T17:00"), ("at 9 pm", "2026-11-21T21:00"),
        ("17:30", "2026-11-22T17:30"), ("half past five", "2026-11-22T17:30"), ("five pm", "2026-11-22T17:00"),
        ("3 o'clock", "2026-11-22T15:00"), ("at 3", "2026-11-22T15:00"), ("next week", "2026-11-23"),
        ("31/02", None), ("31/02/2027", None), ("1/1/2020", None), ("today at 3 pm", None), ("yesterday", None),
        ("99/99", None),
        ("", None), ("blah", None), ("25", None),
    ],
)  # fmt: skip
def test_dates(text, expected):
    found = dates.find(clean(text), NOW)
    assert (found.value if found else None) == expected


def test_the_order_of_day_and_month_is_a_matter_of_the_file_unless_only_one_is_possible():
    assert dates.find("12/11", NOW, order="mdy").value == "2026-12-11"
    assert dates.find("25/12", NOW, order="mdy").value == "2026-12-25"


def test_next_friday_is_the_one_of_the_coming_week():
    tuesday = datetime(2026, 11, 17, 12)
    assert dates.find("friday", tuesday).value == "2026-11-20"
    assert dates.find("next friday", tuesday).value == "2026-11-27"


def test_the_past_counts_where_it_may():
    assert dates.find("1/1/2020", NOW, past=True).value == "2020-01-01"


@pytest.mark.parametrize(
    ("digits", "expected"),
    [
        ("1", "2026-11-21"), ("2", "2026-11-22"), ("2411", "2026-11-24"), ("24112027", "2027-11-24"), ("9999", None),
        ("3", None),
    ],
)  # fmt: skip
def test_dates_on_a_keypad(digits, expected):
    assert dates.keyed(digits, NOW) == expected


PLACES = [Option("North store", ("north", "main")), Option("South store"), Option("Delivery", ("deliver it",))]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("1", "North store"), ("2.", "South store"), ("the second one", "South store"), ("option 3", "Delivery"),
        ("number one", "North store"), ("north", "North store"), ("NORTH STORE!", "North store"),
        ("deliv", "Delivery"),
        ("South store please", "South store"), ("I'll take delivery", "Delivery"), ("deliver it", "Delivery"),
        ("souht store", "South store"), ("norht", "North store"), ("the south one", "South store"),
        ("store", None), ("north or south", None), ("4", None), ("0", None), ("", None), ("elsewhere", None),
    ],
)  # fmt: skip
def test_choices(text, expected):
    assert choices.choose(PLACES, clean(text)) == expected


def test_an_option_is_chosen_by_its_own_key_and_then_not_by_its_place():
    options = [Option("Sales", key="5"), Option("Service", key="7")]
    assert choices.by_number(options, "7") == "Service"
    assert choices.by_number(options, "1") is None


@pytest.mark.parametrize(
    "text", ["yes", "Yes please!", "y", "👍", "that's right", "ok", "okay, thanks", "sí",
             "oui", "हाँ", "نعم", "はい", "1", "go ahead", "sure"],
)  # fmt: skip
def test_yes(text):
    assert choices.yes_or_no(clean(text)) == "yes"


@pytest.mark.parametrize(
    "text", ["no", "No thanks", "nope", "not really", "that's wrong", "2",
             "नहीं", "لا", "👎", "I don't think so", "no, the email is x"],
)  # fmt: skip
def test_no(text):
    assert choices.yes_or_no(clean(text)) == "no"


@pytest.mark.parametrize(
    "text", ["", "maybe", "yesterday", "yes but 30", "yes, only change the name", "good morning", "3", "notable"]
)
def test_neither_yes_nor_no(text):
    assert choices.yes_or_no(clean(text)) is None


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20 shirts and 5 caps", "20 shirts, 5 caps"), ("order 20 shirts, 5 caps", "20 shirts, 5 caps"),
        ("a dozen mugs", "12 mugs"), ("shirts x 20, caps: 5", "20 shirts, 5 caps"), ("20x shirts", "20 shirts"),
        ("twenty large red shirts", "20 large red shirts"), ("shirts 20", "20 shirts"),
        ("caps should be 10", "10 caps"),
        ("1. shirts - 20\n2. caps - 5", "20 shirts, 5 caps"), ("10 pcs of cable\n3 plugs", "10 cable, 3 plugs"),
        ("we need two hundred chairs & 50 tables", "200 chairs, 50 tables"), ("20 shirts for friday", "20 shirts"),
        ("20 shirts, 30 shirts", "30 shirts"), ("२० कमीज", "20 कमीज"), ("٢٠ قميص", "20 قميص"),
        ("50 t-shirts", "50 t-shirts"),
        ("20", None), ("hello", None), ("at 5 pm", None), ("0 shirts", None), ("2.5 shirts", None),
        ("quantity 20", None),
        ("8848850922 Hari", None),
    ],
)  # fmt: skip
def test_items(text, expected):
    found = items.find(clean(text))
    assert (items.shown(found.value) if found else None) == expected


CATALOGUE = [Option("T-shirts", ("shirts", "tee")), Option("caps")]


def test_items_are_called_as_the_catalogue_calls_them():
    assert (
        items.shown(items.find("20 shirts, 1 cap and 3 blue mugs", CATALOGUE).value)
        == "20 T-shirts, 1 caps, 3 blue mugs"
    )
    assert items.find("a tee", CATALOGUE).value == [{"item": "T-shirts", "quantity": 1}]


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("20 tshrits n 5 cpas pls", "20 T-shirts, 5 caps"),
        ("20 tshirs and 5 capss thx", "20 T-shirts, 5 caps"),
        ("20 shorts", "20 shorts"),
        ("5 cups", "5 cups"),
        ("3 maps", "3 maps"),
    ],
)
def test_items_that_are_misspelt_are_those_of_the_catalogue_and_others_stay(text, expected):
    assert items.shown(items.find(text, CATALOGUE).value) == expected


def test_what_is_not_in_a_closed_catalogue_is_named():
    assert items.find("20 shirts and 3 mugs", CATALOGUE, other=False).unknown == "mugs"


@pytest.mark.parametrize(
    ("digits", "expected"),
    [
        ("1*20", "20 T-shirts"), ("1*20*2*5", "20 T-shirts, 5 caps"), ("20", None), ("3*5", None), ("1*0", None),
        ("*", None),
    ],
)  # fmt: skip
def test_items_on_a_keypad(digits, expected):
    found = items.keyed(digits, CATALOGUE)
    assert (items.shown(found) if found else None) == expected


def test_a_message_is_cleaned_of_what_cannot_be_seen():
    assert clean("\u202eHari\u0000\u200b \ud800 Kumar\r\n\n  x ") == "Hari Kumar\nx"
    assert clean("क्‍ष") == "क्‍ष"
    assert len(clean("a" * 100_000)) == 1000


def test_phrases_stand_as_whole_words_of_any_script():
    assert phrase_in(("bulk order", "bulk"), "A BULK-order, please") == "bulk order"
    assert phrase_in(("bulk",), "bulky") == ""
    assert phrase_in(("नह",), "नहीं") == ""
    assert folded("Ça va?  Oui_non!") == "ça va oui non"
