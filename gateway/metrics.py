"""Counters and histograms, summed over all processes of this host (prometheus-client, multiprocess)."""

import os

from prometheus_client import CollectorRegistry, Counter, Histogram, generate_latest
from prometheus_client import multiprocess as _multiprocess
from prometheus_client.registry import REGISTRY

SESSIONS = Counter(
    "gateway_sessions",
    "Decisions of the session finder.",
    ["decision", "communication_type", "restored"],
)
MESSAGES = Counter("gateway_messages", "Messages stored.", ["direction", "communication_type"])
WEBHOOK_SECONDS = Histogram(
    "gateway_webhook_seconds",
    "Time from a webhook's arrival to its answer.",
    ["path", "status"],
    buckets=(0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.5, 1, 2, 5, 15),
)
REJECTED = Counter("gateway_webhooks_rejected", "Webhooks that were refused.", ["reason"])


def exposition() -> bytes:
    """Give all metrics in Prometheus' text format."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    _multiprocess.MultiProcessCollector(registry)  # type: ignore[no-untyped-call]
    return generate_latest(registry)
