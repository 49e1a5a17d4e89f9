"""What Twilio keeps of a conversation, taken out there before it is deleted here.

Done while the session is still here, rather than through the outbox: a session whose messages Twilio did not redact
stays, so the database itself says what is left to do, and nothing of a person lies in a queue after they are gone.
Repeating it after a crash changes nothing.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from gateway.conversation.runtime import Runtime
from gateway.core.errors import GatewayError
from gateway.core.fetching import MediaFailed, MediaRefused
from gateway.core.sending import NotRedacted
from gateway.logs import log
from gateway.store import removal

# Twilio answers in about a tenth of a second, and is asked once for each message and file.
THREADS = 8
PAUSES = (1, 5)
_MESSAGES = ("SM", "MM")


class TwilioRefuses(GatewayError):
    """Twilio redacted nothing at all; says why."""


def redact(runtime: Runtime, sessions: Sequence[Mapping[str, Any]]) -> set[Any]:
    """Redact and delete at Twilio what it keeps of these sessions; gives the ids of those where that worked.

    TwilioRefuses where it worked for none of them: then it will not work for others either.
    """
    with ThreadPoolExecutor(THREADS) as threads:
        failures = list(threads.map(lambda session: _redact(runtime, session), sessions))
    for session, failure in zip(sessions, failures, strict=True):
        if failure:
            log.warning("session_not_redacted", session_id=str(session["_id"]), message=failure[:300])
    if sessions and all(failures):
        raise TwilioRefuses(f"Nothing was deleted, for nothing could be redacted at Twilio: {failures[0]}")
    return {session["_id"] for session, failure in zip(sessions, failures, strict=True) if not failure}


def _redact(runtime: Runtime, session: Mapping[str, Any]) -> str:
    """Redact one session; gives what went wrong, empty where nothing did."""
    accounts: list[str] = []
    try:
        for message in removal.messages_of(session["_id"]):
            accounts += filter(None, [_account(message)])
            _redact_one(runtime, message, accounts[-1] if accounts else None)
    except (NotRedacted, MediaFailed) as error:
        return str(error)
    return ""


def _account(message: Mapping[str, Any]) -> str | None:
    """Tell the account of a message; an answer given with the webhook has that of what it answers."""
    told = message.get("metadata") or {}
    return told.get("AccountSid") or (told.get("address") or {}).get("account_sid")


def _redact_one(runtime: Runtime, message: Mapping[str, Any], account: str | None) -> None:
    sid = message.get("provider_sid") or ""
    if sid.startswith(_MESSAGES):
        _patiently(lambda: runtime.sender.redact(sid, account))
    if message.get("direction") != "inbound":
        return
    for file in message.get("media") or ():
        if (url := file.get("url")) and not file.get("deleted_at_twilio"):
            _patiently(lambda url=url: _delete(runtime, url))  # type: ignore[misc]


def _delete(runtime: Runtime, url: str) -> None:
    try:
        runtime.sender.delete(url)
    except MediaRefused:
        return  # It is not at Twilio.


def _patiently(do: Callable[[], None]) -> None:
    """Try again what may work the next time."""
    for pause in PAUSES:
        try:
            return do()
        except NotRedacted as error:
            if not error.passing:
                raise
        except MediaFailed:
            pass
        time.sleep(pause)
    return do()
