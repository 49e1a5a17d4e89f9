"""What people and programs write down of a contact: name, e-mails, numbers; and that it opted out, or in again."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from gateway.conversation import merging, optouts
from gateway.conversation.linking import began
from gateway.conversation.merging import NoContact, must_see_all, person
from gateway.conversation.runtime import Runtime
from gateway.core import emails
from gateway.core.errors import GatewayError
from gateway.core.participant import EMAIL, address, is_withheld
from gateway.logs import log
from gateway.store import audit, contacts, editing, groups, merges, people, suppressions
from gateway.store.connection import deadline
from gateway.store.groups import IDENTIFIERS, Group
from gateway.store.isolation import Channels

NAME_LENGTH, ID_LENGTH, IDENTIFIERS_EACH = 200, 200, 50
ALL_LINES = "all"
IDENTIFIER_ADDED = "identifier_added"

_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
_SERVICE = re.compile(r"MG[0-9a-f]{32}")


class WrongValue(GatewayError):
    """A value a contact cannot have. `field` is which, the text says what is allowed."""

    def __init__(self, field: str, message: str) -> None:
        super().__init__(message)
        self.field = field


class Taken(GatewayError):
    """An identifier that another contact has: `contact_id`. The two may be one person, to be merged."""

    def __init__(self, field: str, value: str, contact_id: str) -> None:
        super().__init__(f"{value} belongs to the contact {contact_id}. If they are one person, merge the two.")
        self.field, self.contact_id = field, contact_id
        (self.form,) = editing.forms({field: [value]})


class InUse(GatewayError):
    """An identifier that cannot be taken off a contact."""


class NoLine(GatewayError):
    """What is none of our numbers or messaging services, for whoever asks."""


@dataclass(frozen=True, slots=True)
class Changes:
    """What a contact is to be; None leaves something as it is, a list is all there is to be."""

    name: str | None = None
    phones: Sequence[str] | None = None
    emails: Sequence[str] | None = None
    external_ids: Sequence[str] | None = None


def create(runtime: Runtime, wanted: Changes, *, by: str, channels: Channels = None) -> str:
    """Make a contact; gives its id. WrongValue, Taken and NotForThem say why that cannot be."""
    must_see_all(channels)
    lists, now = _lists(wanted), runtime.clock.now()
    with deadline():
        made = editing.add(lists, _name(wanted.name or ""), now)
        if made is None:
            raise _taken(lists)
        audit.note(now, by, "contact_created", contact=made)
    log.info("contact_created", contact_id=made, by=by)
    return made


def change(runtime: Runtime, contact_id: str, wanted: Changes, *, by: str, channels: Channels = None) -> Sequence[str]:
    """Change a contact; gives the names of what changed. Whoever is limited to channels may change the name.

    An identifier that another contact has makes the two one person, unless somebody parted them.
    NoContact, WrongValue, Taken, InUse, CannotMerge and NotForThem say why that cannot be.
    """
    lists, now = _lists(wanted), runtime.clock.now()
    if lists:
        must_see_all(channels)
    with deadline(merging.SECONDS if lists else None):
        group = _seen(contact_id, channels)
        name = None if wanted.name is None else _name(wanted.name)
        less = {field: [one for one in group.values(field) if one not in values] for field, values in lists.items()}
        _check_unused(group, less)
        group = _joined(runtime, group, lists, by)
        more = _lacking(group, lists)
        if not editing.extend(group, more, name):
            raise _taken(more)
        for field, values in less.items():
            editing.take_off(group.ids, field, values)
        editing.take_off(group.ids, "external_ids", [f"{EMAIL}{one}" for one in less.get("emails", ())])
        _keep_stops(runtime, group, more)
        changed = [field for field in lists if more[field] or less[field]]
        changed += ["name"] if name is not None and name != (group.head.get("name") or "") else []
        if changed:
            audit.note(now, by, "contact_changed", contact=group.id, fields=sorted(changed))
    return sorted(changed)


def _lacking(group: Group, lists: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    return {field: [one for one in values if one not in group.values(field)] for field, values in lists.items()}


def _joined(runtime: Runtime, group: Group, lists: Mapping[str, Sequence[str]], by: str) -> Group:
    """Merge a person with whoever has what is written down as theirs: then the two are one.

    Taken where they are not: somebody parted them, or many people write by that.
    """
    while clash := _holder(_not_theirs(group, lists)):
        other = person(clash.contact_id)
        if merges.were_parted(group.ids, other.ids) or clash.form in runtime.settings.contacts.shared:
            raise clash
        elder, younger = sorted((group, other), key=began)
        merging.merge(runtime, elder.id, younger.id, by=by, reason=IDENTIFIER_ADDED)
        group = person(group.id)
    return group


def _not_theirs(group: Group, lists: Mapping[str, Sequence[str]]) -> dict[str, list[str]]:
    known = {form for one in group.members for form in groups.forms_of(one)}
    return {
        field: [one for one in values if not known.issuperset(editing.forms({field: [one]}))]
        for field, values in lists.items()
    }


def _seen(contact_id: str, channels: Channels) -> Group:
    """Find a contact, if whoever asks sees a session of theirs."""
    group = person(contact_id)
    if not people.is_seen([str(one) for one in group.ids], channels):
        raise NoContact(contact_id)
    return group


def _name(written: str) -> str:
    return " ".join(written.split())[:NAME_LENGTH]


def _lists(wanted: Changes) -> dict[str, list[str]]:
    read = {"phones": _phone, "emails": _email, "external_ids": _external_id}
    found = {}
    for field in IDENTIFIERS:
        given = getattr(wanted, field)
        if given is None:
            continue
        if len(given) > IDENTIFIERS_EACH:
            raise WrongValue(field, f"A contact has at most {IDENTIFIERS_EACH} {field.replace('_', ' ')}.")
        found[field] = list(dict.fromkeys(read[field](one) for one in given))
    return found


def _phone(written: str) -> str:
    number = address(written).number or ""
    if not number.startswith("+") or is_withheld(number):
        raise WrongValue("phones", f"{written!r:.60} is no phone number. Write it as +15558675310.")
    return number


def _email(written: str) -> str:
    kept = emails.normalised(written)
    if kept is None:
        raise WrongValue("emails", f"{written!r:.60} is no e-mail address. Write it as ada@example.com.")
    return kept


def _external_id(written: str) -> str:
    known = written.strip()
    if not known or len(known) > ID_LENGTH or _CONTROL.search(known) or is_withheld(known):
        raise WrongValue("external_ids", f"{written!r:.60} is no id. It has 1 to {ID_LENGTH} characters.")
    if address(known).identity.startswith("+"):
        raise WrongValue("external_ids", f"{written!r:.60} is a phone number. It belongs into phones.")
    return known


def _holder(more: Mapping[str, Sequence[str]]) -> Taken | None:
    for field, values in more.items():
        if found := editing.holder(field, values):
            return Taken(field, found[1], found[0])
    return None


def _taken(lists: Mapping[str, Sequence[str]]) -> GatewayError:
    gone = WrongValue(next(iter(lists), "phones"), "Another contact had one of these just now. Try again.")
    return _holder(lists) or gone


def _check_unused(group: Group, less: Mapping[str, Sequence[str]]) -> None:
    """Keep a number that wrote: without it the next message would be a stranger's, who never said STOP (I12)."""
    going = {*less.get("phones", ()), *less.get("external_ids", ())}
    written_by = going | {f"{EMAIL}{one}" for one in less.get("emails", ())}
    if used := sorted(written_by & people.identities_on([str(one) for one in group.ids], None)):
        raise InUse(
            f"They wrote or phoned by {used[0]}, so it stays theirs. A contact that was merged can be unmerged."
        )
    if going and group.opted_out:
        raise InUse("They opted out, which holds for every number of theirs. Opt them in first.")


