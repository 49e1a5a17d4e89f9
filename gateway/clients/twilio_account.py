"""What Twilio's accounts hold of ours, and what it calls for each number: read, and changed.

https://www.twilio.com/docs/phone-numbers/api/incomingphonenumber-resource,
https://www.twilio.com/docs/whatsapp/api/senders, https://www.twilio.com/docs/messaging/api/service-resource and
https://www.twilio.com/docs/usage/monitor-alert. A change sets fields to values, so whatever failed for a passing reason
is simply done again.
"""

import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

from gateway.clients.credentials import Credentials, NoCredentials
from gateway.clients.retrying import retry_after
from gateway.clients.wire import Caller, Failed
from gateway.core import accounts
from gateway.core.accounts import (
    AccountError,
    Alert,
    MessagingService,
    NotOurs,
    Number,
    Unreachable,
    WrongCredentials,
)
from gateway.core.messages import SMS, VOICE, WHATSAPP
from gateway.core.participant import address
from gateway.core.wiring import POST
from gateway.settings import Settings

TRIES = 5
# Whoever is told to wait longer than this is better told so than kept waiting.
LONGEST_PAUSE = 30.0
NUMBERS_A_PAGE, OTHERS_A_PAGE, MOST_ALERTS = 1000, 100, 1000

_OF_NUMBERS = (
    "sms_url", "sms_method", "sms_fallback_url", "sms_fallback_method", "sms_application_sid",
    "voice_url", "voice_method", "voice_fallback_url", "voice_fallback_method",
    "status_callback", "status_callback_method", "voice_application_sid", "trunk_sid",
)  # fmt: skip
_OF_SENDERS = (
    "callback_url", "callback_method", "fallback_url", "fallback_method", "status_callback_url",
    "status_callback_method",
)  # fmt: skip


class TwilioAccount:
    """The accounts of the settings. `pause` waits so many seconds between two tries.

    Everything raises AccountError: WrongCredentials, Unreachable, NotOurs, or what Twilio said otherwise.
    """

    def __init__(self, settings: Settings, *, pause: Callable[[float], object] = time.sleep) -> None:
        credentials = Credentials(settings)
        self._caller = Caller(settings, credentials, connections=4, products=("api", "messaging", "monitor"))
        self._pause = pause
        main = [settings.twilio_account_sid] if settings.twilio_account_sid else []
        self.accounts: Sequence[str] = tuple(dict.fromkeys([*main, *settings.twilio.accounts]))

    def numbers(self) -> list[Number]:
        """List the phone numbers of all accounts, with what Twilio calls for each."""
        return self._of_all(
            lambda client: client.incoming_phone_numbers.list(page_size=NUMBERS_A_PAGE), lambda _, row: _number(row)
        )

    def senders(self) -> list[Number]:
        """List the WhatsApp senders of all accounts, with what Twilio calls for each."""
        return self._of_all(
            lambda client: client.messaging.v2.channels_senders.list(channel=WHATSAPP, page_size=OTHERS_A_PAGE),
            _sender,
        )

    def find(self, written: str) -> Number:
        """Find a number (+1..., PN...) or a WhatsApp sender (whatsapp:+1..., XE...); raises NotOurs."""
        is_sender = address(written.strip()).prefix == WHATSAPP or written.strip().startswith("XE")
        listed = self.senders() if is_sender else self.numbers()
        found = accounts.find(listed, written)
        if found is None:
            what = "WhatsApp senders" if is_sender else "numbers"
            raise NotOurs(
                f"{written.strip()[:60]} is none of the {len(listed)} {what} of {', '.join(self.accounts)}. "
                "`gateway channels list` shows them; write one as +15017122661 or whatsapp:+15017122661."
            )
        return found

    def fetch(self, sid: str, account_sid: str) -> Number:
        """Read a number or sender anew; raises NotOurs where it is there no more."""
        if not sid.startswith("XE"):
            return _number(self._as(account_sid, lambda client: client.incoming_phone_numbers(sid).fetch()))
        for tries in range(1, TRIES + 1):
            sender = _sender(
                account_sid, self._as(account_sid, lambda client: client.messaging.v2.channels_senders(sid).fetch())
            )
            # Twilio takes changes of a sender and makes them later; what it says until then will not hold.
            if not sender.status.endswith("UPDATING"):
                return sender
            self._pause(float(2**tries) / 2)
        raise AccountError(f"Twilio is still changing {sender.address}. Run it again in a minute.")

    def update(self, number: Number, values: Mapping[str, str]) -> Number:
        """Set fields of a number's wiring; gives it as it is then."""
        if not number.is_sender:
            return _number(
                self._as(number.account_sid, lambda client: client.incoming_phone_numbers(number.sid).update(**values))
            )
        # What is left out of a sender's webhook may be taken as taken away.
        webhook = {name.removeprefix(f"{WHATSAPP}_"): value for name, value in {**number.wiring, **values}.items()}
        body = _Body({"webhook": webhook})
        return _sender(
            number.account_sid,
            self._as(number.account_sid, lambda client: client.messaging.v2.channels_senders(number.sid).update(body)),
        )

    def services(self) -> list[MessagingService]:
        """List the Messaging Services of all accounts, with the addresses in those whose URL is called for them."""

        def listed(client: Any) -> list[tuple[Any, frozenset[str]]]:
            services = client.messaging.v1.services.list(page_size=OTHERS_A_PAGE)
            return [(one, frozenset() if one.use_inbound_webhook_on_number else _within(one)) for one in services]

        return self._of_all(listed, lambda account, row: _service(account, *row))

    def alerts(self, since: datetime, until: datetime, level: str = "error") -> list[Alert]:
        """List what Twilio reported from `since` to `until` (aware), the newest first, at most 1000 an account."""
        span = {"start_date": since.astimezone(UTC), "end_date": until.astimezone(UTC)}
        return self._of_all(
            lambda client: client.monitor.v1.alerts.list(
                log_level=level, **span, page_size=MOST_ALERTS, limit=MOST_ALERTS
            ),
            _alert,
        )

    def check(self) -> None:
        """Raise WrongCredentials where the settings hold no account, or one without a token; asks nobody."""
        if not self.accounts:
            raise WrongCredentials("This needs a Twilio account: set TWILIO_ACCOUNT_SID and TWILIO_AUTH_TOKEN.")

    def _of_all(self, ask: Callable[[Any], Iterable[Any]], read: Callable[[str, Any], Any]) -> list[Any]:
        self.check()
        return [read(account, row) for account in self.accounts for row in self._as(account, ask)]

    def _as(self, account: str, call: Callable[[Any], Any]) -> Any:
        """Make a call as an account, again and again while that may help."""
        if account not in self.accounts:
            raise WrongCredentials(f"The settings do not name the account {account}. Set GATEWAY_TWILIO__ACCOUNTS.")
        for tries in range(1, TRIES + 1):
            try:
                return self._caller.call(account, call)
            except NoCredentials as error:
                raise WrongCredentials(str(error)) from error
            except Failed as failure:
                status, told = failure.status, retry_after(failure.headers.get("Retry-After", ""), datetime.now(UTC))
                wait = float(2**tries) / 2 if told is None else told
                passing = status is not None and (status == 429 or status >= 500)
                if not passing or tries == TRIES or wait > LONGEST_PAUSE:
                    raise _error(account, failure, told) from failure.error
                self._pause(wait)
        raise AssertionError("the last try has returned or raised")


