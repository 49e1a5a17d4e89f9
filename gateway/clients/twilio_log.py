"""Twilio's log of messages and calls, read page by page between two moments.

https://www.twilio.com/docs/messaging/api/message-resource#read-multiple-message-resources and
https://www.twilio.com/docs/voice/api/call-resource#read-multiple-call-resources. Reading changes nothing there, so
whatever fails for a passing reason is simply asked again.
"""

import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from typing import TYPE_CHECKING, Any

from gateway.clients.credentials import API, Credentials, NoCredentials
from gateway.clients.lookup import TRIAL_PREFIX
from gateway.clients.retrying import retry_after
from gateway.core.logged import LoggedCall, LoggedMessage, LoggedRecording, LogUnreadable
from gateway.core.messages import Media
from gateway.core.times import floor_ms
from gateway.settings import Settings

if TYPE_CHECKING:
    import requests

PAGE_SIZE = 1000
TRIES = 6
# Whoever is told to wait longer than this is better told so than kept waiting.
LONGEST_PAUSE = 120.0
_INBOUND = "inbound"


class TwilioLog:
    """The logs of all accounts that the settings name. `pause` waits so many seconds between two tries."""

    def __init__(self, settings: Settings, *, pause: Callable[[float], object] = time.sleep) -> None:
        self._credentials = Credentials(settings)
        self._base = settings.twilio.api_base_url.rstrip("/") or API
        self._timeout = settings.twilio.timeout_seconds
        self._pause = pause
        main = [settings.twilio_account_sid] if settings.twilio_account_sid else []
        self.accounts: Sequence[str] = tuple(dict.fromkeys([*main, *settings.twilio.accounts]))

    def check(self) -> None:
        """Raise LogUnreadable where the settings hold no account, or one without a token."""
        if not self.accounts:
            raise LogUnreadable("Reading Twilio's log needs an account: set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN.")
        for account in self.accounts:
            self._tokens(account)

    def messages(self, account: str, since: datetime, until: datetime, number: str = "") -> Iterator[LoggedMessage]:
        """List what was sent from `since` up to, not including, `until`, to and from one address or all.

        By DateSent, which is null while a message is queued: such a message is in the span in which it goes out.
        """
        span = {"DateSent>": _written(since), "DateSent<": _written(until)}
        for which in [{"To": number}, {"From": number}] if number else [{}]:
            for entry in self._read(account, "Messages", "messages", span | which):
                message = _message(account, entry)
                if message and since <= message.sent_at < until:
                    yield message

    def calls(self, account: str, since: datetime, until: datetime, number: str = "") -> Iterator[LoggedCall]:
        """List the calls that came in in this time, to one number or all; legs that we dialled are no calls to us.

        Twilio documents StartTime as a date and has ignored its time of day, so whole days are asked for.
        """
        query = _whole_days("StartTime", since, until) | ({"To": number} if number else {})
        for entry in self._read(account, "Calls", "calls", query):
            call = _call(account, entry)
            if call and since <= call.at < until:
                yield call

    def recordings(self, account: str, since: datetime, until: datetime) -> Iterator[LoggedRecording]:
        """List the recordings of this time that are finished, of whatever call."""
        for entry in self._read(account, "Recordings", "recordings", _whole_days("DateCreated", since, until)):
            recording = _recording(account, entry, self._base)
            if recording and since <= recording.at < until:
                yield recording

    def files(self, account: str, message_sid: str) -> tuple[Media, ...]:
        """List the files that came with a message, at the addresses a webhook would have named.

        A message that was deleted since has none.
        """
        try:
            entries = list(self._read(account, f"Messages/{message_sid}/Media", "media_list", {}))
        except LogUnreadable as error:
            if error.status != 404:
                raise
            return ()
        return tuple(
            Media(self._base + str(entry["uri"]).removesuffix(".json"), str(entry.get("content_type") or ""))
            for entry in entries
            if entry.get("uri")
        )

    def _read(self, account: str, resource: str, key: str, query: Mapping[str, str]) -> Iterator[dict[str, Any]]:
        """Read all pages; each further one is where the one before it says."""
        path = f"/2010-04-01/Accounts/{account}/{resource}.json"
        page = self._page(account, path, {**query, "PageSize": str(PAGE_SIZE)})
        while True:
            yield from page.get(key) or ()
            following = page.get("next_page_uri")
            if not following:
                return
            if not str(following).startswith(path):
                raise LogUnreadable("Twilio's log names a next page that is not its own.")
            page = self._page(account, str(following), {})

    def _page(self, account: str, path: str, query: Mapping[str, str]) -> dict[str, Any]:
        """Fetch a page, again and again while that may help."""
        for tries in range(1, TRIES + 1):
            answer, error = self._get(account, path, query)
            if answer is not None and answer.status_code == 200:
                return _decoded(answer)
            status = answer.status_code if answer is not None else None
            passing = status is None or status == 429 or status >= 500
            told = retry_after(answer.headers.get("Retry-After", ""), datetime.now(UTC)) if answer is not None else None
            wait = float(2**tries) / 2 if told is None else told
            if not passing or tries == TRIES or wait > LONGEST_PAUSE:
                raise LogUnreadable(_why(account, status, error, told), status=status)
            self._pause(wait)
        raise AssertionError("the last try has returned or raised")

    def _get(self, account: str, path: str, query: Mapping[str, str]) -> tuple["requests.Response | None", str]:
        """Ask with one token after the other; gives the answer, or what kept it from coming."""
        import requests

        answer = None
        for token in self._tokens(account):
            try:
                answer = requests.get(
                    self._base + path,
                    params=dict(query),
                    auth=(account, token),
                    timeout=self._timeout,
                    allow_redirects=False,
                )
            except requests.RequestException as error:
                return None, type(error).__name__
            if answer.status_code != 401:
                self._credentials.remember(account, token)
                break
        return answer, ""

    def _tokens(self, account: str) -> Sequence[str]:
        try:
            return self._credentials.login(account).tokens
        except NoCredentials as error:
            raise LogUnreadable(str(error)) from error


