"""The CRMs that contacts and conversations can go to. CRMS names ours.

Another one is a file here, a row, and its name among the settings' providers.
"""

from collections.abc import Callable, Sequence
from typing import Protocol

from gateway.core.crm import Entry, Facts, Known
from gateway.settings import Settings


class Crm(Protocol):
    """A CRM. Every method raises CrmFailed, and may be called again with the same when nobody knows what came of it.

    `name` is what it is stored under, `label` what people call it.
    """

    name: str
    label: str

    def get(self, contact_id: str) -> Known | None:
        """Read a contact; one that was merged there is what it was merged into, None where it is gone."""

    def find(self, facts: Facts) -> Known | None:
        """Find a person: by our own key, then by e-mail, then by phone."""

    def create(self, facts: Facts) -> Known:
        """Make a contact; CrmConflict where another one has one of its addresses."""

    def fill(self, known: Known, facts: Facts) -> None:
        """Write what is known of a person where the CRM has nothing; what people wrote there stays."""

    def merge(self, contact_id: str, other_id: str) -> Known:
        """Let another contact be this one; it cannot be undone."""

    def log(self, contact_id: str, entry: Entry) -> str:
        """Put an entry on a contact's timeline, once for its key; gives its id. CrmGone where the contact is gone."""

    def entry(self, communication_type: str, key: str) -> str:
        """Find an entry by its key; empty where there is none."""

    def erase(self, communication_type: str, ids: Sequence[str]) -> None:
        """Delete entries; what is gone already is deleted."""


def _hubspot(settings: Settings) -> Crm:
    from gateway.clients.hubspot import HubSpot

    return HubSpot(settings)


# Each is imported only where the settings name it: they bring HTTP clients along.
CRMS: dict[str, Callable[[Settings], Crm]] = {
    "hubspot": _hubspot,
}


def build(settings: Settings) -> Crm | None:
    """Make the CRM of these settings; None without one."""
    name = settings.crm.provider
    return CRMS[name](settings) if name else None
