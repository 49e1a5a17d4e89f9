"""Verdicts of the inspector in words: what was wrong with a webhook, and what to do about it."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from gateway.conversation.inspector import GENUINE, OBSERVED

# What the doctor sent itself, and would have been refused.
PROBE = "probe"


@dataclass(frozen=True, slots=True)
class Explanation:
    """What happened, and what to do, in the order to try it."""

    what: str
    steps: tuple[str, ...] = ()


_NAMES = {
    GENUINE: "Genuine",
    OBSERVED: "Not genuine, let in",
    "bad_signature": "Signature is wrong",
    "no_signature": "No signature",
    "unknown_account": "Account not known",
    "unknown_key": "Shared key not known",
    "unknown_algorithm": "Algorithm not known",
    "no_token": "No token to compare with",
    "not_a_form": "Not a form",
    "bad_encoding": "Not UTF-8",
    "too_large": "Too large",
    "cut_short": "Cut short",
    "missing_parameter": "Parameter missing",
    "unknown_path": "No such webhook",
    "wrong_method": "Not a POST",
    "unavailable": "Could not be kept (503)",
    "failed": "Failed on our side",
    PROBE: "The doctor's own, refused",
    "not_a_probe": "Not from the doctor",
}


def name(verdict: str) -> str:
    """Give a verdict its name."""
    return _NAMES.get(verdict, verdict.replace("_", " ").capitalize())


def tone(verdict: str) -> str:
    """Choose a verdict's colour."""
    if verdict == GENUINE:
        return "good"
    return "bad" if verdict in ("bad_signature", "failed", "unavailable", "unknown_account", "no_token") else "warn"