def _decoded(answer: "requests.Response") -> dict[str, Any]:
    try:
        page = answer.json()
    except ValueError:
        page = None
    if not isinstance(page, dict):
        raise LogUnreadable("Twilio's log came as something other than JSON. Is api_base_url right?")
    return page


def _why(account: str, status: int | None, error: str, told: float | None) -> str:
    """Say what went wrong and what to do, in one line."""
    if status is None:
        return f"Twilio could not be reached ({error}). Nothing is lost: run it again."
    if status == 401:
        return (
            f"Twilio does not know the token of {account} (401). Set TWILIO_AUTH_TOKEN, or for a subaccount "
            "GATEWAY_TWILIO__ACCOUNTS, to the one in the console."
        )
    if status == 429:
        wait = f" in {told:.0f} s" if told else " later"
        return f"Twilio takes no more requests for now (429). Run it again{wait}; what is done stays done."
    if status == 404:
        return f"Twilio has no account {account} here (404). Check TWILIO_ACCOUNT_SID and api_base_url."
    return f"Twilio's log could not be read (HTTP {status}). Run it again; what is done stays done."


def _written(moment: datetime) -> str:
    """Write a moment in UTC, as the filters want it; cut to the second, so nothing inside is lost."""
    return f"{moment.astimezone(UTC):%Y-%m-%dT%H:%M:%SZ}"


def _whole_days(name: str, since: datetime, until: datetime) -> dict[str, str]:
    """Ask for days by their dates, in UTC; the last one is asked for by the next, whether or not that is meant too."""
    after = until.astimezone(UTC) + timedelta(days=1)
    return {f"{name}>": f"{since.astimezone(UTC):%Y-%m-%d}", f"{name}<": f"{after:%Y-%m-%d}"}


def _message(account: str, entry: Mapping[str, Any]) -> LoggedMessage | None:
    """Read an entry; None for one that names no sender, receiver or time yet."""
    created, sent = _moment(entry.get("date_created")), _moment(entry.get("date_sent"))
    sender, recipient, sid = (str(entry.get(name) or "") for name in ("from", "to", "sid"))
    moment = sent or created
    if not (sender and recipient and sid and moment):
        return None
    inbound, content = entry.get("direction") == _INBOUND, str(entry.get("body") or "")
    files = str(entry.get("num_media") or "0")
    return LoggedMessage(
        sid=sid,
        account_sid=str(entry.get("account_sid") or account),
        person=sender if inbound else recipient,
        line=recipient if inbound else sender,
        inbound=inbound,
        content=content if inbound else content.removeprefix(TRIAL_PREFIX),
        status=str(entry.get("status") or "").lower(),
        at=moment if inbound else created or moment,
        sent_at=moment,
        files=int(files) if files.isdecimal() else 0,
        service_sid=entry.get("messaging_service_sid") or None,
        error_code=str(entry["error_code"]) if entry.get("error_code") else None,
    )


def _call(account: str, entry: Mapping[str, Any]) -> LoggedCall | None:
    """Read an entry; None for a call that did not come in, or whose receiver or time is not told."""
    at = _moment(entry.get("start_time")) or _moment(entry.get("date_created"))
    line, sid = (str(entry.get(name) or "") for name in ("to", "sid"))
    if entry.get("direction") != _INBOUND or entry.get("parent_call_sid") or not (at and line and sid):
        return None
    return LoggedCall(
        sid=sid,
        account_sid=str(entry.get("account_sid") or account),
        person=str(entry.get("from") or ""),
        line=line,
        status=str(entry.get("status") or "").lower(),
        at=at,
        ended_at=_moment(entry.get("end_time")),
        duration=str(entry["duration"]) if entry.get("duration") else None,
        caller_name=entry.get("caller_name") or None,
    )


def _recording(account: str, entry: Mapping[str, Any], base: str) -> LoggedRecording | None:
    """Read an entry; None for one that is not finished, or belongs to no call."""
    at = _moment(entry.get("date_created"))
    sid, call_sid, path = (str(entry.get(name) or "") for name in ("sid", "call_sid", "uri"))
    if entry.get("status") != "completed" or not (at and sid and call_sid and path):
        return None
    duration = str(entry["duration"]) if entry.get("duration") else None
    return LoggedRecording(sid, account, call_sid, base + path.removesuffix(".json"), at, duration)


def _moment(written: object) -> datetime | None:
    """Read a date as RFC 2822 writes it; Twilio's are in GMT and have whole seconds."""
    try:
        moment = parsedate_to_datetime(str(written or ""))
    except ValueError:
        return None
    return floor_ms(moment if moment.tzinfo else moment.replace(tzinfo=UTC))
