"""How many segments a text takes."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.core.segments import _BASIC, _EXTENSION, Segments, segments

GSM = st.text(st.sampled_from(sorted(_BASIC | _EXTENSION)), max_size=700)
UNICODE = st.text(st.sampled_from("aä€ł–😀👍🏽漢"), max_size=400)


def test_the_alphabets_are_whole():
    # 128 places, one of them the escape to the extension table.
    assert len(_BASIC) == 127
    assert len(_EXTENSION) == 10


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", Segments("GSM-7", 0, 0)),
        ("a", Segments("GSM-7", 1, 1)),
        ("a" * 160, Segments("GSM-7", 1, 160)),
        ("a" * 161, Segments("GSM-7", 2, 161)),
        ("a" * 306, Segments("GSM-7", 2, 306)),
        ("a" * 307, Segments("GSM-7", 3, 307)),
        ("€" * 80, Segments("GSM-7", 1, 160)),
        ("€" * 81, Segments("GSM-7", 2, 162)),
        # 152 septets and an escape sequence: it goes to the next part whole, so 306 septets need three parts.
        ("a" * 152 + "€" + "a" * 152, Segments("GSM-7", 3, 306)),
        ("a" * 152 + "€" + "a" * 151, Segments("GSM-7", 2, 305)),
        ("ł" * 70, Segments("UCS-2", 1, 70)),
        ("ł" * 71, Segments("UCS-2", 2, 71)),
        ("ł" * 134, Segments("UCS-2", 2, 134)),
        ("ł" * 135, Segments("UCS-2", 3, 135)),
        ("😀" * 35, Segments("UCS-2", 1, 70)),
        # 66 units and a pair of surrogates: 134 units need three parts.
        ("ł" * 66 + "😀" + "ł" * 66, Segments("UCS-2", 3, 134)),
        ("\xa0", Segments("UCS-2", 1, 1)),
        ("ç", Segments("UCS-2", 1, 1)),
        ("Ç", Segments("GSM-7", 1, 1)),
        ("\ud83d", Segments("UCS-2", 1, 1)),
    ],
)
def test_segments(text, expected):
    assert segments(text) == expected


@given(GSM | UNICODE)
def test_parts_are_as_many_as_their_units_ask_for_and_hardly_more(text):
    result = segments(text)
    alone, part = (160, 153) if result.encoding == "GSM-7" else (70, 67)
    if result.units <= alone:
        assert result.count == bool(text)
    else:
        assert -(-result.units // part) <= result.count <= -(-result.units // (part - 1))


@given(UNICODE)
def test_units_of_ucs2_are_those_of_utf16(text):
    result = segments(text)
    assert result.encoding == "GSM-7" or result.units == len(text.encode("utf-16-le")) // 2


@given(GSM | UNICODE, GSM | UNICODE)
def test_more_text_is_never_fewer_segments(one, other):
    assert segments(one + other).count >= segments(one).count
