"""A `gateway listen` under way: opened in order, told line by line, and taken back in order whatever ends it."""

import contextlib
import threading
import time
from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from gateway import jobs
from gateway.cli import arrivals
from gateway.cli.entries import OutputGone, Printer
from gateway.cli.gate import Gate, Passed
from gateway.cli.pointed import Numbers
from gateway.cli.probing import AWAY, HERE, UNTRUSTED, Prober
from gateway.cli.signals import Stopped, handlers_kept, stopped_by_signals
from gateway.clients.tunnel import BACK, ENDED, LOST, NgrokTunnel
from gateway.conversation import tunnel
from gateway.conversation.runtime import Runtime
from gateway.conversation.tunnel import LOOK_SECONDS, RENEW_SECONDS, Held
from gateway.core.errors import GatewayError, StoreUnavailable

TICK_SECONDS = 0.1
# How often it is asked why something was refused, until that is stored.
ASK_SECONDS = 0.5
# What waits to be said; a flood of scanners is not remembered as a whole.
MOST_WAITING = 2000

TAKEN, MONGODB_AWAY, MONGODB_BACK = "taken", "mongodb_away", "mongodb_back"
_SAID = {
    LOST: "The tunnel is interrupted. ngrok connects again.",
    BACK: "The tunnel is back.",
    HERE: "The tunnel leads here.",
    MONGODB_AWAY: "MongoDB is away: what comes is kept in the spool, and PUBLIC_URL is soon as it was.",
    MONGODB_BACK: "MongoDB is back, and so is the tunnel's address.",
}
_ENDS = {
    ENDED: "ngrok ended the tunnel: it expired, or somebody stopped it. Start `gateway listen` again.",
    TAKEN: "Another `gateway listen` has taken this one's place.",
}


@dataclass(frozen=True, slots=True)
class Choices:
    """What was asked for: an address of a tunnel, or ngrok's token and perhaps domain; what to point; and who did."""

    url: str
    domain: str
    token: str
    numbers: tuple[str, ...]
    every_number: bool
    by: str


