"""The settings: whether a gateway would start with them, and what in them is risky though it is allowed."""

from collections.abc import Iterator

from gateway import responders, settings
from gateway.conversation.doctor.findings import Finding, Patient, ok, said, warning
from gateway.core.errors import ConfigError
from gateway.responders import flow_files
from gateway.settings import Settings

# A shorter SECRET_KEY can be guessed by whoever has a cookie.
KEY_LENGTH = 24


def settings_are_valid(patient: Patient) -> Iterator[Finding]:
    """Check what `gateway check-config` checks, and go on where it stops at the first fault."""
    configured = patient.settings
    problems = [*settings.faults(configured), *_unusable(configured)]
    yield from (said(problem) for problem in problems)
    if not problems:
        yield ok(f"Valid for {configured.env}; answered by {configured.reply.responder}.")
    yield from pitfalls(configured)


def _unusable(configured: Settings) -> Iterator[str]:
    for load in (flow_files.load, responders.build):
        try:
            load(configured)
        except ConfigError as error:
            yield str(error)
    yield from responders.lacking(configured)


def pitfalls(configured: Settings) -> Iterator[Finding]:
    """Find what a gateway starts with and somebody regrets later."""
    yield from (warning(what, remedy) for is_so, what, remedy in _anywhere(configured) if is_so)
    if configured.env == "production":
        yield from (warning(what, remedy) for is_so, what, remedy in _in_production(configured) if is_so)


def _anywhere(configured: Settings) -> tuple[tuple[object, str, str], ...]:
    return (
        (
            configured.observes_signatures,
            "Signatures are only observed: anybody may post messages.",
            "Remove GATEWAY_TWILIO__SIGNATURES.",
        ),
        (
            any(network.prefixlen == 0 for network in configured.trusted_proxies),
            "TRUSTED_PROXIES trusts everybody, so anybody may say which address was called, and from where.",
            "Name the addresses of the proxies.",
        ),
        (
            configured.chat.legacy_auth,
            "GATEWAY_CHAT__LEGACY_AUTH believes whoever chats to be whom they say they are.",
            "Give the front end tokens (docs/api/chat.md), and remove it.",
        ),
    )


def _in_production(configured: Settings) -> tuple[tuple[object, str, str], ...]:
    return (
        (
            0 < len(configured.secret_key.get_secret_value()) < KEY_LENGTH,
            f"SECRET_KEY has fewer than {KEY_LENGTH} characters, and signs logins and calls.",
            'Make a longer one: python3 -c "import secrets; print(secrets.token_urlsafe(48))"',
        ),
        (
            configured.twilio.api_base_url,
            "GATEWAY_TWILIO__API_BASE_URL is set: what is sent goes to a stand-in, not to Twilio.",
            "Remove it.",
        ),
        (
            configured.reply.responder == "echo",
            "Everybody is answered with their own words (GATEWAY_REPLY__RESPONDER=echo).",
            "Choose who answers: docs/responders.",
        ),
        (
            not (configured.log.redact and configured.inspector.redact),
            "Logs or the inspector keep what people write, and their numbers.",
            "Remove GATEWAY_LOG__REDACT and GATEWAY_INSPECTOR__REDACT.",
        ),
    )
