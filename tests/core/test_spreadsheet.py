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


@pytest.mark.parametrize("separator", [";", "\t", "\n", "\r\n", "; "])
@pytest.mark.parametrize("formula", ["=cmd|'/C calc'!A0", "@SUM(A1)", "-2+3", "+1"])
def test_nor_is_what_stands_behind_another_separator(separator, formula):
    (row,) = csv.reader(io.StringIO(spreadsheet.line([f"hi{separator}{formula};x"]), newline=""))
    assert row == [f"hi{separator}'{formula};x"]


def test_a_list_stays_a_list():
    text = "Please bring:\n- a cake\n- two candles; thanks"
    (row,) = csv.reader(io.StringIO(spreadsheet.line([text]), newline=""))
    assert row == [text]


def test_numbers_stay_numbers_and_moments_are_utc():
    moment = datetime(2026, 3, 1, 10, tzinfo=UTC)
    assert spreadsheet.line([-1, 0.5, None, moment]) == "-1,0.5,,2026-03-01T10:00:00Z\r\n"