class Listening:
    """One run, from opening to taking everything back."""

    def __init__(self, runtime: Runtime, choices: Choices, printer: Printer, *, port: int, upstream: str,
                 everything: bool) -> None:  # fmt: skip
        self._runtime, self._choices, self._printer = runtime, choices, printer
        self._arrived: SimpleQueue[Passed] = SimpleQueue()
        self._heard: SimpleQueue[tuple[str, str]] = SimpleQueue()
        self._waiting: deque[Passed] = deque(maxlen=MOST_WAITING)
        self._gate = Gate(port, upstream, self._arrive, everything=everything)
        self._end_url = f"http://127.0.0.1:{self._gate.server_address[1]}"
        self._numbers = Numbers(runtime, choices.by, printer)
        self._background = jobs.Background()
        self._holding = threading.Lock()
        self._held: Held | None = None
        self._ngrok: NgrokTunnel | None = None
        self._url, self._leads_here, self._known_at, self._ask_at = "", False, 0.0, 0.0
        self._mongodb = MONGODB_BACK

    def _arrive(self, passed: Passed) -> None:
        if self._arrived.qsize() < MOST_WAITING:
            self._arrived.put(passed)

    def run(self) -> int:
        """Listen until somebody stops it; gives the exit code."""
        with handlers_kept():
            failed = not self._listen()
            left = self._end()
        return 1 if failed or left else 0

    def _listen(self) -> bool:
        """Open everything and tell what comes; False where that could not begin, or go on."""
        try:
            with stopped_by_signals():
                self._open()
                while True:
                    self._tick()
        except (Stopped, OutputGone):
            return True
        except GatewayError as error:
            self._fail(error)
            return False

    def _open(self) -> None:
        self._numbers.choose(self._choices.numbers, every=self._choices.every_number)
        self._gate.start()
        self._url = self._choices.url or self._open_ngrok()
        self._gate.public_url = self._url
        self._held = tunnel.open_(self._runtime, self._url, self._choices.by)
        self._known_at = time.monotonic() + LOOK_SECONDS + 0.5
        self._background.repeat(self._renew, every=RENEW_SECONDS, name="lease")
        prober = Prober(self._url, self._gate.proof, self._hear, once=bool(self._ngrok))
        self._background.repeat(prober.look, every=prober.EVERY_SECONDS, name="probe")
        self._announce()
        self._numbers.put_back_left()

    def _open_ngrok(self) -> str:
        self._say("opening", "Opening a tunnel with ngrok ...")
        port = self._gate.server_address[1]
        self._ngrok = NgrokTunnel(self._choices.token, port, domain=self._choices.domain, tell=self._hear)
        return self._ngrok.open()

    def _hear(self, what: str, why: str = "") -> None:
        self._heard.put((what, why))

    def _announce(self) -> None:
        gateway, all_of_it = self._gate.upstream.geturl(), self._gate.everything
        through = "everything" if all_of_it else "webhooks only"
        facts = {"url": self._url, "forward_to": self._end_url, "gateway": gateway, "everything": all_of_it}
        self._say("listening", f"{self._url}  ->  {gateway}  ({through})", **facts)
        if self._choices.url:
            self._say("forward", f"Let your tunnel forward to {self._end_url}, not to the gateway.")
        if all_of_it:
            self._say("open", f"The console and the API are open to the internet: {self._url}/admin/")
        for name in ("sms", "whatsapp", "voice", "status"):
            self._say("webhook_url", f"{name:<9} {self._url}/webhooks/{name}", url=f"{self._url}/webhooks/{name}")
        self._say("ready", f"Ctrl-C ends it{', and puts the numbers back' if self._numbers.chosen else ''}.")

    def _tick(self) -> None:
        with contextlib.suppress(Empty):
            self._waiting.append(self._arrived.get(timeout=TICK_SECONDS))
            self._ask_at = 0
            while True:
                self._waiting.append(self._arrived.get_nowait())
        self._tell_arrived()
        while not self._heard.empty():
            self._tell_heard(*self._heard.get())
        if self._numbers.chosen and self._leads_here and time.monotonic() >= self._known_at:
            self._numbers.point(self._url)

    def _tell_arrived(self) -> None:
        """Say what came; what was refused waits until it is known why, for a moment."""
        if not self._waiting or time.monotonic() < self._ask_at:
            return
        self._ask_at = time.monotonic() + ASK_SECONDS
        trusted = not self._runtime.settings.observes_signatures
        came, self._waiting = list(self._waiting), deque(maxlen=MOST_WAITING)
        for passed, entry in arrivals.entries(came, trusted=trusted):
            if entry is None:
                self._waiting.append(passed)
            elif entry.event != "request":
                self._printer.entry(entry)

    def _tell_heard(self, what: str, why: str) -> None:
        if what in _ENDS:
            raise GatewayError(_ENDS[what])
        if what == AWAY:
            then = " Numbers are pointed as soon as it does." if self._numbers.chosen else ""
            mend = "Renew or complete it" if why.startswith(UNTRUSTED) else f"Let it forward to {self._end_url}"
            words = f"{self._url} does not lead here ({why}). {mend}.{then}"
        else:
            words = _SAID[what]
        if what in (AWAY, HERE):
            self._leads_here = what == HERE
        self._say(what, words)

    def _renew(self) -> None:
        """Hold the lease; on a thread of its own, since pointing numbers may take longer than it lasts."""
        with self._holding:
            if self._held is None:
                return
            try:
                kept = tunnel.renew(self._runtime, self._held)
            except StoreUnavailable:
                self._hear_once(MONGODB_AWAY)
                return
        if kept:
            self._hear_once(MONGODB_BACK)
        else:
            self._hear(TAKEN)

    def _hear_once(self, what: str) -> None:
        if what != self._mongodb:
            self._mongodb = what
            self._hear(what)

    def _end(self) -> bool:
        """Take everything back, each step whatever became of the others; True where a number was left."""
        for step in (self._numbers.put_back, self._let_go, self._close_tunnel, self._gate.stop):
            self._take_back(step)
        self._background.stop()
        left = self._numbers.left
        with contextlib.suppress(OutputGone):
            if left:
                words = f"Not put back: {', '.join(left)}. `gateway channels restore` does it, or the next listen."
                self._say("left", words, numbers=left)
            self._say("ended", "Ended.")
        return bool(left)

    def _take_back(self, step: Callable[[], object]) -> None:
        """Do a step of the end; another Ctrl-C leaves it to those who come later."""
        try:
            with stopped_by_signals():
                step()
        except (Stopped, OutputGone):
            pass
        except GatewayError as error:
            self._fail(error)

    def _let_go(self) -> None:
        with self._holding:
            held, self._held = self._held, None
            if held:
                tunnel.close(self._runtime, held, self._choices.by)

    def _close_tunnel(self) -> None:
        if self._ngrok:
            self._ngrok.close()

    def _say(self, event: str, words: str, **facts: object) -> None:
        self._printer.notice(event, words, **facts)

    def _fail(self, error: GatewayError) -> None:
        away = isinstance(error, StoreUnavailable)
        with contextlib.suppress(OutputGone):
            self._printer.failure(f"MongoDB is away or too slow: {error}." if away else str(error))
