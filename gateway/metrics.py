"""Counters and histograms, summed over all processes of this host (prometheus-client, multiprocess)."""

import os
from collections.abc import Iterable
from functools import cache
from typing import TypeVar

from prometheus_client import CollectorRegistry, Counter, Gauge, Histogram, generate_latest
from prometheus_client import multiprocess as _multiprocess
from prometheus_client.metrics_core import Metric as Family
from prometheus_client.registry import REGISTRY, Collector

Metric = TypeVar("Metric", Counter, Histogram)

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
REPLY_SECONDS = Histogram(
    "gateway_reply_seconds",
    "Time a responder took.",
    ["responder", "outcome"],
    buckets=(0.01, 0.05, 0.1, 0.5, 1, 2, 5, 10, 30, 60),
)
DELIVERY = Counter("gateway_delivery", "Delivery statuses that took effect, and sends refused.", ["status", "code"])
FLOWS = Counter("gateway_flows", "Flows that began, and how they ended.", ["flow", "outcome"])
EVENTS = Counter("gateway_events", "Tries to tell a program of an event.", ["outcome"])
CRM_SYNCS = Counter("gateway_crm_syncs", "Tries to synchronise a contact with the CRM.", ["outcome"])
OUTBOX_DEPTH = Gauge("gateway_outbox_depth", "Rows of the outbox.", ["state"], multiprocess_mode="mostrecent")
OUTBOX_OLDEST = Gauge(
    "gateway_outbox_oldest_seconds", "How long the oldest row has waited.", multiprocess_mode="mostrecent"
)
SPOOL_DEPTH = Gauge("gateway_spool_depth", "Events that wait in the spool.", multiprocess_mode="mostrecent")
SPOOL_OLDEST = Gauge(
    "gateway_spool_oldest_seconds", "How long the oldest event has waited.", multiprocess_mode="mostrecent"
)
SPOOL_SET_ASIDE = Gauge("gateway_spool_set_aside", "Events that could not be applied.", multiprocess_mode="mostrecent")
REJECTED = Counter("gateway_webhooks_rejected", "Webhooks that were refused.", ["reason"])

INSPECTIONS_DROPPED = Counter("gateway_inspections_dropped", "Webhooks the inspector had no room for.")


@cache
def of(metric: Metric, *labels: object) -> Metric:
    """Give a metric with its labels, as `labels` does in ten times the time; a webhook counts four things."""
    return metric.labels(*labels)


def exposition() -> bytes:
    """Give all metrics in Prometheus' text format."""
    if "PROMETHEUS_MULTIPROC_DIR" not in os.environ:
        return generate_latest(REGISTRY)
    registry = CollectorRegistry()
    registry.register(_OfAllProcesses())
    return generate_latest(registry)


class _OfAllProcesses(Collector):
    """What all processes counted, and the names of what none has counted yet: alerts are written before that."""

    def collect(self) -> Iterable[Family]:
        counted = list(_multiprocess.MultiProcessCollector(None).collect())  # type: ignore[no-untyped-call]
        names = {family.name for family in counted}
        ours = (family for family in REGISTRY.collect() if family.name.startswith("gateway_"))
        return [*counted, *(family for family in ours if family.name not in names)]