class _Body:
    """The body of a request; the library's own would say of everything that is not given that it is null."""

    def __init__(self, fields: dict[str, Any]) -> None:
        self.to_dict = lambda: fields


def _error(account: str, failure: Failed, told: float | None) -> AccountError:
    """Say what went wrong and what to do, in one line."""
    status = failure.status
    if status is None:
        return Unreachable(
            f"Twilio could not be reached ({failure.reason()}). Check this machine's network and run it again."
        )
    if status == 401:
        return WrongCredentials(
            f"Twilio does not know the token of {account} (401). Set TWILIO_AUTH_TOKEN, or for a subaccount "
            "GATEWAY_TWILIO__ACCOUNTS, to the one in the console.",
            status=status,
        )
    # Whatever is no Twilio answers 404, too, and without a code of Twilio's.
    if status == 404 and failure.told[0] != "404":
        return NotOurs(f"Twilio's account {account} does not have it any more (404).", status=status)
    if status == 429:
        wait = f"in {told:.0f} s" if told else "later"
        return AccountError(
            f"Twilio takes no more requests for now (429). Run it again {wait}; what is done stays done.", status=status
        )
    if status >= 500:
        return AccountError(f"Twilio has a problem of its own (HTTP {status}). Run it again later.", status=status)
    if status < 300 or status == 404:
        return AccountError("Twilio's answer cannot be read. Is GATEWAY_TWILIO__API_BASE_URL right?", status=status)
    return AccountError(failure.reason(), status=status)


def _number(row: Any) -> Number:
    able = row.capabilities if isinstance(row.capabilities, dict) else {"sms": True, "voice": True}
    texts, calls = able.get("sms") or able.get("mms"), able.get("voice")
    return Number(
        sid=row.sid,
        account_sid=row.account_sid,
        address=row.phone_number,
        name=row.friendly_name or row.phone_number,
        channels=frozenset(name for name, is_able in ((SMS, texts), (VOICE, calls)) if is_able),
        wiring={name: _value(name, getattr(row, name)) for name in _OF_NUMBERS},
        status=str(row.status or ""),
    )


def _sender(account: str, row: Any) -> Number:
    webhook = row.webhook or {}
    profile = row.profile if isinstance(row.profile, dict) else {}
    return Number(
        sid=row.sid,
        account_sid=account,
        address=row.sender_id,
        name=profile.get("name") or address(row.sender_id).label,
        channels=frozenset({WHATSAPP}),
        wiring={f"{WHATSAPP}_{name}": _value(name, webhook.get(name)) for name in _OF_SENDERS},
        status=str(row.status or ""),
    )


def _value(name: str, given: Any) -> str:
    """Read a field; a method that is not told is POST."""
    return str(given or POST).upper() if name.endswith("_method") else str(given or "")


def _within(service: Any) -> frozenset[str]:
    numbers = (one.phone_number for one in service.phone_numbers.list(page_size=OTHERS_A_PAGE))
    senders = (one.sender for one in service.channel_senders.list(page_size=OTHERS_A_PAGE))
    return frozenset([*numbers, *senders])


def _service(account: str, row: Any, addresses: frozenset[str]) -> MessagingService:
    return MessagingService(
        sid=row.sid,
        account_sid=account,
        name=row.friendly_name or "",
        inbound_url=row.inbound_request_url or "",
        inbound_method=_value("inbound_method", row.inbound_method),
        fallback_url=row.fallback_url or "",
        defers=bool(row.use_inbound_webhook_on_number),
        addresses=addresses,
    )


def _alert(account: str, row: Any) -> Alert:
    return Alert(
        sid=row.sid,
        account_sid=account,
        at=row.date_generated or row.date_created,
        level=str(row.log_level or ""),
        code=str(row.error_code or ""),
        url=row.request_url or "",
        method=row.request_method or "",
        about=row.resource_sid or "",
    )
