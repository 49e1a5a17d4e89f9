"""What is typed into the search: numbers as people write them, words and phrases."""

import pytest

from gateway.core.searching import number_starts, words


@pytest.mark.parametrize(
    ("written", "starts"),
    [
        ("+15558675310", ("+15558675310",)),
        ("+1 (555) 867-53", ("+155586753",)),
        ("1555867", ("+1555867", "1555867")),
        ("001 555 867", ("+1555867",)),
        ("whatsapp:+1555", ("+1555",)),
        ("12345", ("+12345", "12345")),
        (" +49.171/1234 ", ("+491711234",)),
        ("12", ()),
        ("1555867x", ()),
        ("+", ()),
        ("", ()),
        ("1" * 16, ()),
    ],
)
def test_a_number_is_found_from_its_beginning(written, starts):
    assert number_starts(written) == starts


@pytest.mark.parametrize(
    ("written", "found"),
    [
        ("late delivery", ("late", "delivery")),
        ('"late delivery" tuesday', ("late delivery", "tuesday")),
        ('an open "quote', ("an", "open", "quote")),
        ('"" " "', ()),
        ("-not", ("-not",)),
        ("موعد", ("موعد",)),
    ],
)
def test_words_and_phrases(written, found):
    assert words(written) == found
