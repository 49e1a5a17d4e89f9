"""What a responder writes, as a caller hears it."""

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from gateway.channels.speech import SAY_LIMIT, speakable

HEARD = [
    # Markdown
    ("**Yes**, we are *open*.", "Yes, we are open."),
    ("__Yes__, we are _open_.", "Yes, we are open."),
    ("***Really*** un**believ**able", "Really unbelievable"),
    ("# Opening hours\nMonday to Friday", "Opening hours. Monday to Friday"),
    ("Opening hours\n=====\nMonday", "Opening hours. Monday"),
    ("We have:\n- soup\n* bread\n+ tea\n• cake", "We have: soup. bread. tea. cake."),
    ("1. Go left\n2) Go right!", "1. Go left. 2) Go right!"),
    ("- [ ] call\n- [x] text", "call. text."),
    ("> quoted words", "quoted words"),
    ("Run `make run` now", "Run make run now"),
    ("```python\nprint(1)\n```\nDone.", "print(1). Done."),
    ("One\n\n---\n\nTwo", "One. Two"),
    ("~~Monday~~ Tuesday", "Monday Tuesday"),
    ("| Day | Time |\n|:--|--:|\n| Monday | 9 to 5 |", "Day, Time. Monday, 9 to 5."),
    ("See [our menu](https://example.com/menu_(1)) please.", "See our menu please."),
    ("See [our menu][1].", "See our menu."),
    ("[https://example.com/a](https://example.com/a)", "a link"),
    ("[](https://example.com/a)", "a link"),
    ("![our house](https://example.com/a.png)", "our house"),
    (r"5 \* 3", "5 × 3"),
    ("5*3 is 15", "5 × 3 is 15"),
    ("Order #123 in some_file_name", "Order 123 in some file name"),
    # Addresses
    ("Go to https://example.com/a?b=c#d.", "Go to a link."),
    ("Go to <https://example.com> or (www.example.com/x), or **https://example.com/y**!",
     "Go to a link or (a link), or a link!"),
    ("example.com/menu is new, example.com is old", "a link is new, example.com is old"),
    ("Write to ada@example.com.", "Write to ada@example.com."),
    ("Write to ada_b@example.com", "Write to ada underscore b@example.com"),
    # Pictures
    ("Great 🎉! See you 👩‍🔧👍🏽 soon 🇩🇪.", "Great! See you soon."),
    ("Press 1️⃣ or 2️⃣", "Press 1 or 2"),
    ("👍", ""),
    # Lines
    ("Hello Ada,\nwe are open\nuntil five.\r\n\r\nSee you", "Hello Ada, we are open. until five. See you"),
    ("One<br/>Two", "One. Two"),
    ("   spaced   out\t words  ", "spaced out words"),
    ("", ""),
    (" \n\n ", ""),
    # As it is
    ("It is -5 °C, 1,234.50 € or $3.20 - well-known.", "It is -5 °C, 1,234.50 € or $3.20 - well-known."),
    ("Call +1 (501) 712-2661 at 9:30.", "Call +1 (501) 712-2661 at 9:30."),
    ("مرحبا، كيف يمكنني مساعدتك؟", "مرحبا، كيف يمكنني مساعدتك؟"),
    ("שלום 123, מה נשמע?", "שלום 123, מה נשמע?"),
    ("क्‍ष", "क्‍ष"),
    ("営業中です。", "営業中です。"),
    ("3 < 5 & 5 > 3", "3 < 5 & 5 > 3"),
]  # fmt: skip


@pytest.mark.parametrize(("written", "heard"), HEARD)
def test_what_is_written_is_heard_without_its_marks(written, heard):
    assert speakable(written) == heard


def test_a_long_answer_ends_with_a_whole_sentence():
    heard = speakable("This is one sentence. " * 400)
    assert len(heard) <= SAY_LIMIT
    assert len(heard) > SAY_LIMIT - 30
    assert heard.endswith("sentence.")


def test_a_long_answer_without_sentences_ends_with_a_whole_word():
    heard = speakable("word " * 2000)
    assert len(heard) <= SAY_LIMIT
    assert heard.endswith("word")


def test_a_long_answer_without_words_is_cut():
    assert speakable("x" * 5000) == "x" * SAY_LIMIT


MARKS = st.sampled_from(
    ["*", "**", "_", "__", "#", "`", "```", "\n", " ", "- ", "|", "[", "](", ")", "https://", "www.", "👍", "\\",
     "@", ".", "a", "B", "7", "é", "מ", "<", ">", "~~"]
)  # fmt: skip


@given(st.one_of(st.text(), st.lists(MARKS, max_size=40).map("".join)))
def test_no_mark_no_address_and_no_line_break_is_ever_said(text):
    heard = speakable(text)
    assert not re.search(r"[*#_`\r\n]", heard)
    assert "http://" not in heard and "https://" not in heard
    assert len(heard) <= SAY_LIMIT
    assert heard == heard.strip()


@given(st.lists(st.from_regex(r"[A-Za-zäöüéא-ת0-9$€%]{1,8}[,;]?", fullmatch=True), min_size=1, max_size=30))
def test_plain_words_are_said_as_they_are(words):
    text = " ".join(words) + "."
    assert speakable(text) == text
