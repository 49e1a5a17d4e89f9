"""Who we are to Twilio: the account a request is made as, and its tokens while they are being rotated."""

from collections.abc import Sequence
from dataclasses import dataclass

from gateway.core.errors import GatewayError
from gateway.settings import Settings

API = "https://api.twilio.com"


@dataclass(frozen=True, slots=True)
class Login:
    """An account and the tokens to try, the likeliest first."""

    account: str
    tokens: Sequence[str]


class NoCredentials(GatewayError):
    """The settings hold no account or no token to speak to Twilio with; says which variable is missing."""


class Credentials:
    """The accounts of the settings, and which of their tokens worked last."""

    def __init__(self, settings: Settings) -> None:
        self._main = settings.twilio_account_sid
        self._main_tokens = [token.get_secret_value() for token in settings.twilio_auth_token]
        self._accounts = {
            account: [token.get_secret_value() for token in tokens]
            for account, tokens in settings.twilio.accounts.items()
        }
        self._worked: dict[str, str] = {}

    def login(self, account_sid: str | None) -> Login:
        """Choose the account: the named one if it has tokens of its own, else the main one.

        A main account that nobody named is taken to be the one that wrote to us. Raises NoCredentials.
        """
        own = account_sid in self._accounts
        account = (account_sid if own else self._main or account_sid) or ""
        tokens = self._accounts[account] if own else self._main_tokens
        if not account:
            raise NoCredentials(
                "Sending needs a Twilio account: set TWILIO_ACCOUNT_SID, or try things out with `gateway simulate`."
            )
        if not tokens:
            variable = "GATEWAY_TWILIO__ACCOUNTS" if own else "TWILIO_AUTH_TOKEN"
            raise NoCredentials(f"There is no token for the Twilio account {account}: set {variable}.")
        worked = self._worked.get(account)
        return Login(account, sorted(tokens, key=lambda token: token != worked))

    def remember(self, account: str, token: str) -> None:
        """Note that Twilio took a token, so that the next request begins with it."""
        self._worked[account] = token
