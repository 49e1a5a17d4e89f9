"""What is done once to the documents that older versions stored, in the order of the numbers.

A new migration is a module with a `Migration`, and a row here; numbers are never used twice, and what was released is
not changed any more. See docs/migrations.md.
"""

from gateway.store.migrations.m0001_mark_failed_sessions import MARK_FAILED_SESSIONS
from gateway.store.migrations.m0002_lower_case_emails import LOWER_CASE_EMAILS
from gateway.store.migrations.m0003_identify_contacts import IDENTIFY_CONTACTS
from gateway.store.migrations.pattern import Migration

__all__ = ["MIGRATIONS", "Migration"]

MIGRATIONS: tuple[Migration, ...] = (
    MARK_FAILED_SESSIONS,
    LOWER_CASE_EMAILS,
    IDENTIFY_CONTACTS,
)
