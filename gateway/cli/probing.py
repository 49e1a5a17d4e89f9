"""Whether a tunnel leads here: found out by asking for ourselves through it."""

import time
from collections.abc import Callable

import requests

from gateway.clients.reaching import certificate_fault

# What is found.
HERE, AWAY = "leads_here", "leads_elsewhere"
# How it begins to say that a certificate is why.
UNTRUSTED = "its certificate is not valid"

TIMEOUT_SECONDS = 8
# A tunnel that leads here is asked again after so long; one of ngrok's never: ngrok says what becomes of it.
STEADY_SECONDS = 30.0
# A name that is new takes a moment until everybody knows it.
GRACE_SECONDS = 6


class Prober:
    """Tells when a tunnel begins to lead here, and when it does not any more; with `once`, only the first."""

    EVERY_SECONDS = 2.0

    def __init__(self, url: str, proof: str, tell: Callable[[str, str], None], *, once: bool) -> None:
        self._url, self._proof, self._tell, self._once = url, proof, tell, once
        self._said, self._again_at, self._began = "", 0.0, time.monotonic()

    def look(self) -> None:
        """Ask, if it is time to."""
        if time.monotonic() < self._again_at:
            return
        why = leads_elsewhere(self._url + self._proof)
        if why and not self._said and time.monotonic() - self._began < GRACE_SECONDS:
            return
        found = AWAY if why else HERE
        if not why:
            self._again_at = float("inf") if self._once else time.monotonic() + STEADY_SECONDS
        if found != self._said:
            self._said = found
            self._tell(found, why)


def leads_elsewhere(url: str) -> str:
    """Ask through a tunnel; gives why that does not lead here, empty where it does."""
    try:
        # What else answers there may have no end.
        response = requests.get(url, timeout=TIMEOUT_SECONDS, allow_redirects=False, stream=True)
        response.close()
    except requests.Timeout:
        return f"no answer within {TIMEOUT_SECONDS} s"
    except requests.exceptions.SSLError as error:
        fault = certificate_fault(error)
        return f"{UNTRUSTED}: {fault}" if fault else "no TLS is spoken there"
    except requests.RequestException as error:
        unknown = "NameResolution" in str(error) or "getaddrinfo" in str(error)
        return "nobody knows its name" if unknown else "it cannot be reached"
    return "" if response.status_code == 204 else f"it answers HTTP {response.status_code}"
