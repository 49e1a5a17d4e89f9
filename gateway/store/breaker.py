"""A circuit breaker around MongoDB: while it is away nobody waits for it, and one thread asks whether it is back.

Without it every webhook would wait for the driver's server selection, 1.5 s each, until no thread is left.
"""

import threading
import time
from collections.abc import Callable

from gateway.core.errors import StoreUnavailable
from gateway.logs import log

PROBE_SECONDS = 0.25

# A connection that broke is mostly back within milliseconds; the driver looks at once.
PATIENCE_SECONDS, LOOK_SECONDS = 0.1, 0.005


class Breaker:
    """Open from the moment MongoDB is known to take no writes until it takes one again.

    `is_writable` says what the driver knows: of a killed or demoted primary before any operation fails. `probe`
    proves the opposite, or raises StoreUnavailable.
    """

    def __init__(self, is_writable: Callable[[], bool], probe: Callable[[], None]) -> None:
        self._is_writable, self._probe = is_writable, probe
        self._guard = threading.Lock()
        self._was_writable, self._reason = False, ""
        # Each time MongoDB is back another number begins, so that who asks after one outage never ends the next one.
        self._outage = 0

    def check(self) -> None:
        """Raise StoreUnavailable at once while MongoDB is away."""
        if not self._reason:
            if self._is_writable():
                self._was_writable = True
            elif self._was_writable and not self._is_back():
                self.trip("no primary that takes writes")
        if self._reason:
            raise StoreUnavailable(self._reason)

    def _is_back(self) -> bool:
        until = time.monotonic() + PATIENCE_SECONDS
        while not self._is_writable():
            if self._reason or time.monotonic() > until:
                return False
            time.sleep(LOOK_SECONDS)
        return True

    @property
    def is_open(self) -> bool:
        """Tell whether MongoDB is known to be away."""
        return bool(self._reason)

    def trip(self, reason: str) -> None:
        """Note that MongoDB is away, and ask from now on whether it is back."""
        with self._guard:
            if self._reason:
                return
            self._reason, outage = reason, self._outage
        log.error("store_unavailable", message=reason[:300])
        threading.Thread(target=self._wait, args=(outage,), name="breaker", daemon=True).start()

    def reset(self) -> None:
        """Forget what was known: MongoDB is back, or the connection is another one."""
        with self._guard:
            self._end()

    def _end(self) -> None:
        self._was_writable, self._reason = False, ""
        self._outage += 1

    def _wait(self, outage: int) -> None:
        while self._outage == outage:
            time.sleep(PROBE_SECONDS)
            try:
                self._probe()
            except StoreUnavailable:
                continue
            with self._guard:
                if self._outage != outage:
                    return
                self._end()
            log.info("store_available")