_CAUSES: dict[str, Explanation] = {
    "public_url": Explanation(
        "The token is right. Twilio signed another address than the one PUBLIC_URL says, so the two do not match.",
        (
            "Set PUBLIC_URL to the beginning of the address that was signed, up to where /webhooks begins.",
            "Or correct the webhook's URL of this number in the Twilio console.",
        ),
    ),
    "proxy_untrusted": Explanation(
        "The token is right. A proxy says which address was called, but it is not trusted, so the gateway compared "
        "with the address it was called at itself.",
        (
            "Add the proxy's address to TRUSTED_PROXIES.",
            "Or set PUBLIC_URL to the address Twilio calls; then no header is needed.",
        ),
    ),
    "proxy_silent": Explanation(
        "The token is right. Whatever stands before the gateway does not say which address Twilio called: "
        "X-Forwarded-Proto or X-Forwarded-Host is missing.",
        (
            "Set PUBLIC_URL to the address Twilio calls.",
            "Or let the proxy send X-Forwarded-Proto and X-Forwarded-Host, and name it in TRUSTED_PROXIES.",
        ),
    ),
    "path": Explanation(
        "The token and the host are right. Something on the way changed the path or the query: Twilio signed another "
        "one than the one that arrived.",
        (
            "Write the webhook's URL in the Twilio console exactly as the gateway has it, with no slash at its end.",
            "Let no proxy rewrite paths or queries below /webhooks. If it cuts off a prefix, end PUBLIC_URL with that "
            "prefix.",
        ),
    ),
    "account": Explanation(
        "It was signed with a token the gateway knows, but that belongs to another account than AccountSid says.",
        (
            "Compare TWILIO_ACCOUNT_SID with the account of the number in the Twilio console.",
            "For a subaccount, put its own token into GATEWAY_TWILIO__ACCOUNTS.",
        ),
    ),
    "body": Explanation(
        "The address and the token are right, but the form is not what was signed.",
        (
            "Let no proxy or firewall rewrite the request's body.",
            "Set the webhook in the Twilio console to HTTP POST.",
        ),
    ),
    "unknown": Explanation(
        "None of the addresses tried fits with any token the gateway has, nor do other spellings of them. Mostly the "
        "token is another one; else somebody who is not Twilio sent this.",
        (
            "Compare TWILIO_AUTH_TOKEN with the primary token of this account in the Twilio console. While you "
            "rotate it, give both, separated by a comma.",
            "For a subaccount, put its own token into GATEWAY_TWILIO__ACCOUNTS.",
            "Compare the addresses tried with the webhook's URL in the Twilio console, letter by letter.",
        ),
    ),
}
_VERDICTS: dict[str, Explanation] = {
    GENUINE: Explanation("Twilio signed this, and it was taken."),
    "no_signature": Explanation(
        "There is no X-Twilio-Signature, so nobody vouches for it, and nothing else of it was read. Scanners and "
        "browsers look like this; Twilio never does.",
        (
            "Nothing, if it is none of yours.",
            "If Twilio sent it, a proxy takes the header X-Twilio-Signature away: let it pass.",
        ),
    ),
    "unknown_account": Explanation(
        "It says it comes from an account the gateway has no token of.",
        ("Put the account and its token into GATEWAY_TWILIO__ACCOUNTS, or point its numbers elsewhere.",),
    ),
    "unknown_key": Explanation(
        "It was signed with a shared key the gateway does not have.",
        ("Put the key's id and secret into GATEWAY_TWILIO__SHARED_KEYS.",),
    ),
    "unknown_algorithm": Explanation(
        "It names an algorithm other than HMAC-SHA1 and HMAC-SHA256.", ("Choose one of these at Twilio.",)
    ),
    "no_token": Explanation(
        "The gateway has no token to compare a signature with.", ("Set TWILIO_AUTH_TOKEN, and start it again.",)
    ),
    "not_a_form": Explanation(
        "A webhook of Twilio's is a form (application/x-www-form-urlencoded); this is something else.",
        ("Point only messaging, voice and status webhooks at the gateway, not event streams.",),
    ),
    "bad_encoding": Explanation(
        "The form is not valid UTF-8, so nobody can tell what was signed.",
        ("Let no proxy change the encoding of the body.",),
    ),
    "too_large": Explanation("The body is larger than a megabyte. Twilio sends no such thing."),
    "cut_short": Explanation(
        "Its sender hung up before the body was whole.",
        ("If it happens often, look for a proxy in between that gives up too soon.",),
    ),
    "missing_parameter": Explanation(
        "The signature is right, but a parameter is missing that every webhook of this kind has.",
        ("See whether this URL is the one for this kind of webhook: /webhooks/sms, /webhooks/voice, ...",),
    ),
    "unknown_path": Explanation(
        "The gateway has no webhook at this path.",
        ("Correct the URL in the Twilio console: it ends in /webhooks/sms, whatsapp, voice or status.",),
    ),
    "wrong_method": Explanation("Webhooks are POSTs.", ("Set the webhook in the Twilio console to HTTP POST.",)),
    "unavailable": Explanation(
        "Neither MongoDB nor this host's spool took it, so Twilio was told to try again or use the fallback URL.",
        ("See the page Health, and the log at this time.",),
    ),
    "failed": Explanation("Something broke on our side.", ("Look for the request's id in the log.",)),
    PROBE: Explanation("The doctor sent this as Twilio would, and it would have been refused.", ("Run it again.",)),
    "not_a_probe": Explanation(
        "This address is for `gateway doctor` alone. Its note was missing, too old, or made with another SECRET_KEY.",
        ("Run the doctor with the settings of this gateway, and point nothing else at this address.",),
    ),
}  # fmt: skip


def explain(seen: Mapping[str, Any]) -> Explanation:
    """Explain the verdict of an inspected webhook."""
    signature = seen.get("signature") or {}
    return reason(seen["verdict"], signature.get("cause") or "", signed=bool(signature.get("given")))


def reason(verdict: str, cause: str, *, signed: bool) -> Explanation:
    """Explain a verdict by the cause that was found for it; empty where none was looked for."""
    if verdict in ("bad_signature", OBSERVED, "unknown_account", PROBE) and cause and cause != "unknown":
        return _CAUSES[cause]
    if verdict in ("bad_signature", OBSERVED):
        return _CAUSES["unknown"] if signed else _VERDICTS["no_signature"]
    return _VERDICTS.get(verdict, Explanation("It was refused.", ("Look for the request's id in the log.",)))
