"""What is noted of a webhook on its way, for whoever looks at it afterwards."""

from dataclasses import dataclass
from typing import cast

from flask import g

from gateway.channels.base import Form
from gateway.channels.signature import Verdict


@dataclass(slots=True)
class Noted:
    """One webhook: when it `started` by the performance counter, what was read of it, and why it was refused.

    `token` is what Twilio repeats when it retries.
    """

    started: float
    request_id: str
    token: str = ""
    body_bytes: int = 0
    form: Form | None = None
    verdict: Verdict | None = None
    rejected: str = ""


def begin(noted: Noted) -> Noted:
    """Note a webhook that begins."""
    g.webhook = noted
    return noted


def current() -> Noted | None:
    """Give what is noted of this request; None for one that nobody guards."""
    return cast("Noted | None", g.get("webhook"))


def token() -> str:
    """Give what Twilio repeats in its retries of this request; empty where it sent nothing."""
    webhook = current()
    return webhook.token if webhook else ""


def end() -> Noted | None:
    """Give what was noted of this request, once."""
    return cast("Noted | None", g.pop("webhook", None))
