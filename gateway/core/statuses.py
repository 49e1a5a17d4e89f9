"""The order of delivery and call statuses: callbacks come in any order, a state never goes back."""

# Twilio guarantees neither order nor delivery of callbacks, so states are ranked and a lower one only joins
# the history. `failed`, `undelivered` and `canceled` are ends; `read` still outranks `delivered`.
MESSAGE_RANK = {
    "accepted": 0,
    "scheduled": 0,
    "queued": 1,
    "sending": 2,
    "sent": 3,
    "canceled": 4,
    "failed": 4,
    "undelivered": 4,
    "delivered": 5,
    "partially_delivered": 5,
    "read": 6,
}
CALL_RANK = {
    "queued": 0,
    "initiated": 0,
    "ringing": 1,
    "in-progress": 2,
    "answered": 2,
    "busy": 3,
    "failed": 3,
    "no-answer": 3,
    "canceled": 3,
    "completed": 4,
}
MESSAGE_FAILURES = frozenset({"failed", "undelivered"})
CALL_ENDS = frozenset({"busy", "failed", "no-answer", "canceled", "completed"})


def outranked(status: str, ranks: dict[str, int]) -> list[str]:
    """List the statuses that `status` may replace; an unknown one replaces nothing."""
    rank = ranks.get(status, -1)
    return [name for name, other in ranks.items() if other < rank]
