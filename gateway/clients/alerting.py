"""Alerts on their way out: a JSON POST, or an e-mail."""

import smtplib
import ssl
from collections.abc import Mapping
from email.message import EmailMessage

from gateway.core.errors import GatewayError
from gateway.settings.sections import Alerts

TIMEOUT_SECONDS = 10


class AlertFailed(GatewayError):
    """Nobody took an alert; to be tried again."""


def post(url: str, body: bytes, headers: Mapping[str, str]) -> None:
    """Post an alert; AlertFailed unless it is answered 2xx."""
    import requests

    try:
        answer = requests.post(
            url,
            data=body,
            headers={"Content-Type": "application/json", **headers},
            timeout=TIMEOUT_SECONDS,
            allow_redirects=False,
        )
    except requests.RequestException as error:
        # What requests says quotes the URL, and that may hold a secret.
        raise AlertFailed(f"GATEWAY_ALERTS__WEBHOOK_URL could not be reached ({type(error).__name__}).") from None
    if not answer.ok or answer.is_redirect:
        raise AlertFailed(f"GATEWAY_ALERTS__WEBHOOK_URL answered {answer.status_code} instead of 2xx.")


def mail(alerts: Alerts, message: EmailMessage) -> None:
    """Send an e-mail; AlertFailed where the server does not take it."""
    try:
        with _server(alerts) as server:
            if alerts.smtp_user:
                server.login(alerts.smtp_user, alerts.smtp_password.get_secret_value())
            server.send_message(message)
    except (smtplib.SMTPException, OSError) as error:
        code = getattr(error, "smtp_code", "")
        raise AlertFailed(f"{alerts.smtp_host}:{alerts.smtp_port}: {type(error).__name__} {code}".strip()) from None


def _server(alerts: Alerts) -> smtplib.SMTP:
    """Connect, encrypted unless the settings say otherwise; the certificate must be the host's."""
    trusted = ssl.create_default_context()
    if alerts.smtp_tls == "ssl":
        return smtplib.SMTP_SSL(alerts.smtp_host, alerts.smtp_port, timeout=TIMEOUT_SECONDS, context=trusted)
    server = smtplib.SMTP(alerts.smtp_host, alerts.smtp_port, timeout=TIMEOUT_SECONDS)
    if alerts.smtp_tls == "starttls":
        try:
            server.starttls(context=trusted)
        except (smtplib.SMTPException, OSError):
            server.close()
            raise
    return server
