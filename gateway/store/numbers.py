"""Phone numbers as people write them at home: read with the country of a number of ours, never with a guessed one."""

from collections.abc import Iterable
from functools import lru_cache
from typing import TYPE_CHECKING

from gateway.core import identifiers
from gateway.core.participant import Participant, address, is_withheld

if TYPE_CHECKING:
    from phonenumbers import PhoneNumber

# Short codes have fewer digits, and are nobody's phone.
_LEAST_DIGITS = 7


def forms(person: Participant, line: str | None) -> dict[str, str]:
    """Give the form of each of a sender's identities; a number without a country is one of the line's country."""
    return {one: form(one, line) for one in person.identities}


def form(identity: str, line: str | None) -> str:
    """Give the form that an identity is compared in."""
    written = address(identity).number
    read = at_home(written, [line], assigned=True) if line and written and not written.startswith("+") else None
    return identifiers.canonical(read or identity)


def typed(written: str, lines: Iterable[str]) -> str | None:
    """Read a number that somebody typed: with its country, or as it is written where one of our lines is.

    Gives it as E.164; None where it is none.
    """
    found = address(written).identity
    if found.startswith("00"):
        found = f"+{found[2:]}"
    if not found.startswith("+"):
        return at_home(written, lines)
    known = address(found).number
    return None if known is None or is_withheld(known) else known


def at_home(written: str, lines: Iterable[str], *, assigned: bool = False) -> str | None:
    """Read a number without its country in that of the first line where it is one; `assigned` as far as is known."""
    if sum(letter.isdecimal() for letter in written) < _LEAST_DIGITS or is_withheld(written):
        return None
    regions = dict.fromkeys(filter(None, map(_region, lines)))
    return next(filter(None, (_read(written, region, assigned=assigned) for region in regions)), None)


@lru_cache(maxsize=256)
def _region(line: str) -> str | None:
    # It knows every country's plan, which costs 30 ms and some megabytes: a process that reads none does without.
    import phonenumbers

    try:
        return phonenumbers.region_code_for_number(phonenumbers.parse(line))
    except phonenumbers.NumberParseException:
        return None


def _read(written: str, region: str, *, assigned: bool) -> str | None:
    import phonenumbers

    try:
        found = phonenumbers.parse(written, region)
    except phonenumbers.NumberParseException:
        return None
    is_one = phonenumbers.is_valid_number(found) if assigned else _is_long_enough(found)
    return phonenumbers.format_number(found, phonenumbers.PhoneNumberFormat.E164) if is_one else None


def _is_long_enough(found: "PhoneNumber") -> bool:
    import phonenumbers

    return phonenumbers.is_possible_number_with_reason(found) == phonenumbers.ValidationResult.IS_POSSIBLE
