"""What came lately: when the last webhook was, and whether some were refused."""

from collections.abc import Iterator, Mapping
from datetime import timedelta
from typing import Any

from gateway.conversation import presence, verdicts
from gateway.conversation.doctor.findings import Finding, Patient, ok, warning
from gateway.conversation.inspector import GENUINE
from gateway.conversation.verdicts import PROBE
from gateway.core.times import ms_between, spoken
from gateway.store import channels, inspections
from gateway.store.connection import deadline

# A gateway that nobody wrote to for so long may be one that nobody reaches.
QUIET = timedelta(days=7)

# What comes to any address of the internet, and says nothing of ours.
_STRANGERS = frozenset({"no_signature", "unknown_path", "wrong_method", "not_a_probe", PROBE})


def webhooks_came(patient: Patient) -> Iterator[Finding]:
    """Say how long ago the last webhook came, of all numbers."""
    with deadline():
        heard = [(one["last_webhook_at"], one) for one in channels.listed() if one.get("last_webhook_at")]
    if not heard:
        yield warning(
            f"No webhook has come yet, or only in the last {presence.EVERY_SECONDS} seconds.",
            "Try it: gateway simulate sms --body Hello",
            "Point a number here: gateway channels point",
        )
        return
    at, channel = max(heard, key=lambda pair: pair[0])
    since = ms_between(at, patient.clock.now())
    words = (
        f"The last webhook came {spoken(max(0, since) // 1000 * 1000)} ago, to {channel.get('name') or channel['id']}."
    )
    if since > QUIET // timedelta(milliseconds=1):
        yield warning(words, "If that is too long: text the number, and see what Twilio's log says of it.")
    else:
        yield ok(words)


def webhooks_are_taken(patient: Patient) -> Iterator[Finding]:
    """Say which webhooks were refused lately though somebody signed them, and why."""
    kept = patient.settings.inspector
    if not kept.enabled:
        return
    with deadline():
        counts = {name: count for name, count in inspections.verdicts().items() if name not in _STRANGERS}
        counts.pop(GENUINE, None)
        newest = {name: inspections.page(verdict=name, limit=1).rows for name in counts}
        seen = {name: inspections.one(rows[0]["id"]) for name, rows in newest.items() if rows}
    for name, one in seen.items():
        if one:
            explained = verdicts.explain(one)
            what = f"{counts[name]:,} refused within {kept.keep_hours:g} h: {verdicts.name(name).lower()}."
            yield warning(f"{what} {explained.what}", *explained.steps, details=_compared(one))
    if not seen:
        yield ok(f"None that was signed was refused within {kept.keep_hours:g} h.")


def _compared(one: Mapping[str, Any]) -> tuple[str, ...]:
    """Name the newest, and what its signature was compared with."""
    signature = one.get("signature") or {}
    signed = [f"signed was {signature['signed_url']}"] if signature.get("signed_url") else []
    compared = [f"compared with {url}" for url in (signature.get("tried") or ())[:2]]
    return (f"the newest: {one['method']} {one['path']} at {one['at']:%Y-%m-%d %H:%M:%S} UTC", *signed, *compared)
