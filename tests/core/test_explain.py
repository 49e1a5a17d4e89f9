"""Decisions in words."""

import pytest

from gateway.core.explain import explain, threshold
from gateway.core.sessions import Rule


@pytest.mark.parametrize(
    ("decision", "words"),
    [
        ({"kind": "created", "rule": "first_message"}, "created: the first message of this sender"),
        (
            {"kind": "reused", "rule": "within_threshold", "gap_seconds": 120.0, "threshold_seconds": 300.0},
            "reused: 2 min 0 s after the last message, threshold 5 min",
        ),
        (
            {
                "kind": "reused",
                "rule": "within_threshold",
                "gap_seconds": 120.0,
                "threshold_seconds": 300.0,
                "bridges_session_id": "x",
            },
            "reused: 2 min 0 s after the last message, threshold 5 min; in reach of the next session too",
        ),
        (
            {
                "kind": "rolled_over",
                "rule": "past_threshold",
                "gap_seconds": 300.001,
                "threshold_seconds": 300.0,
            },
            "rolled over: 5 min 0.001 s after the last message, threshold 5 min",
        ),
        (
            {
                "kind": "rolled_over",
                "rule": "past_threshold",
                "gap_seconds": 400.0,
                "threshold_seconds": 90.0,
                "anchor": "inbound",
            },
            "rolled over: 6 min 40 s after the sender's last message, threshold 90 s",
        ),
        (
            {"kind": "reused", "rule": "no_threshold", "gap_seconds": 90000.0, "threshold_seconds": None},
            "reused: 1 d 1 h after the last message, sessions never roll over here",
        ),
        (
            {"kind": "rolled_over", "rule": "every_message", "gap_seconds": 1.0, "threshold_seconds": 0.0},
            "rolled over: threshold 0, every message has its own session",
        ),
        (
            {"kind": "reused", "rule": "inside_session"},
            "reused: arrived late, sent before this session's last message",
        ),
        (
            {"kind": "reused", "rule": "inside_session", "bridges_session_id": "x"},
            "reused: arrived late, sent before this session's last message; in reach of the next session too",
        ),
        (
            {"kind": "reused", "rule": "joins_next", "next_gap_seconds": 10.5, "threshold_seconds": 3600.0},
            "reused: arrived late, sent 11 s before this session's first message, threshold 1 h",
        ),
        (
            {
                "kind": "created",
                "rule": "before_first",
                "next_gap_seconds": 400.0,
                "threshold_seconds": 300.0,
            },
            "created: arrived late, sent 6 min 40 s before the sender's first session, threshold 5 min",
        ),
        (
            {"kind": "reused", "rule": "live_call", "gap_seconds": 4000.0, "threshold_seconds": 300.0},
            "reused: 1 h 6 min after the last message, but a call was still on",
        ),
        ({"kind": "reused", "rule": "same_call"}, "reused: said in the same call"),
        (
            {"kind": "created", "rule": "closed_for_good"},
            "created: the session before was closed by a person",
        ),
        ({"kind": "created", "rule": "of_tomorrow"}, "created"),
        ({}, ""),
    ],
)
def test_a_decision_is_said_in_one_line(decision, words):
    assert explain(decision) == words


@pytest.mark.parametrize("rule", list(Rule))
def test_every_rule_has_words(rule):
    decision = {"kind": "reused", "rule": str(rule), "gap_seconds": 1.0, "threshold_seconds": 300.0}
    assert explain(decision).startswith("reused: ")
    assert "None" not in explain(decision)


@pytest.mark.parametrize(
    ("seconds", "words"),
    [(None, "no threshold"), (0, "threshold 0 s"), (0.5, "threshold 0.5 s"), (90.0, "threshold 90 s"),
     (60, "threshold 1 min"), (300.0, "threshold 5 min"), (3600, "threshold 1 h"), (5400, "threshold 90 min"),
     (86400, "threshold 24 h")],
)  # fmt: skip
def test_a_threshold_is_written_as_people_set_it(seconds, words):
    assert threshold(seconds) == words


@pytest.mark.parametrize("seconds", [1234567.0, 1000001.0, 300.123, 86400.5])
def test_a_threshold_is_written_in_full(seconds):
    written = threshold(seconds).removeprefix("threshold ").removesuffix(" s")
    assert float(written) == seconds


@pytest.mark.parametrize(
    ("gap", "limit", "words"),
    [(120.4, 300, "2 min 0 s"), (299.7, 300, "5 min 0 s"), (300.001, 300, "5 min 0.001 s"), (300.6, 300, "5 min 1 s"),
     (0.438, 300, "0.438 s"), (1.6, 1, "2 s"), (1.2, 1, "1.2 s"), (120.4, None, "2 min 0 s")],
)  # fmt: skip
def test_a_gap_is_as_exact_as_its_decision_needs_it(gap, limit, words):
    decision = {"kind": "reused", "rule": "no_threshold", "gap_seconds": gap, "threshold_seconds": limit}
    assert explain(decision).startswith(f"reused: {words} after")
