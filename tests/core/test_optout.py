"""Which words are keywords."""

import pytest

from gateway.core.optout import Keyword, keyword


@pytest.mark.parametrize("word", ["stop", "stopall", "unsubscribe", "cancel", "end", "quit", "revoke", "optout"])
@pytest.mark.parametrize("written", ["{}", " {}\n", "{}.", "{}!"])
def test_a_stop_word_alone_is_stop(word, written):
    assert keyword(written.format(word)) is Keyword.STOP
    assert keyword(written.format(word.upper())) is Keyword.STOP


@pytest.mark.parametrize(("word", "expected"), [("start", Keyword.START), ("unstop", Keyword.START),
                                                ("help", Keyword.HELP), ("info", Keyword.HELP)])  # fmt: skip
def test_start_and_help_words(word, expected):
    assert keyword(word) is keyword(word.title()) is expected


@pytest.mark.parametrize(
    "words",
    [
        "",
        " ",
        ".",
        "please stop",
        "stop it",
        "stops",
        "the end",
        "ende",
        "yes please",
        "opt out",
        "🛑",
        "st.op",
    ],
)
def test_anything_else_is_no_keyword(words):
    assert keyword(words) is None
    assert keyword(words, opted_out=True) is None


@pytest.mark.parametrize(("opted_out", "expected"), [(True, Keyword.START), (False, None)])
def test_yes_opts_in_only_who_is_out(opted_out, expected):
    assert keyword("Yes", opted_out=opted_out) is expected


@pytest.mark.parametrize("verdict", ["STOP", "START", "HELP", "stop"])
def test_twilios_verdict_comes_first(verdict):
    assert keyword("anything at all", verdict) == verdict.lower()
    assert keyword("stop", verdict) == verdict.lower()


@pytest.mark.parametrize("verdict", ["", "OTHER"])
def test_an_unknown_verdict_leaves_it_to_the_word(verdict):
    assert keyword("stop", verdict) is Keyword.STOP
