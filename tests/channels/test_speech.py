"""What a caller hears of an answer that was written for reading."""

import re
import time

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from gateway.channels.speech import SAY_LIMIT, speakable

SPOKEN = {
    "bold and italics": ("**Bold**, *slanted*, __both__ and ***all***.", "Bold, slanted, both and all."),
    "bold in a word": ("un**believ**able", "un believ able"),
    "a heading": ("# Opening hours #\nWe open at 9.", "Opening hours. We open at 9."),
    "an underlined heading": ("Opening hours\n=====\nWe open at 9.", "Opening hours. We open at 9."),
    "a list": ("We have:\n- soup\n* bread,\n+ tea.\n• cake", "We have: soup. bread, tea. cake."),
    "a numbered list": ("1. Call us\n2) Wait", "1. Call us. 2) Wait."),
    "a list of tasks": ("- [ ] pay\n- [x] order", "pay. order."),
    "a quotation": ("> So it is.\n> Truly", "So it is. Truly"),
    "a rule": ("One.\n---\n***\nTwo.", "One. Two."),
    "a code fence": ("Say:\n```text\nopen `sesame`\n```", "Say: open sesame"),
    "a link": ("See [our page](https://example.com/a_(b) \"Home\") now.", "See our page now."),
    "a link by reference": ("See [our page][1].\n\n[1]: https://example.com", "See our page."),
    "a picture": ("![The map](https://example.com/map.png)", "The map"),
    "a footnote": ("It is free[^1].", "It is free."),
    "a bare link": ("Book at https://example.com/book?a=1&b=2.", "Book at a link."),
    "a link in capitals": ("HTTPS://EXAMPLE.COM", "a link"),
    "a link without a scheme": ("Go to www.example.com, or example.com/book_now!", "Go to a link, or a link!"),
    "a link in brackets": ("Our page (<https://example.com>)", "Our page (a link)"),
    "links in a row": ("https://a.example https://b.example, https://c.example", "a link"),
    "a list of links": ("- https://a.example\n- https://b.example", "a link."),
    "a link that is its own text": ("[https://a.example](https://a.example)", "a link"),
    "a table": ("| Day | Hours |\n|:---|---:|\n| **Mon** | 9-17 |", "Day, Hours. Mon, 9-17."),
    "emoji": ("Great 👍🏽! See you 👩‍👩‍👧 soon 🇩🇪 ☀️", "Great! See you soon"),
    "a keycap": ("Press 1️⃣", "Press 1"),
    "tags": ("<b>Now</b><br/>or never", "Now or never"),
    "names with underscores": ("Your order_number is A_1", "Your order number is A 1"),
    "escapes": (r"5 \* 3 \_ 2 \# 1", "5 3 2 1"),
    "a hashtag": ("#thanks C#", "thanks C"),
    "strokes": ("~~ten~~ ~9", "ten ~9"),
    "white space": ("  One \t two\n\n\n three  ", "One two. three"),
    "a question before a break": ("Really?\nYes (really!)\nYes", "Really? Yes (really!) Yes"),
    "marks and nothing else": ("**\n##\n- \n|\n```", ""),
}  # fmt: skip


@pytest.mark.parametrize(("written", "said"), SPOKEN.values(), ids=SPOKEN)
def test_what_is_written_for_reading_is_said_in_words(written, said):
    assert speakable(written) == said


@pytest.mark.parametrize(
    "text",
    [
        "Hello. How can we help you?",
        "That is $1,299.50 (-10 %), 3-4 days, 1/2 price & more; e.g. at 9:30 a.m.",
        "Write to ada_lovelace+shop@example.com.",
        "It is on example.com and/or St.Gallen/Bern.",
        "Press 2#, dial *31# or *69, item #1.",
        "2*3 = 6 < 7",
        "שלום, מה שלומך?",
        "مرحبًا، كيف حالك؟ ۵ تومان می‌خواهم",
        "ശ്രീ ക‍",
        "你好。我们九点开门。",
        "",
    ],
)
def test_plain_text_stays_as_it_is(text):
    assert speakable(text) == text


def test_an_arabic_question_ends_a_line_by_itself():
    assert speakable("كيف حالك؟\nبخير") == "كيف حالك؟ بخير"


MARKUP = st.lists(
    st.sampled_from(
        ["**", "*", "_", "#", "# ", "- ", "1. ", "|", "\n", "\r\n", "`", "```", "~~", "[", "](", ")", "> ", "\\", " ",
         "😀", "https://", "http", "www.", "a.b/", "x", "word", "5", "@a.b", "<b>", "."]
    ) | st.text(max_size=3),
    max_size=30,
).map("".join)  # fmt: skip


@given(MARKUP | st.text())
@example("ht😀tp://x")
@example("http\\://x")
@example("*`*")
@example("x@a.b_")
def test_marks_and_addresses_are_never_read_out(text):
    said = speakable(text)
    assert "http" not in said
    assert "://" not in said or "://" in text
    assert "**" not in said
    assert "`" not in said
    # What is left belongs to keys ("*31#") and to e-mail addresses.
    alone = re.findall(r"(?:(?<!\d)[*#](?!\d))|_(?!.*@)", said)
    assert alone == []


@given(MARKUP | st.text())
def test_it_is_hardly_ever_longer_than_what_was_written(text):
    breaks = len(re.findall(r"[\r\n\v\f\x1c-\x1e\x85\u2028\u2029|]", text))
    assert len(speakable(text)) <= len(text) + breaks + 2


@given(st.lists(st.from_regex(r"[A-Za-z0-9,'$%-]+", fullmatch=True).filter(lambda word: word.strip("-=")), min_size=1))
def test_words_are_said_word_for_word(words):
    text = "Yes, " + " ".join(words).replace("http", "x")
    assert speakable(text) == text


def test_a_long_answer_ends_with_a_whole_sentence():
    text = "This is one of many sentences. " * 200
    said = speakable(text)
    assert SAY_LIMIT - 40 < len(said) <= SAY_LIMIT
    assert said.endswith("sentences.")


def test_a_sentence_that_ends_at_the_limit_is_said():
    assert speakable("One. Two. Three.", limit=9) == "One. Two."


@pytest.mark.parametrize(("text", "said"), [("word " * 3000, "word"), ("x" * 9000, "x")])
def test_without_a_sentence_it_ends_at_a_word_or_else_anywhere(text, said):
    spoken = speakable(text)
    assert SAY_LIMIT - 5 <= len(spoken) <= SAY_LIMIT
    assert spoken.endswith(said)


def test_a_number_is_not_the_end_of_a_sentence():
    assert speakable("It costs. About 3.50 in all", limit=20) == "It costs."


@pytest.mark.parametrize(
    "piece", ["[", "*", "_a", "a.", "1", "1*", "http://", "|", "<a ", "![](", "-", "*a ", "# ", "a@", " "]
)
def test_nothing_takes_long_to_read(piece):
    started = time.perf_counter()
    speakable(piece * (20_000 // len(piece)) + "x")
    assert time.perf_counter() - started < 1
