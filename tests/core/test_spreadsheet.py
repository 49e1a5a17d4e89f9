"""What people write is shown by a spreadsheet and never run."""

import csv
import io
from datetime import UTC, datetime

import pytest

from gateway.core import spreadsheet


@pytest.mark.parametrize(
    "text",
    ["=1+1", "+15558675310", "-2", "@SUM(A1)", "\t=1", "\r=1", "\n=1", "  =1", "=cmd|' /C'!A0", "＝1+1", "＠SUM"],
)
def test_what_begins_like_a_formula_gets_an_apostrophe(text):
    (row,) = csv.reader(io.StringIO(spreadsheet.line([text]), newline=""))
    assert row == [f"'{text}"]


@pytest.mark.parametrize("text", ["", "Hello", "1=1", "a-b", "مرحبا", 'said "yes", twice', "two\nlines"])
def test_everything_else_comes_back_as_it_was(text):
    ((first, _),) = csv.reader(io.StringIO(spreadsheet.line([text, "end"]), newline=""))
    assert first == text


def test_numbers_stay_numbers_and_moments_are_utc():
    moment = datetime(2026, 3, 1, 10, tzinfo=UTC)
    assert spreadsheet.line([-1, 0.5, None, moment]) == "-1,0.5,,2026-03-01T10:00:00Z\r\n"
