"""Whom we speak with, on which of our addresses, and who of ours does."""

from mongoengine import Document
from mongoengine.fields import (
    DateTimeField,
    DictField,
    DynamicField,
    IntField,
    ListField,
    ObjectIdField,
    StringField,
)


class ChannelDocument(Document):
    """One of our addresses. `idle_seconds` and `responder` win over the settings where they are there."""

    meta = {  # noqa: RUF012
        "collection": "channels",
        "strict": False,
        "auto_create_index": False,
        "indexes": [
            {"name": "one_channel", "fields": ["phone_number", "communication_type"], "unique": True},
        ],
    }

    id = DynamicField(primary_key=True)
    name = StringField()
    phone_number = StringField()
    communication_type = StringField()
    account_sid = StringField()
    idle_seconds = DynamicField()
    responder = StringField()
    settings = DictField()
    last_webhook_at = DateTimeField()


class ContactDocument(Document):
    """One person. `opted_out` holds the numbers and messaging services they said STOP to.

    `phones`, `emails` and `external_ids` are as they came; `identifiers` has one form of each, whatever its spelling
    (core.identifiers), and is what makes one contact of simultaneous first messages. One that was merged has
    `merged_into`; `absorbed` are those that were merged into it, to look for them at all; `to_merge` are those it
    turned out to be the same person as. `claims` are what they say of themselves, which nobody confirmed.
    """

    meta = {  # noqa: RUF012
        "collection": "contacts",
        "strict": False,
        "auto_create_index": False,
        "indexes": [
            {
                "name": "one_contact_per_phone",
                "fields": ["phones"],
                "unique": True,
                "partialFilterExpression": {"phones": {"$exists": True}},
            },
            {
                "name": "one_contact_per_external_id",
                "fields": ["external_ids"],
                "unique": True,
                "partialFilterExpression": {"external_ids": {"$exists": True}},
            },
            {
                # Contacts have had an empty list of e-mails from the beginning, and an empty list would be in it.
                "name": "one_contact_per_email",
                "fields": ["emails"],
                "unique": True,
                "partialFilterExpression": {"emails": {"$gt": ""}},
            },
            {
                # Who somebody is, by whatever they wrote by: looked up when a session opens.
                "name": "one_contact_per_identifier",
                "fields": ["identifiers"],
                "unique": True,
                "partialFilterExpression": {"identifiers": {"$exists": True}},
            },
            {
                # Nearly empty at all times: what a worker is to merge.
                "name": "to_merge",
                "fields": ["to_merge.at"],
                "partialFilterExpression": {"to_merge": {"$exists": True}},
            },
            {"name": "words", "fields": ["$name"], "default_language": "none", "language_override": "-"},
            {
                # Few at all times: who is the same person as this one, and who is about to be forgotten.
                "name": "merged",
                "fields": ["merged_into"],
                "partialFilterExpression": {"merged_into": {"$exists": True}},
            },
            {
                "name": "to_forget",
                "fields": ["to_forget.at"],
                "partialFilterExpression": {"to_forget": {"$exists": True}},
            },
            {
                # Few at all times: whose last synchronisation with the CRM failed.
                "name": "crm_failed",
                "fields": ["-crm_error_at"],
                "partialFilterExpression": {"crm_error_at": {"$exists": True}},
            },
            {
                # Only what an import brought, in the order it came: what is compared with its source and taken back.
                # Nobody who wrote here is in it.
                "name": "imported",
                "fields": ["import_id", "_id"],
                "partialFilterExpression": {"import_id": {"$exists": True}},
            },
        ],
    }

    name = StringField()
    phones = ListField(StringField())
    emails = ListField(StringField())
    external_ids = ListField(StringField())
    identifiers = ListField(StringField())
    to_merge = ListField(DictField())
    claims = ListField(DictField())
    opted_out = DictField()
    crm = DictField()
    crm_error_at = DateTimeField()
    merged_into = ObjectIdField()
    absorbed = ListField(ObjectIdField())
    to_forget = DictField()
    import_id = ObjectIdField()
    created_at = DateTimeField(db_field="createdAt")


