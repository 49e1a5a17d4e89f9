"""What people say of themselves: an e-mail address or a number that somebody types is not proved to be theirs.

It is kept beside their contact, and leads to nobody's history. It links only where an agent confirms it, or where the
setting `contacts.trust_claims` believes everybody.
"""

from collections.abc import Iterator

from gateway.conversation import merging
from gateway.conversation.linking import GATEWAY, began
from gateway.conversation.merging import CannotMerge, NoContact, must_see_all, person
from gateway.conversation.runtime import Runtime
from gateway.core import emails
from gateway.core.errors import GatewayError, StoreUnavailable
from gateway.core.messages import InboundMessage
from gateway.logs import log
from gateway.store import audit, claims, contacts, editing, finding, groups, merges, numbers
from gateway.store.claims import EMAIL_FIELD, NAME, PHONE, Claim
from gateway.store.connection import deadline
from gateway.store.groups import Group
from gateway.store.isolation import Channels

_LISTS = {EMAIL_FIELD: "emails", PHONE: "phones"}
_NAME_LENGTH = 200
CONFIRMED, DISMISSED, TRUSTED = "claim_confirmed", "claim_dismissed", "claim_trusted"


class NoClaim(GatewayError):
    """A claim that is not there, or not for whoever asks."""

    def __init__(self) -> None:
        super().__init__("There is no such claim. It may have been confirmed or dismissed since.")


def typed(
    runtime: Runtime,
    contact_id: str,
    *,
    name: str = "",
    email: str = "",
    phone: str = "",
    session_id: str,
    source: str,
) -> None:
    """Keep what somebody typed about themselves; `source` is where, e.g. `chat` or `flow:callback`.

    What is no address and no number is left out, and what is known already. A name is taken at once where there is
    none, for it leads to nobody. May be repeated.
    """
    with deadline():
        group = groups.find(contact_id)
        if group is None or group.first("to_forget"):
            return
        for field, value in _said(name, email, phone, session_id):
            now = runtime.clock.now()
            claim = Claim(claims.id_of(field, value), field, value, now, source[:100], session_id)
            if not (_is_known(group, claim) or _believed(runtime, group, claim)):
                claims.keep(group.id, claim)


def _said(name: str, email: str, phone: str, session_id: str) -> Iterator[tuple[str, str]]:
    if said := " ".join(name.split())[:_NAME_LENGTH]:
        yield NAME, said
    if address := emails.normalised(email):
        yield EMAIL_FIELD, address
    if phone and (number := numbers.typed(phone, [finding.numbers_of(session_id)[1]])):
        yield PHONE, number


def _is_known(group: Group, claim: Claim) -> bool:
    if claim.field == NAME:
        return bool(group.first("name") == claim.value)
    return any(claim.form in groups.forms_of(one) for one in group.members)


def _believed(runtime: Runtime, group: Group, claim: Claim) -> bool:
    """Take what was said at its word where that may be; False where it stays a claim."""
    if claim.field == NAME:
        if not group.first("name"):
            contacts.rename(group.id, claim.value)
            return True
        return False
    if not runtime.settings.contacts.trust_claims or _is_shared(runtime, claim):
        return False
    other = claims.holders([claim]).get(claim.id)
    if other and merges.were_parted(group.ids, other.ids):
        return False
    try:
        _link(runtime, group, claim, other, GATEWAY, TRUSTED)
    except (CannotMerge, NoContact) as refusal:
        log.info("claim_not_linked_yet", contact_id=group.id, message=str(refusal))
        return False
    return True


def _is_shared(runtime: Runtime, claim: Claim) -> bool:
    return claim.form in runtime.settings.contacts.shared


def _link(runtime: Runtime, group: Group, claim: Claim, other: Group | None, by: str, reason: str) -> None:
    """Let somebody have what they say is theirs, by becoming one with whoever has it already."""
    if other:
        elder, younger = sorted((group, other), key=began)
        merging.merge(runtime, elder.id, younger.id, by=by, reason=reason)
    elif not editing.extend(group, {_LISTS[claim.field]: [claim.value]}, None):
        raise CannotMerge("Another contact was given this just now. Look again.")


def said_in(runtime: Runtime, message: InboundMessage, contact_id: str | None, session_id: str) -> None:
    """Keep the address that the user of a website claims, where the page names one; the message is stored already."""
    claimed = message.metadata.get("claimedEmail")
    if not claimed or contact_id is None:
        return
    try:
        typed(runtime, contact_id, email=str(claimed), session_id=session_id, source="chat")
    except StoreUnavailable as error:
        log.warning("claim_not_kept", session_id=session_id, message=str(error)[:300])


def confirm(
    runtime: Runtime,
    contact_id: str,
    claim_id: str,
    *,
    by: str,
    channels: Channels = None,
    expected: str | None = None,
) -> None:
    """Let what somebody said of themselves be so: it is theirs, and whoever has it already is the same person.

    `expected` is that contact's id, as whoever confirms was shown it (empty: nobody); None is whoever it is now.
    NoContact, NoClaim, CannotMerge and NotForThem say why that cannot be.
    """
    must_see_all(channels)
    with deadline(merging.SECONDS):
        group, claim = _found(contact_id, claim_id, channels)
        if claim.field == NAME:
            contacts.rename(group.id, claim.value)
        else:
            if _is_shared(runtime, claim):
                raise CannotMerge("Many people write by this (contacts.shared), so it tells nothing of who it is.")
            other = claims.holders([claim]).get(claim.id)
            if expected is not None and expected != (other.id if other else ""):
                raise CannotMerge("Somebody else has this by now. Look again whom they would be merged with.")
            _link(runtime, group, claim, other, by, CONFIRMED)
        if claims.take(person(contact_id).ids, claim_id):
            _note(runtime, by, CONFIRMED, group, claim)


def dismiss(runtime: Runtime, contact_id: str, claim_id: str, *, by: str, channels: Channels = None) -> None:
    """Show what somebody said of themselves no more, however often they say it. NoContact and NoClaim say why not."""
    with deadline():
        group, claim = _found(contact_id, claim_id, channels)
        if claims.dismiss(group.ids, claim_id, by, runtime.clock.now()):
            _note(runtime, by, DISMISSED, group, claim)


def _note(runtime: Runtime, by: str, action: str, group: Group, claim: Claim) -> None:
    where = claim.session_id or None
    audit.note(runtime.clock.now(), by, action, session_id=where, contact=group.id, field=claim.field)


def _found(contact_id: str, claim_id: str, channels: Channels) -> tuple[Group, Claim]:
    group = person(contact_id)
    claim = next((one for one in claims.seen(claims.of(group), channels) if one.id == claim_id), None)
    if claim is None:
        raise NoClaim
    return group, claim
