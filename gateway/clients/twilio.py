"""Twilio's REST API: sending a message, finding out whether it was sent, and fetching what people send.

https://www.twilio.com/docs/messaging/api/message-resource. The API has no idempotency key, so every failure is
either certain (NotSent) or doubtful (OutcomeUnknown), and never guessed at.
"""

import json
import ssl
from datetime import UTC, datetime
from typing import Any

import urllib3

from gateway.clients.credentials import Credentials, NoCredentials
from gateway.clients.downloads import Downloads
from gateway.clients.lookup import listing, matching
from gateway.clients.retrying import retry_after
from gateway.clients.wire import Caller, Failed, without_numbers
from gateway.core.codes import reaction
from gateway.core.fetching import Fetched
from gateway.core.sending import Found, LookupFailed, NotRedacted, NotSent, OutcomeUnknown, Outgoing, Reaction, Sent
from gateway.settings import Settings


class Twilio:
    """Twilio, as the settings reach it. Shared by threads; make it after forking."""

    paced = True

    def __init__(self, settings: Settings) -> None:
        self._service_for = settings.service_for
        self._credentials = Credentials(settings)
        self._downloads = Downloads(settings, self._credentials)
        self._caller = Caller(settings, self._credentials, connections=settings.outbox.concurrency)

    def send(self, outgoing: Outgoing) -> Sent:
        """Send a message. NotSent is certain, OutcomeUnknown is not."""
        try:
            message = self._caller.call(
                outgoing.account_sid,
                lambda client: client.messages.create(**self._arguments(outgoing)),
            )
        except NoCredentials as error:
            raise NotSent("no_credentials", str(error)) from error
        except Failed as failure:
            raise _verdict(failure) from failure.error
        if not message.sid:
            raise OutcomeUnknown("Twilio accepted the message and named no SID.")
        return Sent(message.sid, str(message.status or "queued"))

    def find(self, outgoing: Outgoing, since: datetime, until: datetime | None = None) -> list[Found]:
        """List the messages Twilio has that may be this one, created from `since` to `until` (both aware).

        Not filtered by DateSent, which is null while a message is queued: such a message would be missed, and sent
        twice. Answers in TwiML are not ours to find. Who calls must set aside SIDs it knows to be other messages:
        people write "ok" twice. Raises LookupFailed.
        """
        service = self._service(outgoing)
        try:
            listed = self._caller.call(
                outgoing.account_sid, lambda client: client.messages.list(**listing(outgoing, bool(service)))
            )
        except NoCredentials as error:
            raise LookupFailed(str(error)) from error
        except Failed as failure:
            raise LookupFailed(f"Twilio could not be asked about a message: {failure.reason()}") from failure.error
        return matching(listed, outgoing, since, until, smart=bool(service))

    def fetch(self, url: str) -> Fetched:
        """Fetch a photograph or a recording; raises MediaRefused, MediaNotThere or MediaFailed."""
        return self._downloads.fetch(url)

    def delete(self, url: str) -> None:
        """Delete a photograph or a recording at Twilio; raises MediaRefused or MediaFailed."""
        self._downloads.delete(url)

    def redact(self, sid: str, account_sid: str | None) -> None:
        """Take the text out of a message at Twilio, which takes that only when it is finished; raises NotRedacted.

        One that Twilio does not have any more is redacted.
        """
        try:
            self._caller.call(account_sid, lambda client: client.messages(sid).update(body=""))
        except NoCredentials as error:
            raise NotRedacted(str(error)) from error
        except Failed as failure:
            if failure.status == 404:
                return
            passing = failure.status is None or failure.status == 429 or failure.status >= 500
            raise NotRedacted(failure.reason(), passing=passing) from failure.error

    def _service(self, outgoing: Outgoing) -> str:
        """Give the Messaging Service; the settings' own belongs to the main account's numbers."""
        return outgoing.service_sid or self._service_for(outgoing.account_sid, outgoing.sender)

    def _arguments(self, outgoing: Outgoing) -> dict[str, Any]:
        template = {
            "content_sid": outgoing.content_sid,
            "content_variables": json.dumps(dict(outgoing.content_variables)) if outgoing.content_variables else None,
        }
        given = {
            "to": outgoing.to,
            "from_": outgoing.sender,
            "messaging_service_sid": self._service(outgoing),
            "media_url": list(outgoing.media),
            "status_callback": outgoing.status_callback,
            **(template if outgoing.content_sid else {"body": outgoing.text}),
        }
        return {name: value for name, value in given.items() if value}


def _verdict(failure: Failed) -> NotSent | OutcomeUnknown:
    """Tell a message that was certainly not taken from one that may have been."""
    status, error = failure.status, failure.error
    if status is None:
        if _never_connected(error):
            return NotSent("connection", "Twilio could not be reached.", Reaction.RETRY)
        if isinstance(error, ValueError):  # Raised while the request was still being written.
            return NotSent("invalid", f"The message cannot be sent as it is: {without_numbers(str(error))}")
        return OutcomeUnknown(f"Twilio's answer did not arrive: {type(error).__name__}.")
    if status >= 500 or status < 300:
        return OutcomeUnknown(f"Twilio answered {status}, which does not tell whether it took the message.")
    code = "20003" if status == 401 else str(getattr(error, "code", None) or status)
    wait = retry_after(failure.headers.get("Retry-After", ""), datetime.now(UTC))
    return NotSent(code, failure.reason(), reaction(code, status), retry_after=wait)


def _never_connected(error: Exception) -> bool:
    """Tell whether a request failed before anything of it was on the wire."""
    cause: Any = error.args[0] if error.args else error
    if isinstance(cause, urllib3.exceptions.MaxRetryError):
        cause = cause.reason
    if isinstance(cause, urllib3.exceptions.ProxyError):
        cause = cause.original_error
    if isinstance(cause, urllib3.exceptions.SSLError) and cause.args:
        # Other errors of TLS may come after the request; a certificate is refused before it.
        cause = cause.args[0]
    return isinstance(
        cause,
        urllib3.exceptions.NewConnectionError | urllib3.exceptions.ConnectTimeoutError | ssl.SSLCertVerificationError,
    )