def _keep_stops(runtime: Runtime, group: Group, more: Mapping[str, Sequence[str]]) -> None:
    """Let the STOP hold of somebody who was forgotten and whose number is known again."""
    lines = suppressions.lines_of([*more.get("phones", ()), *more.get("external_ids", ())])
    if lines:
        contacts.record_opt_out([group.id], lines, out=True, message_id=None, at=runtime.clock.now())
        optouts.spread(runtime, group, lines)


def set_opt_out(
    runtime: Runtime, contact_id: str, line: str, *, out: bool, by: str, channels: Channels = None
) -> tuple[str, ...]:
    """Record that a person wants nothing from one of our lines any more, or wants it again; gives which lines.

    A line is one of our numbers, a messaging service (MG...) or `all`: every number there is now. It holds for all
    contacts that were merged. NoContact and NoLine say why that cannot be.
    """
    with deadline():
        group, now = _seen(contact_id, channels), runtime.clock.now()
        lines = _lines(group, line, channels, out=out)
        if lines:
            ids = [str(one) for one in group.ids]
            contacts.record_opt_out(ids, lines, out=out, message_id=None, at=now)
            optouts.spread(runtime, group, lines)
            action = "contact_opted_out" if out else "contact_opted_in"
            audit.note(now, by, action, contact=group.id, lines=list(lines))
            log.info("opted_out" if out else "opted_in", contact_id=group.id, by=by)
    return lines


def _lines(group: Group, written: str, channels: Channels, *, out: bool) -> tuple[str, ...]:
    ours = {address(one).identity for one in people.lines_of(channels)}
    said = {line for line in group.opted_out if channels is None or line in ours}
    if written == ALL_LINES:
        return tuple(sorted(ours if out else said))
    line = address(written.strip()).identity
    if line in ours | said or (channels is None and _SERVICE.fullmatch(line)):
        return (line,)
    raise NoLine(
        f"{written!r:.60} is none of our numbers or messaging services. The console's Operations page lists them."
    )