class MergeDocument(Document):
    """Two contacts merged into one, by a person or by the gateway, or parted again; kept until they are forgotten."""

    meta = {  # noqa: RUF012
        "collection": "merges",
        "strict": False,
        "auto_create_index": False,
        "indexes": [
            {
                # One at a time for a contact. Nearly empty at all times, as is the next one.
                "name": "one_at_a_time",
                "fields": ["busy"],
                "unique": True,
                "partialFilterExpression": {"busy": {"$exists": True}},
            },
            {
                "name": "unsettled",
                "fields": ["unsettled"],
                "partialFilterExpression": {"unsettled": {"$exists": True}},
            },
            # What is shown beside a contact, and can be undone.
            {"name": "survivor", "fields": ["survivor", "-at"]},
            {"name": "absorbed", "fields": ["absorbed", "-at"]},
        ],
    }

    id = StringField(primary_key=True)
    state = StringField(choices=("claimed", "doing", "done", "undoing", "undone"))
    survivor = ObjectIdField()
    absorbed = ObjectIdField()
    by = StringField()
    at = DateTimeField()
    reason = StringField()
    undone_by = StringField()
    undone_at = DateTimeField()
    closed = ListField(DictField())
    busy = ListField(ObjectIdField())
    owner = StringField()
    lease = DateTimeField()
    unsettled = DateTimeField()


class SuppressionDocument(Document):
    """The STOP of somebody who was forgotten: a slow, salted hash of who it was, and the lines of ours it is about."""

    meta = {"collection": "suppressions", "strict": False, "auto_create_index": False}  # noqa: RUF012

    id = StringField(primary_key=True)
    lines = ListField(StringField())
    at = DateTimeField()


class UserDocument(Document):
    """Somebody who may log in to the admin page: an admin where no role is stored, limited where channels are."""

    meta = {  # noqa: RUF012
        "collection": "users",
        "strict": False,
        "auto_create_index": False,
        "indexes": [{"name": "one_user", "fields": ["name"], "unique": True}],
    }

    name = StringField()
    role = StringField(choices=("admin", "agent", "viewer"))
    channels = ListField(StringField())
    password_hash = StringField()
    session_token = StringField()
    logged_in_at = DateTimeField()
    created_at = DateTimeField(db_field="createdAt")


class ApiKeyDocument(Document):
    """A key to the REST API: found by its prefix, known by a hash of its secret, which is nowhere."""

    meta = {  # noqa: RUF012
        "collection": "api_keys",
        "strict": False,
        "auto_create_index": False,
        "indexes": [{"name": "one_prefix", "fields": ["prefix"], "unique": True}],
    }

    name = StringField()
    prefix = StringField()
    secret_hash = StringField()
    scopes = ListField(StringField())
    channels = ListField(StringField())
    created_at = DateTimeField(db_field="createdAt")
    created_by = StringField()
    expires_at = DateTimeField()
    last_used_at = DateTimeField()
    revoked_at = DateTimeField()
    revoked_by = StringField()


class ApiLimitDocument(Document):
    """How often an API key asked in a minute; `_id` is the key and the minute."""

    meta = {  # noqa: RUF012
        "collection": "api_limits",
        "strict": False,
        "auto_create_index": False,
        "indexes": [{"name": "five_minutes", "fields": ["at"], "expireAfterSeconds": 300}],
    }

    id = StringField(primary_key=True)
    requests = IntField()
    at = DateTimeField()


class AuditDocument(Document):
    """Something a person did by hand, kept for two years."""

    meta = {  # noqa: RUF012
        "collection": "audit",
        "strict": False,
        "auto_create_index": False,
        "indexes": [
            {"name": "session", "fields": ["session_id", "-at"]},
            {"name": "two_years", "fields": ["at"], "expireAfterSeconds": 2 * 365 * 24 * 3600},
        ],
    }

    at = DateTimeField()
    by = StringField()
    action = StringField()
    session_id = ObjectIdField()
    details = DictField()
