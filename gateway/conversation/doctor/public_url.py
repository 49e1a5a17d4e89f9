"""The address Twilio calls: whether a signed webhook sent there arrives, and is verified."""

from collections.abc import Iterator
from urllib.parse import urlsplit

from gateway.clients import reaching
from gateway.clients.reaching import NotReached, Reached
from gateway.conversation import probing, verdicts
from gateway.conversation.doctor.findings import Finding, Patient, not_checked, ok, warning, wrong
from gateway.conversation.probing import NotOurs, Probe, Told
from gateway.core import wiring

_PROXY_SILENT = frozenset({502, 503, 504, 520, 521, 522, 523, 524, 530})


def webhooks_arrive(patient: Patient) -> Iterator[Finding]:
    """Send ourselves a webhook as Twilio would, through whatever stands between."""
    base = patient.public_url
    why = wiring.unreachable(base)
    if why:
        yield warning(
            f"{why}: Twilio cannot call it.",
            "Set PUBLIC_URL to an https address that leads here; `gateway listen` makes one for trying.",
        )
        yield from _through(patient, base or patient.local_url)
        return
    if base.startswith("http://"):
        yield warning(f"{wiring.shown(base)} is http: what people write travels in the clear.", "Use https.")
    yield from _through(patient, base)


def _through(patient: Patient, base: str) -> Iterator[Finding]:
    probe = probing.make(patient.settings, base, patient.clock.now())
    if probe is None:
        yield not_checked("there is no token to sign a webhook with: set TWILIO_AUTH_TOKEN")
        return
    shown = wiring.shown(base)
    try:
        reached = reaching.post(probe.url, probe.form, probe.headers)
    except NotReached as error:
        yield wrong(f"{shown} cannot be called. {error}.", error.remedy)
        return
    try:
        told = probing.read(patient.settings, probe, reached.text if reached.status == 200 else "")
    except NotOurs:
        yield _answered(shown, reached)
    else:
        yield _verified(shown, probe, told)


def _verified(shown: str, probe: Probe, told: Told) -> Finding:
    """Say what the gateway made of the signature."""
    if not told.reason:
        if told.matched == probe.url:
            return ok(f"A signed webhook to {shown} arrives and is verified, over that very address.")
        return ok(f"A signed webhook to {shown} arrives and is verified, over {wiring.shown(told.matched)}.")
    if told.reason == "unknown_account":
        return wrong(
            f"A signed webhook to {shown} arrives and is refused (unknown_account). The gateway there has no token of "
            "the account the doctor signs for: the doctor has other settings than the gateway.",
            "Run the doctor with the TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN of the gateway.",
        )
    explained = verdicts.reason(told.reason, _cause(probe, told), signed=told.signed)
    details = (
        f"signed was {wiring.shown(probe.url)}",
        *(f"compared with {wiring.shown(url)}" for url in told.tried[:4]),
    )
    what = f"A signed webhook to {shown} arrives and is refused ({told.reason}). {explained.what}"
    return wrong(what, *explained.steps, details=details)


def _cause(probe: Probe, told: Told) -> str:
    """Name what went wrong; unlike the gateway we know what was signed, also what is not there any more."""
    where = urlsplit(probe.url)
    kept = any(urlsplit(url)[:2] == where[:2] for url in told.tried)
    return "path" if told.cause == "unknown" and kept and probe.url not in told.tried else told.cause


def _answered(shown: str, reached: Reached) -> Finding:
    """Say who answers, where that was not a gateway that knows us."""
    by = f" by {reached.server[:40]}" if reached.server else ""
    if 300 <= reached.status < 400:
        return wrong(
            f"{shown} redirects to {wiring.shown(reached.location)[:200]}, and a redirect loses what was posted.",
            "Set PUBLIC_URL to where it leads, or let the proxy pass webhooks on.",
        )
    if reached.status == 403:
        return wrong(
            f"{shown} refuses our own webhook (403{by}): another SECRET_KEY, a clock five minutes off, or no gateway.",
            "Run the doctor with the settings of the gateway there. If a firewall or a login page stands before it, "
            "let POST /webhooks/* pass.",
        )
    if reached.status in _PROXY_SILENT:
        return wrong(
            f"{shown} is answered by a proxy whose gateway is not there ({reached.status}{by}).",
            "Start the gateway, or correct where the proxy passes it on to.",
        )
    if reached.status in (404, 405):
        return wrong(
            f"{shown} is answered, but not by this gateway ({reached.status}{by}).",
            "Let it pass /webhooks/* to the gateway, with the prefix of PUBLIC_URL or without. An older gateway than "
            "this one has no address for the doctor: update it.",
        )
    return wrong(
        f"Something else than this gateway answers at {shown} ({reached.status}{by}).",
        "Correct PUBLIC_URL, or what leads there. Has a tunnel been given to somebody else?",
    )
