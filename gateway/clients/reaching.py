"""Reaching an address as Twilio would: one POST, no redirect followed, and what went wrong in words."""

from collections.abc import Mapping
from dataclasses import dataclass

import requests
import urllib3

from gateway.core.errors import GatewayError

CONNECT_SECONDS, READ_SECONDS = 3.0, 6.0
MOST_BYTES = 100_000


@dataclass(frozen=True, slots=True)
class Reached:
    """Whatever answered."""

    status: int
    text: str
    location: str = ""
    server: str = ""


class NotReached(GatewayError):
    """Nobody answered, or not as Twilio would accept it. The text says why, `remedy` what to do."""

    def __init__(self, why: str, remedy: str) -> None:
        super().__init__(why)
        self.remedy = remedy


def post(url: str, form: Mapping[str, str], headers: Mapping[str, str]) -> Reached:
    """Post a form; raises NotReached."""
    try:
        answer = requests.post(
            url, data=form, headers=dict(headers), allow_redirects=False, stream=True,
            timeout=(CONNECT_SECONDS, READ_SECONDS),
        )  # fmt: skip
        with answer:
            text = answer.raw.read(MOST_BYTES, decode_content=True).decode(errors="replace")
    except (requests.RequestException, urllib3.exceptions.HTTPError, ValueError) as error:
        raise _not_reached(error) from None
    return Reached(answer.status_code, text, answer.headers.get("Location", ""), answer.headers.get("Server", ""))


def certificate_fault(error: requests.exceptions.SSLError) -> str:
    """Say what is wrong with a certificate, such as that it has expired; empty where no TLS is spoken."""
    said = str(error).partition("certificate verify failed: ")[2]
    return said.partition(" (_ssl")[0].rstrip(". ")


def _not_reached(error: Exception) -> NotReached:
    said = str(error)
    if isinstance(error, requests.exceptions.SSLError):
        why = certificate_fault(error) or "no TLS is spoken there"
        return NotReached(f"Its certificate is not accepted: {why}", "Renew or complete it; Twilio refuses it as well.")
    if isinstance(error, requests.exceptions.ConnectTimeout):
        return NotReached("Nobody answers", "Open its port in the firewall, or start what listens there.")
    if isinstance(error, requests.exceptions.Timeout | urllib3.exceptions.ReadTimeoutError):
        why = f"It takes connections and gives no answer within {READ_SECONDS:.0f} s"
        return NotReached(why, "See what hangs behind it; Twilio gives up after 15 s.")
    if "NameResolutionError" in said or "getaddrinfo" in said:
        return NotReached("Its host is not known (DNS)", "Correct PUBLIC_URL, or its DNS entry. Has a tunnel expired?")
    if "refused" in said:
        return NotReached("It refuses connections", "Start the gateway, and what stands before it.")
    return NotReached(f"It cannot be called ({type(error).__name__})", "See what stands before the gateway.")
