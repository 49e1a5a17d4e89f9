"""Twilio's account: whether it knows us, and whether what our numbers call leads here."""

from collections.abc import Callable, Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlsplit

from gateway.conversation import pointing
from gateway.conversation.doctor.database import BY
from gateway.conversation.doctor.findings import Finding, Mend, Patient, not_checked, ok, said, warning, wrong
from gateway.core import wiring
from gateway.core.accounts import AccountError, Number, Unreachable, WrongCredentials
from gateway.core.errors import StoreUnavailable
from gateway.core.messages import SMS, VOICE, WHATSAPP
from gateway.store import channels
from gateway.store.connection import deadline

NO_ACCOUNT = "no Twilio account is set (TWILIO_ACCOUNT_SID)"

# The field of each channel that says where its messages or calls go.
_MAIN = {SMS: "sms_url", VOICE: "voice_url", WHATSAPP: "whatsapp_callback_url"}
_SHOWN = 5

_BLOCKS = ((Unreachable, "Twilio is not reached"), (WrongCredentials, "Twilio does not let us in"))
_UNREAD = "Twilio's account cannot be read"


def account_is_known(patient: Patient) -> Iterator[Finding]:
    """Check that Twilio takes our credentials."""
    if not patient.account.accounts:
        if patient.settings.is_development:
            yield not_checked(NO_ACCOUNT, blocks=NO_ACCOUNT)
        else:
            what = "TWILIO_ACCOUNT_SID is not set: nothing can be sent, and no file fetched."
            yield wrong(what, "Copy it from the Twilio console.", blocks=NO_ACCOUNT)
        return
    try:
        count = len(patient.numbers)
    except AccountError as error:
        yield said(str(error), blocks=next((why for kind, why in _BLOCKS if isinstance(error, kind)), _UNREAD))
        return
    yield ok(f"Twilio knows {', '.join(patient.account.accounts)}, with {count} number{'' if count == 1 else 's'}.")


@dataclass(frozen=True, slots=True)
class Ours:
    """A number that is used with this gateway, and on which channels."""

    number: Number
    channels: Collection[str]

    @property
    def written(self) -> str:
        """Name these channels of it as `gateway channels point` takes them."""
        if self.channels == self.number.channels:
            return self.number.address
        return " ".join(f"{one}:{self.number.address}" for one in (SMS, VOICE) if one in self.channels)


def numbers_lead_here(patient: Patient) -> Iterator[Finding]:
    """Check what Twilio calls for each of our numbers."""
    return _lead_here(patient, patient.numbers, "number")


def senders_lead_here(patient: Patient) -> Iterator[Finding]:
    """Check what Twilio calls for each of our WhatsApp senders, and that they are online."""
    found = patient.account.senders()
    for one in found:
        if not one.status.upper().startswith("ONLINE"):
            yield warning(f"{one.address} is {one.status.lower() or 'in no known state'} at Twilio.",
                          "Its page in the Twilio console, under WhatsApp senders, says why.")  # fmt: skip
    yield from _lead_here(patient, found, "WhatsApp sender")


def _lead_here(patient: Patient, found: Sequence[Number], noun: str) -> Iterator[Finding]:
    if not found:
        yield ok(f"The account has no {noun}.")
        return
    if why := wiring.unreachable(patient.public_url):
        yield not_checked(why)
        return
    ours = list(_used_here(found, patient, _known()))
    if not ours:
        which = f"The account's {noun} does not call" if len(found) == 1 else f"None of the account's {noun}s calls"
        yield warning(f"{which} this gateway: {_named([one.address for one in found])}.",
                      f"gateway channels point {found[0].address if len(found) == 1 else 'NUMBER'}")  # fmt: skip
        return
    judged = [(one, _judged(patient, one)) for one in ours]
    if well := [one.number.address for one, finding in judged if finding is None]:
        yield ok(f"{_named(well)}: {noun if len(well) == 1 else noun + 's'} wired as it should be.")
    yield from (finding for _, finding in judged if finding)
    used = {one.number.sid for one in ours}
    if others := [one.address for one in found if one.sid not in used]:
        yield ok(f"{_named(others)}: used for something else.")


