"""The numbers that `gateway listen` points at its tunnel, and puts back at the end, or after a crash the next time."""

from collections.abc import Sequence

from gateway.cli.entries import Printer
from gateway.clients.twilio_account import TwilioAccount
from gateway.conversation import pointing, tunnel
from gateway.conversation.pointing import Restored
from gateway.conversation.runtime import Runtime
from gateway.core.accounts import AccountError, Number
from gateway.core.errors import GatewayError
from gateway.store import pointings
from gateway.store.connection import deadline
from gateway.store.pointings import Pointing

PATIENCE_SECONDS = 10


class Numbers:
    """Points numbers, and puts back whatever still leads to a tunnel, whoever pointed it.

    What is to be put back is always read from MongoDB, where it was written before anything was changed.
    """

    def __init__(self, runtime: Runtime, by: str, printer: Printer) -> None:
        self._runtime, self._by, self._printer = runtime, by, printer
        self._account = TwilioAccount(runtime.settings)
        self._tried: list[str] = []
        self.chosen: list[Number] = []
        self.left: list[str] = []

    def choose(self, written: Sequence[str], *, every: bool) -> None:
        """Choose what is to be pointed; raises AccountError where one is not ours, or Twilio cannot be asked."""
        self.chosen = [self._account.find(one) for one in written]
        if every:
            found = [*self._account.numbers(), *self._senders()]
            self.chosen = [number for number in found if number.channels]
            if not self.chosen:
                raise AccountError("The account has no numbers. Buy one in the Twilio console.")

    def _senders(self) -> list[Number]:
        try:
            return self._account.senders()
        except AccountError as error:
            self._printer.notice("no_senders", f"WhatsApp senders are left out: {error}")
            return []

    def point(self, url: str) -> None:
        """Point what was chosen at a tunnel, once; raises AccountError, CannotPoint."""
        chosen, self.chosen = self.chosen, []
        for number in chosen:
            should = pointing.wanted(number, url)
            self._tried.append(number.address)
            done = pointing.point(self._runtime.clock, self._account, number, should, by=self._by, passing=True)
            fields = [one.field for one in done.changed]
            self._printer.notice("pointed", f"{number.address} is pointed here.", number=number.address, fields=fields)
        self._warn_of_services(chosen, url)

    def _warn_of_services(self, numbers: Sequence[Number], url: str) -> None:
        """Say which numbers a Messaging Service answers for: pointing them changes nothing."""
        try:
            services = self._account.services()
        except AccountError:
            return
        for number in numbers:
            for service in services:
                if why := service.overrides(number, f"{url}/webhooks/sms"):
                    self._printer.notice("overridden", why, number=number.address)

    def put_back_left(self) -> None:
        """Put back what an earlier run left behind; what cannot be is said, and stays for later."""
        with deadline(PATIENCE_SECONDS):
            rows = _passing(self._runtime)
        for row in rows:
            try:
                self._put_back(row, f"{row.address} was left at a tunnel of an earlier run, and is put back.")
            except GatewayError as error:
                self._printer.notice("left", f"{row.address} is left at a tunnel of an earlier run: {error}")

    def put_back(self) -> None:
        """Put back all that still leads to a tunnel; `left` are those where it failed."""
        if not self._tried:
            return
        self.left = list(dict.fromkeys(self._tried))
        with deadline(PATIENCE_SECONDS):
            rows = _passing(self._runtime)
        self.left = [row.address for row in rows]
        failed: GatewayError | None = None
        for row in rows:
            try:
                self._put_back(row, f"{row.address} is put back.")
                self.left.remove(row.address)
            except GatewayError as error:
                failed = error
        if failed:
            raise failed

    def _put_back(self, row: Pointing, words: str) -> None:
        # Where somebody else pointed it meanwhile, that is what they want: nothing of ours is kept for later.
        done = pointing.restore(self._runtime.clock, self._account, row, by=self._by, forget=True)
        self._printer.notice("put_back", _told(done, words), number=row.address, fields=sorted(done.put_back),
                             left=sorted(done.left))  # fmt: skip


def _told(done: Restored, words: str) -> str:
    if done.gone:
        return f"{done.address} is none of your numbers any more."
    if done.left:
        return f"{words} Somebody changed {', '.join(sorted(done.left))} meanwhile: left alone."
    return words


def _passing(runtime: Runtime) -> list[Pointing]:
    """Read which numbers still lead to a tunnel; not those of another environment's, while that is open."""
    lent = tunnel.lent_elsewhere(runtime)
    return [row for row in pointings.outstanding() if row.is_passing and not _leads_to(row, lent)]


def _leads_to(row: Pointing, urls: Sequence[str]) -> bool:
    written = [values[-1] for values in row.layers.passing.written.values() if values]
    return any(value.startswith(f"{url}/") for value in written for url in urls)
