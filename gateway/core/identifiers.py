"""One form for each identifier of a person, so that whoever writes by another spelling of it is the same one.

Contacts keep identifiers as they came; these forms are only compared. The numbers are those that carriers, WhatsApp
and people write in two ways, after the countries changed their plans: Brazil's ninth digit for mobiles (Anatel,
Resolution 553/2010), the 9 that Argentina's mobiles have from abroad and the 15 they have at home, and the 1 that
Mexico's mobiles had until 2020. All others are what they are: a digit more is somebody else.
"""

import re
from collections.abc import Collection, Iterable
from dataclasses import replace

from gateway.core import emails
from gateway.core.participant import EMAIL, Participant, address

# Mobiles of eight digits begin with 6 to 9; 70 and 77 to 79 are trunked radio, which never got a ninth digit.
_BRAZIL = re.compile(r"\+55([1-9][1-9])([689]\d{7}|7[1-6]\d{6})")
# Area codes have two to four digits, and ten with the subscriber's number: 11, 2xx or 3xx, and 2xxx or 3xxx.
_ARGENTINA = re.compile(r"\+549(\d{10})")
_ARGENTINA_AT_HOME = re.compile(r"\+549?(?:(11)15(\d{8})|([23]\d{2})15(\d{7})|([23]\d{3})15(\d{6}))")
_MEXICO = re.compile(r"\+521(\d{10})")
# Twilio writes it with the prefix, people copy it without (https://www.twilio.com/docs/whatsapp: ExternalUserId).
_WHATSAPP_USER = re.compile(r"(?:whatsapp:)?([A-Z]{2}\.(?:ENT\.)?[0-9A-Za-z]{1,128})")


def number(written: str) -> str:
    """Give the one form of an E.164 number; of one that has no other spelling itself."""
    if found := _BRAZIL.fullmatch(written):
        return f"+55{found[1]}9{found[2]}"
    if found := _ARGENTINA_AT_HOME.fullmatch(written):
        return f"+54{''.join(filter(None, found.groups()))}"
    if found := _ARGENTINA.fullmatch(written) or _MEXICO.fullmatch(written):
        return f"{written[:3]}{found[1]}"
    return written


def canonical(identity: str) -> str:
    """Give the one form of anything a person is known by: a number, `email:...`, a user id."""
    if identity.startswith("+"):
        return number(identity)
    found = _WHATSAPP_USER.fullmatch(identity)
    return f"whatsapp:{found[1]}" if found else identity


def of(phones: Iterable[str], external_ids: Iterable[str], addresses: Iterable[str]) -> list[str]:
    """Give the forms of all that a contact is known by, each once."""
    written = (*phones, *external_ids, *(f"{EMAIL}{one}" for one in addresses))
    return list(dict.fromkeys(canonical(one) for one in written))


def read(written: str) -> str:
    """Read an identifier that a setting or a person wrote: an e-mail address, a number in any spelling, or an id."""
    email = emails.normalised(written)
    return f"{EMAIL}{email}" if email else canonical(address(written.strip()).identity)


def told_apart(person: Participant, shared: Collection[str]) -> Participant:
    """Leave out what many people write by, where there is something else to know them by."""
    own = tuple(one for one in person.identities if canonical(one) not in shared)
    return replace(person, identities=own) if own and shared else person
