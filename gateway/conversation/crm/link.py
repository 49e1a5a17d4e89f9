"""Which contact of the CRM a person is: the one that was found or made before, else found, else made.

What is kept of it lives on the contact that stands for the person. Contacts that were merged here are merged there;
that cannot be undone there, so who is parted again gets a contact of their own.
"""

import contextlib
from collections.abc import Collection, Mapping
from dataclasses import replace
from typing import Any

from gateway.clients.crm import Crm
from gateway.core.crm import CrmConflict, CrmFailed, CrmGone, Facts, Known
from gateway.core.identifiers import canonical
from gateway.core.participant import EMAIL
from gateway.logs import log
from gateway.store import crm_state
from gateway.store.connection import deadline
from gateway.store.groups import Group

_LINK = ("contact_id", "url", "told")


class Nobody(Exception):
    """A person of whom nothing is known that a CRM could find them by."""


def facts_of(crm: Crm, group: Group, shared: Collection[str] = ()) -> Facts:
    """Give what is known of a person for sure: identifiers that are theirs, and never what somebody only claimed.

    Nor what many people write by, whose forms are in `shared`: it would find one of the others.
    """
    state = crm_state.of(group.head, crm.name)
    parted = state.get("merged_into")
    return Facts(
        key=group.id + (f"-{state['parts']}" if state.get("parts") else ""),
        name=str(group.first("name") or "").strip(),
        emails=tuple(one for one in group.values("emails") if canonical(f"{EMAIL}{one}") not in shared),
        phones=tuple(one for one in group.values("phones") if canonical(one) not in shared),
        apart=frozenset([parted] if parted else ()),
    )


def linked(crm: Crm, group: Group, shared: Collection[str] = ()) -> str:
    """Give the id of a person's contact at the CRM, up to date with what is known. CrmFailed, Nobody."""
    facts, before = facts_of(crm, group, shared), str(_state(crm, group).get("contact_id") or "")
    contact_id = _joined(crm, group)
    if contact_id and contact_id == before and _state(crm, group).get("told") == facts.fingerprint:
        return contact_id
    with deadline():
        crm_state.note(group.id, crm.name, {}, drop=("note",))
    known = crm.get(contact_id) if contact_id else None
    if known is None:
        if not (facts.emails or facts.phones):
            raise Nobody
        facts = _apart(crm, facts)
        known = crm.find(facts) or _made(crm, facts)
    _fill(crm, group, known, facts)
    link = {"contact_id": known.id, "url": known.url, "told": facts.fingerprint}
    with deadline():
        crm_state.note(group.id, crm.name, link)
    return known.id


def _apart(crm: Crm, facts: Facts) -> Facts:
    """Name whom they are not by the ids of today: what they were merged into may have been merged further."""
    today = {known.id for one in facts.apart if (known := crm.get(one))}
    return replace(facts, apart=facts.apart | today)


def unlink(crm: Crm, group: Group) -> None:
    """Forget which contact a person was, since it is gone at the CRM."""
    with deadline():
        for one in group.members:
            crm_state.note(one["_id"], crm.name, {}, drop=_LINK)


def _state(crm: Crm, group: Group) -> Mapping[str, Any]:
    return crm_state.of(group.head, crm.name)


def _joined(crm: Crm, group: Group) -> str:
    """Give the one contact of all that were merged; what is two at the CRM is merged there too."""
    main = str(_state(crm, group).get("contact_id") or "")
    for one in group.members[1:]:
        other = str(crm_state.of(one, crm.name).get("contact_id") or "")
        if not other or other == main:
            continue
        main = _merged(crm, group, main, other) if main else other
        with deadline():
            _hand_over(crm, group, one, main)
    return main


def _merged(crm: Crm, group: Group, main: str, other: str) -> str:
    """Merge two contacts at the CRM, unless they are one by now; what it refuses is noted, and changes nothing else."""
    one, two = crm.get(main), crm.get(other)
    if one is None or two is None or one.id == two.id:
        return (one or two or Known(main)).id
    try:
        merged = crm.merge(one.id, two.id)
    except CrmGone:
        return one.id
    except CrmFailed as error:
        if not error.permanent or error.account:
            raise
        with deadline():
            crm_state.note(group.id, crm.name, {"merge_error": f"{crm.label} did not merge {two.id} into it: {error}"})
        log.warning("crm_merge_refused", contact_id=group.id, code=error.code)
        return one.id
    with deadline():
        crm_state.note(group.id, crm.name, {}, drop=("merge_error",))
    return merged.id


def _hand_over(crm: Crm, group: Group, absorbed: Mapping[str, Any], main: str) -> None:
    """Keep the contact with who stands for both. That comes first: whoever goes on from here finds them the same."""
    crm_state.note(group.id, crm.name, {"contact_id": main}, drop=("told",))
    parts = int(crm_state.of(absorbed, crm.name).get("parts") or 0) + 1
    crm_state.note(absorbed["_id"], crm.name, {"merged_into": main, "parts": parts}, drop=_LINK)


def _made(crm: Crm, facts: Facts) -> Known:
    try:
        return crm.create(facts)
    except CrmConflict as conflict:
        existing = conflict.existing
        mine = crm.get(existing) if existing and existing not in facts.apart else crm.find(facts)
        if mine:
            return mine
        if existing not in facts.apart or not facts.phones:
            raise
    # Their e-mail stays with whom they were merged with there once, which `_fill` says.
    return crm.create(replace(facts, emails=()))


def _fill(crm: Crm, group: Group, known: Known, facts: Facts) -> None:
    try:
        crm.fill(known, facts)
    except CrmConflict as conflict:
        note = f"Their e-mail was not written: another contact there has it ({conflict.existing or 'not told which'})."
        with deadline():
            crm_state.note(group.id, crm.name, {"note": note})
        with contextlib.suppress(CrmConflict):
            crm.fill(known, replace(facts, emails=()))
