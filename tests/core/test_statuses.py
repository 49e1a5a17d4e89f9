"""The order of statuses."""

import itertools

import pytest

from gateway.core.statuses import CALL_ENDS, CALL_RANK, MESSAGE_RANK, outranked

TWILIO_MESSAGE = {
    "queued", "sending", "sent", "failed", "delivered", "undelivered", "accepted", "scheduled", "read",
    "partially_delivered", "canceled",
}  # fmt: skip
TWILIO_CALL = {"queued", "ringing", "in-progress", "completed", "busy", "failed", "no-answer", "canceled"}


def test_every_status_twilio_reports_has_a_rank():
    assert set(MESSAGE_RANK) >= TWILIO_MESSAGE
    assert set(CALL_RANK) >= TWILIO_CALL


def apply(statuses: tuple[str, ...], ranks: dict[str, int]) -> str | None:
    """Let statuses take effect as the store does."""
    now: str | None = None
    for status in statuses:
        if now is None or now in outranked(status, ranks):
            now = status
    return now


@pytest.mark.parametrize(
    ("statuses", "ranks", "end"),
    [
        (("queued", "sending", "sent", "delivered", "read"), MESSAGE_RANK, "read"),
        (("accepted", "queued", "sent", "failed"), MESSAGE_RANK, "failed"),
        (("sent", "undelivered", "delivered"), MESSAGE_RANK, "delivered"),
        (("scheduled", "canceled"), MESSAGE_RANK, "canceled"),
        (("queued", "initiated", "ringing", "in-progress", "completed"), CALL_RANK, "completed"),
        (("ringing", "no-answer"), CALL_RANK, "no-answer"),
    ],
)
def test_any_order_ends_at_the_highest(statuses, ranks, end):
    assert {apply(order, ranks) for order in itertools.permutations(statuses)} == {end}


@pytest.mark.parametrize("ranks", [MESSAGE_RANK, CALL_RANK])
def test_no_status_replaces_itself_or_one_of_its_rank(ranks):
    for status in ranks:
        assert all(ranks[other] < ranks[status] for other in outranked(status, ranks))


def test_an_unknown_status_replaces_nothing():
    assert outranked("teleported", MESSAGE_RANK) == []


def test_the_ends_of_a_call_outrank_everything_before():
    before = set(CALL_RANK) - CALL_ENDS
    assert all(before <= set(outranked(end, CALL_RANK)) for end in CALL_ENDS)
