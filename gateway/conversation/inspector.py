"""The webhook inspector: keeps refused requests, and a sample of the others, without ever holding up a webhook.

A webhook puts what it saw into a ring in memory and goes on; a thread redacts, diagnoses and stores it. A ring that is
full drops what comes and counts it, also while MongoDB is away.
"""

import random
import socket
from collections import deque
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from gateway import metrics
from gateway.channels import exposure
from gateway.channels.base import Form
from gateway.channels.diagnosis import Seen, diagnose
from gateway.channels.signature import Keyring, Verdict
from gateway.core.errors import StoreUnavailable
from gateway.logs import log
from gateway.settings.sections import Inspector as Inspecting
from gateway.store import connection, inspections
from gateway.store.connection import deadline

# What waits in memory, and how often it is stored: so a flood costs a process 50 of these a second at most.
RING = 100
EVERY_SECONDS = 2

GENUINE, OBSERVED = "genuine", "observed"


@dataclass(frozen=True, slots=True)
class Captured:
    """A webhook and its answer as they were; `form` is None where it was not read, or is too large to be kept."""

    at: datetime
    method: str
    path: str
    client: str
    seen: Seen
    headers: tuple[tuple[str, str], ...]
    form: Form | None
    body_bytes: int
    signature: str
    settings_header: str
    reason: str
    verdict: Verdict | None
    status: int
    answer: str
    milliseconds: float | None
    request_id: str


class Inspector:
    """What one process has seen and not stored yet."""

    def __init__(self, settings: Inspecting, keyring: Keyring) -> None:
        self._settings, self._keyring = settings, keyring
        self._ring: deque[tuple[Any, Captured]] = deque()
        self._host = socket.gethostname()
        self.dropped = 0

    def wants(self, *, refused: bool) -> bool:
        """Tell whether a webhook is to be captured: every refused one, a sample of the others, while there is room."""
        if not self._settings.enabled:
            return False
        if not refused and random.random() >= self._settings.sample_rate:  # noqa: S311 - no secret hangs on it
            return False
        if len(self._ring) < RING:
            return True
        self.dropped += 1
        metrics.INSPECTIONS_DROPPED.inc()
        return False

    def offer(self, captured: Captured) -> None:
        """Keep a webhook until the thread stores it."""
        self._ring.append((inspections.new_id(), captured))

    def flush(self) -> int:
        """Store what waits; gives how many. What MongoDB does not take stays, as much as the ring holds."""
        batch = [self._ring[number] for number in range(min(len(self._ring), RING))]
        if not batch or connection.breaker.is_open:
            return 0
        documents = [document for one in batch if (document := self._storable(*one))]
        try:
            with deadline():
                if documents:
                    inspections.add(documents)
                    inspections.trim({document["verdict"] for document in documents})
        except StoreUnavailable:
            return 0
        for _ in batch:
            self._ring.popleft()
        self.dropped += len(batch) - len(documents)
        return len(documents)

    def flush_steadily(self) -> None:
        """Store what waits, and outlive whatever is wrong with it: no request may stop those behind it."""
        try:
            self.flush()
        except Exception:
            log.exception("inspector_failed", dropped=len(self._ring))
            self.dropped += len(self._ring)
            self._ring.clear()

    def _storable(self, key: Any, captured: Captured) -> dict[str, Any] | None:
        """Give what is stored of a webhook; None where MongoDB cannot hold it, which must cost it alone."""
        try:
            document = self._document(key, captured)
            inspections.check(document)
        except Exception:
            log.exception("inspector_failed", dropped=1)
            return None
        return document

    def facts(self) -> dict[str, Any]:
        """Tell what waits and what was dropped, for the heartbeat."""
        return {"inspections": {"waiting": len(self._ring), "dropped": self.dropped}}

    def _document(self, key: Any, captured: Captured) -> dict[str, Any]:
        redact = self._settings.redact
        fields = list(captured.form.items(multi=True)) if captured.form is not None else []
        form = exposure.form(fields, redact=redact)
        headers = exposure.headers(captured.headers)
        return {
            "_id": key,
            "at": captured.at,
            "expires_at": captured.at + timedelta(hours=self._settings.keep_hours),
            "host": self._host,
            "method": captured.method,
            "path": exposure.clip(captured.path, exposure.NAME_LIMIT),
            "url": exposure.url(captured.seen.target, redact=redact),
            "client": exposure.clip(captured.client, exposure.NAME_LIMIT),
            "status": captured.status,
            "verdict": _verdict(captured),
            "signature": self._signature(captured, redact),
            "headers": headers,
            "form": form,
            "omitted": {
                "unread": captured.form is None,
                "fields": len(fields) - len(form),
                "headers": len(captured.headers) - len(headers),
                "body_bytes": captured.body_bytes,
            },
            "response": exposure.twiml(captured.answer, redact=redact),
            "milliseconds": captured.milliseconds and round(captured.milliseconds, 1),
            "request_id": captured.request_id,
            "about": exposure.about(captured.form.to_dict() if captured.form is not None else {}),
            "redacted": redact,
        }

    def _signature(self, captured: Captured, redact: bool) -> dict[str, Any]:
        """Say what the signature was compared with and, where it failed, why that may be."""
        verdict, seen = captured.verdict, captured.seen
        facts: dict[str, Any] = {
            "given": bool(captured.signature),
            "genuine": verdict.genuine if verdict else None,
            "reason": verdict.reason if verdict else captured.reason,
            "tried": [exposure.url(url, redact=redact) for url in (verdict.tried if verdict else ())],
            "matched": exposure.url(verdict.matched, redact=redact) if verdict and verdict.matched else "",
            "scheme": seen.scheme,
            "host": exposure.clip(seen.host, exposure.NAME_LIMIT),
            "public_url": exposure.url(seen.public_url, redact=redact),
            "forwarded": sorted(seen.forwarded),
            "trusted": seen.trusted,
        }
        if verdict and not verdict.genuine and captured.signature and captured.form is not None:
            facts |= self._diagnosis(captured, captured.form, redact)
        return facts

    def _diagnosis(self, captured: Captured, form: Form, redact: bool) -> Mapping[str, str]:
        found = diagnose(
            self._keyring,
            captured.seen,
            form,
            captured.signature,
            account_sid=form.text("AccountSid"),
            settings=captured.settings_header,
        )
        return {"cause": found.cause, "signed_url": exposure.url(found.url, redact=redact)}


def _verdict(captured: Captured) -> str:
    if captured.reason:
        return captured.reason
    return OBSERVED if captured.verdict and not captured.verdict.genuine else GENUINE
