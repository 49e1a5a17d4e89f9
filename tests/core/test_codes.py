"""What is done about Twilio's codes."""

import pytest

from gateway.core.codes import CODES, explain, link, reaction
from gateway.core.sending import Reaction

EXPECTED = {
    Reaction.RETRY: "429 20429 20003 21611 30001 30003 30008 63012 63018",
    Reaction.OPT_OUT: "21610",
    Reaction.NEVER: "20404 21211 21614 21408 21617 30004 30005 30006 30007 63003 63015 63024 63016",
    Reaction.OURS: "11200 11205 11206 11215 11217 11220 11235 11236 11237 11321 11322 11750 11770 "
    "12100 12200 12300 15003",
}
TABLE = [(code, expected) for expected, codes in EXPECTED.items() for code in codes.split()]


@pytest.mark.parametrize(("code", "expected"), TABLE)
def test_the_reaction_to_every_code(code, expected):
    assert reaction(code) is reaction(int(code), 400) is reaction(code, 503) is expected


def test_the_table_holds_nothing_else():
    assert set(CODES) == {code for code, _ in TABLE}


@pytest.mark.parametrize("code", CODES)
def test_every_explanation_is_a_sentence(code):
    words = explain(code)
    assert words[0].isupper()
    assert words.endswith(".")
    assert len(words.split()) > 3


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, Reaction.NEVER),
        (404, Reaction.NEVER),
        (429, Reaction.RETRY),
        (500, Reaction.RETRY),
        (503, Reaction.RETRY),
        (None, Reaction.NEVER),
    ],
)
def test_an_unknown_code_is_judged_by_its_status(status, expected):
    assert reaction("99999", status) is reaction(None, status) is expected


def test_an_unknown_code_is_explained_by_its_page():
    assert "https://www.twilio.com/docs/api/errors/99999" in explain(99999)
    assert explain(None)
    assert "http" not in explain("connection")


@pytest.mark.parametrize(
    ("code", "expected"),
    [
        (21610, "https://www.twilio.com/docs/api/errors/21610"),
        ("429", "https://www.twilio.com/docs/api/errors/20429"),
        ("404", ""),
        ("connection", ""),
        (None, ""),
    ],
)
def test_links(code, expected):
    assert link(code) == expected
