"""What Twilio reported about calling us: its monitor's errors for our addresses."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import timedelta
from urllib.parse import urlsplit

from gateway.conversation.doctor.findings import Finding, Patient, ok, warning
from gateway.core.accounts import Alert
from gateway.core.times import ms_between, spoken

SPAN = timedelta(hours=24)

# https://www.twilio.com/docs/api/errors, in our words: what it means here, and what to do.
_CODES = {
    "11200": ("got an error or no answer", "Look at the log at that time, and whether the public address answers."),
    "11205": ("could not connect, or waited 15 s", "See whether the host is up, and its firewall open."),
    "11206": ("could not read the answer", "See what stands before the gateway: it breaks HTTP."),
    "11215": ("was redirected too often", "Write the address that is redirected to into PUBLIC_URL."),
    "11217": ("got an error of the gateway", "Look at the log at that time."),
    "11220": ("could not agree on TLS", "Renew or complete the certificate."),
    "11235": ("did not accept the certificate", "Send the whole chain of certificates."),
    "11236": ("did not accept the certificate", "Have it issued for this host."),
    "11237": ("did not accept the certificate", "Send the whole chain, of an authority that is known."),
    "11322": ("used another method", "Set POST: gateway channels point NUMBER"),
    "11750": ("got too long an answer", "See whether a proxy answers with a page of its own."),
    "12100": ("could not read the answer as XML", "See whether a proxy answers with a page of its own."),
    "12300": ("got an answer of another type", "See whether a proxy answers with a page of its own."),
    "15003": ("got an error for a call's status", "Look at the log at that time."),
}


def twilio_reports_nothing(patient: Patient) -> Iterator[Finding]:
    """Check what Twilio's monitor says of our addresses."""
    now = patient.clock.now()
    ours = [one for one in patient.account.alerts(now - SPAN, now) if _is_ours(one, patient.public_url)]
    by_code: dict[str, list[Alert]] = defaultdict(list)
    for one in ours:
        by_code[one.code].append(one)
    for code, alerts in sorted(by_code.items(), key=lambda pair: -len(pair[1])):
        since = spoken(max(0, ms_between(max(one.at for one in alerts), now)) // 1000 * 1000)
        did, remedy = _CODES.get(code, ("had a problem", f"https://www.twilio.com/docs/api/errors/{code}"))
        times = "once" if len(alerts) == 1 else f"{len(alerts):,} times"
        yield warning(f"Twilio {did} {times} within 24 h, last {since} ago (error {code}): {_paths(alerts)}.", remedy)
    if not ours:
        yield ok("Twilio reported no error of our addresses within 24 h.")


def _is_ours(alert: Alert, public_url: str) -> bool:
    """Tell whether an alert is about an address of ours; without a public one, whatever looks like it."""
    called, base = urlsplit(alert.url), urlsplit(public_url)
    return "/webhooks/" in called.path and called.hostname == (base.hostname or called.hostname)


def _paths(alerts: Sequence[Alert]) -> str:
    return ", ".join(sorted({urlsplit(one.url).path for one in alerts})[:4])