def _known() -> Collection[str]:
    """Give the channels somebody wrote to or called; none where MongoDB is away."""
    try:
        with deadline():
            return frozenset(channels.by_id())
    except StoreUnavailable:
        return frozenset()


def _used_here(found: Iterable[Number], patient: Patient, known: Collection[str]) -> Iterator[Ours]:
    """Tell which numbers are used with this gateway: they call it, or it knows them."""
    hosts = {host for url in (patient.tunnel, patient.usual_url) if (host := urlsplit(url).hostname)}
    for number in found:
        used = {
            channel
            for channel_id in number.channel_ids
            if (channel := channel_id.partition(":")[0])
            and (channel_id in known or urlsplit(number.wiring.get(_MAIN[channel], "")).hostname in hosts)
        }
        if used:
            yield Ours(number, used)


def _judged(patient: Patient, ours: Ours) -> Finding | None:
    """Say what is otherwise than it should be, None where nothing is."""
    number, base = ours.number, _base(patient, ours.number)
    should = wiring.expected(base, ours.channels)
    found = wiring.differences(number.wiring, should)
    if not found:
        return None
    details = tuple(f"{one.field} is {wiring.shown(one.actual) or 'not set'}. {one.why}" for one in found)
    what = f"{number.address}: {len(found)} setting{'' if len(found) == 1 else 's'} at Twilio should be otherwise."
    lines = tuple(f"{one.field}: {wiring.shown(one.actual) or 'nothing'} -> {wiring.shown(one.expected) or 'nothing'}"
                  for one in found)  # fmt: skip
    say = wrong if any(one.breaks for one in found) else warning
    if base == patient.tunnel:
        return say(what, f"gateway listen --point {number.address}", details=details)
    mend = Mend(f"Point {number.address} here", lines, _pointed(patient, ours, should))
    return say(what, f"gateway channels point {ours.written}", mend=mend, details=details)


def _base(patient: Patient, number: Number) -> str:
    """Choose the address a number should call: the usual one, while it does not call a tunnel that is gone soon."""
    hosts = {urlsplit(number.wiring.get(field, "")).hostname for field in _MAIN.values()}
    tunneled = patient.tunnel and urlsplit(patient.tunnel).hostname in hosts
    return patient.tunnel if tunneled or wiring.unreachable(patient.usual_url) else patient.usual_url


def _pointed(patient: Patient, ours: Ours, should: wiring.Wiring) -> Callable[[], str]:
    def apply() -> str:
        pointing.point(patient.clock, patient.account, ours.number, should, by=BY, seen=ours.number.wiring)
        return f"Done. `gateway channels restore {ours.number.address}` puts back what stood there."

    return apply


def _named(addresses: list[str]) -> str:
    rest = len(addresses) - _SHOWN
    return ", ".join(addresses[:_SHOWN]) + (f" and {rest} more" if rest > 0 else "")


def known_numbers_are_ours(patient: Patient) -> Iterator[Finding]:
    """Check that the numbers people write to are still numbers of the account."""
    with deadline():
        known = [one for one in channels.listed() if one.get("communication_type") in (SMS, VOICE)]
    have = {channel_id for number in patient.numbers for channel_id in number.channel_ids}
    lost = [one["id"] for one in known if one["id"] not in have and str(one.get("phone_number")).startswith("+")]
    if lost:
        yield warning(
            f"{_named(sorted(lost))}: in none of the accounts.",
            "If it was simulated, nothing. If it was released or moved, people write to somebody else.",
        )


def services_defer(patient: Patient) -> Iterator[Finding]:
    """Check that no Messaging Service takes the texts of our numbers elsewhere."""
    if why := wiring.unreachable(patient.public_url):
        yield not_checked(why)
        return
    services = patient.account.services()
    overridden = [
        words
        for ours in _used_here(patient.numbers, patient, _known())
        if SMS in ours.channels
        for service in services
        if (words := service.overrides(ours.number, f"{_base(patient, ours.number)}/webhooks/sms"))
    ]
    yield from (said(words) for words in overridden)
    if not overridden:
        yield ok("No Messaging Service takes texts elsewhere.")
