"""Two contacts that turned out to be one person are merged by the gateway itself, and can be parted again.

What links them is proved: it came in one message from the provider, or a site's server vouched for it. The link is
noted before the message is stored, and followed after it: at once, else (somebody merges one of them, a call is on,
the process died) by a worker.
"""

from datetime import datetime

from gateway.conversation import merging
from gateway.conversation.merging import CannotMerge, NoContact
from gateway.conversation.runtime import Runtime
from gateway.core.errors import StoreUnavailable
from gateway.logs import log
from gateway.store import groups, linking, merges
from gateway.store.connection import deadline
from gateway.store.groups import Group

# Who a merge says has done it.
GATEWAY = "gateway"

_SECONDS = 30


def link_now(runtime: Runtime, contact_id: str) -> None:
    """Merge a contact with those it turned out to be; what cannot be done now is left to a worker, whatever it is."""
    try:
        with deadline():
            for pair in linking.of_contact(contact_id):
                _link(runtime, *pair)
    except StoreUnavailable as error:
        log.warning("contacts_not_merged_yet", contact_id=contact_id, message=str(error)[:300])


def link_noted(runtime: Runtime) -> int:
    """Merge all contacts that turned out to be one person; gives how many."""
    with deadline(_SECONDS):
        return sum(_link(runtime, *pair) for pair in linking.noted())


def _link(runtime: Runtime, contact_id: str, other_id: str, reason: str) -> bool:
    one, other = groups.find(contact_id), groups.find(other_id)
    if one is None or other is None or one.id == other.id or merges.were_parted(one.ids, other.ids):
        linking.done(contact_id, other_id)
        return False
    elder, younger = sorted((one, other), key=began)
    try:
        merging.merge(runtime, elder.id, younger.id, by=GATEWAY, reason=reason)
    except CannotMerge as refusal:
        log.debug("contacts_not_merged_yet", contact_id=contact_id, message=str(refusal))
        return False
    except NoContact:
        pass  # one of them is about to be forgotten
    linking.done(contact_id, other_id)
    return True


def began(group: Group) -> tuple[datetime, str]:
    """Give since when a person is known: the elder stays, for programs and CRMs know their contact's id longer."""
    return group.head.get("createdAt") or group.head["_id"].generation_time, group.id
