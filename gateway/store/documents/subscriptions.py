"""Programs that are told of events."""

from mongoengine import Document
from mongoengine.fields import (
    BooleanField,
    DateTimeField,
    IntField,
    ListField,
    StringField,
)


class SubscriptionDocument(Document):
    """A URL that is told of events, and how that went. Its secrets are made from SECRET_KEY and stored nowhere.

    `fingerprint` is a hash of the newest secret, by which a changed SECRET_KEY is noticed.
    """

    # A few dozen at most, so `_id` is the only index.
    meta = {"collection": "subscriptions", "strict": False, "auto_create_index": False}  # noqa: RUF012

    url = StringField()
    description = StringField()
    events = ListField(StringField())
    channels = ListField(StringField())
    key = StringField()
    active = BooleanField()
    listens_since = DateTimeField()
    created_at = DateTimeField(db_field="createdAt")
    created_by = StringField()
    generation = IntField()
    fingerprint = StringField()
    old_secret_until = DateTimeField()
    disabled_reason = StringField(choices=("gone", "failing", "key_ended"))
    disabled_at = DateTimeField()
    last_success_at = DateTimeField()
    last_failure_at = DateTimeField()
    last_error = StringField()
    failures = IntField()
    failing_since = DateTimeField()
    held_until = DateTimeField()
