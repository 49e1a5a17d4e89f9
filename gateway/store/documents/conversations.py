"""Sessions, messages, and what people changed about which belongs where."""

from typing import Any

from mongoengine import Document
from mongoengine.fields import (
    BooleanField,
    DateTimeField,
    DictField,
    DynamicField,
    FloatField,
    IntField,
    ListField,
    ObjectIdField,
    StringField,
)

# Messages but for private notes, which nobody outside hears of.
NOT_PRIVATE = {"metadata.private": {"$ne": True}}

# Sessions but for those that somebody deleted, which nobody sees any more.
NOT_DELETED: dict[str, Any] = {"deleted": None}


class SessionDocument(Document):
    """A conversation. The layout is that of the Node application, plus what keeps races apart.

    `keys` find a sender's sessions; `open_keys` exist only while it is open and are unique, which is the whole
    guard against two open sessions; `slot` names the two neighbours it was opened between, so that racers who
    saw the same neighbours share one session; `opening` remembers the message it was opened for.
    """

    meta = {  # noqa: RUF012
        "collection": "sessions",
        "strict": False,
        "auto_create_index": False,
        "indexes": [
            {
                "name": "one_open_session",
                "fields": ["open_keys"],
                "unique": True,
                "partialFilterExpression": {"open_keys": {"$exists": True}},
            },
            {
                "name": "one_session_per_slot",
                "fields": ["slot"],
                "unique": True,
                "partialFilterExpression": {"slot": {"$exists": True}},
            },
            {"name": "sender_timeline", "fields": ["keys", "-first_message_at"]},
            {
                # Nearly empty at all times: sessions waiting for their first message, or left behind by a crash.
                "name": "still_empty",
                "fields": ["createdAt"],
                "partialFilterExpression": {"message_count": 0},
            },
            # The console's list: of all channels by type, of some channels by id. The fields behind the order let
            # counts, filters and the beginning of a number read keys alone.
            {
                "name": "by_type",
                "fields": ["communication_type", "status", "-last_message_at", "-_id", "metadata.fromNumber"],
            },
            {
                "name": "by_channel",
                "fields": [
                    *("channel_id", "status", "-last_message_at", "-_id", "communication_type"),
                    "metadata.fromNumber",
                ],
            },
            # The console's filters: each holds only the sessions it is about, so that others cost nothing.
            {
                "name": "assigned",
                "fields": ["assigned_to", "-last_message_at", "-_id", "channel_id"],
                "partialFilterExpression": {"assigned_to": {"$exists": True}},
            },
            {
                "name": "tagged",
                "fields": ["tags", "-last_message_at", "-_id", "channel_id"],
                "partialFilterExpression": {"tags": {"$exists": True}},
            },
            {
                "name": "failed",
                "fields": ["-last_message_at", "-_id", "channel_id"],
                "partialFilterExpression": {"has_failed": True},
            },
            {
                # Those of a channel that few write to lie far apart in the other one.
                "name": "failed_by_channel",
                "fields": ["channel_id", "-last_message_at", "-_id"],
                "partialFilterExpression": {"has_failed": True},
            },
            {
                "name": "needs_person",
                "fields": ["-last_message_at", "-_id", "channel_id", "needs_person.at"],
                "partialFilterExpression": {"needs_person": {"$exists": True}},
            },
            # The console's search. Neither changes when a message comes, so only opening a session writes them.
            {"name": "number", "fields": ["metadata.fromNumber"]},
            {"name": "title", "fields": ["$title"], "default_language": "none", "language_override": "-"},
            {"name": "contact", "fields": ["contact_id"]},
            {
                # Nearly empty at all times: sessions on their way out of here.
                "name": "retired",
                "fields": ["retired.at"],
                "partialFilterExpression": {"retired": {"$exists": True}},
            },
            {
                # Only sessions with a flow under way, by when somebody must look: its time is over, or a process
                # died before what follows from it was queued. Messages of all others never touch it.
                "name": "flow_due",
                "fields": ["context.flow.due"],
                "partialFilterExpression": {"context.flow.due": {"$exists": True}},
            },
            {
                # Only what an import brought, in the order it came: what is compared with its source and taken back.
                # No live message is ever in it.
                "name": "imported",
                "fields": ["import_id", "_id"],
                "partialFilterExpression": {"import_id": {"$exists": True}},
            },
            {
                # Few at all times: what somebody deleted, until it is removed.
                "name": "deleted",
                "fields": ["deleted.at"],
                "partialFilterExpression": {"deleted": {"$exists": True}},
            },
        ],
    }

    channel_id = StringField()
    communication_type = StringField()
    title = StringField()
    status = StringField(choices=("active", "closed", "archived"))
    message_count = IntField()
    last_message_at = DateTimeField()
    metadata = DictField()
    contact_id = ObjectIdField()
    previous_session_id = ObjectIdField()
    context = DictField()
    closed_reason = StringField()
    closed_at = DateTimeField()
    reopened_at = DateTimeField()
    createdAt = DateTimeField()  # noqa: N815 - the index names it as stored
    updated_at = DateTimeField(db_field="updatedAt")

    keys = ListField(StringField())
    open_keys = ListField(StringField())
    slot = StringField()
    first_message_at = DateTimeField()
    last_inbound_at = DateTimeField()
    live = ListField(StringField())
    live_until = DateTimeField()
    opening = DictField()
    opted_out = ListField(StringField())
    automatic = DictField()
    notices = ListField(StringField())
    needs_person = DictField()
    bot_off = BooleanField()
    assigned_to = StringField()
    seen_at = DateTimeField()
    has_failed = BooleanField()
    tags = ListField(StringField())
    retired = DictField()
    deleted = DictField()
    merged_into = ObjectIdField()
    merged_at = DateTimeField()
    absorbed = DictField()
    heir = ListField(StringField())
    import_id = ObjectIdField()


class MessageDocument(Document):
    """One message of either direction; `_id` is the provider's id, which is the claim against a second copy.

    `crm` names the entry of each CRM that holds it: with the message, so that it is told once wherever that goes.
    """

    meta = {  # noqa: RUF012
        "collection": "messages",
        "strict": False,
        "auto_create_index": False,
        "indexes": [
            {"name": "transcript", "fields": ["session_id", "createdAt"]},
            {"name": "stored", "fields": ["storedAt"]},
            # What happened on a day, whenever it was stored: the worker counts days, late arrivals included.
            {"name": "happened", "fields": ["createdAt"]},
            {
                "name": "sent_by_us",
                "fields": ["provider_sid"],
                "partialFilterExpression": {"direction": "outbound", "provider_sid": {"$exists": True}},
            },
            {
                "name": "to_be_answered",
                "fields": ["session_id", "createdAt"],
                "partialFilterExpression": {"answer.state": "queued"},
            },
            {
                "name": "answer_due",
                "fields": ["answer.due"],
                "partialFilterExpression": {"answer.state": "queued"},
            },
            # The console's search: words as they are written, in any language.
            {"name": "words", "fields": ["$content"], "default_language": "none", "language_override": "-"},
            {
                # Only what an import brought, in the order it came: what is compared with its source and taken back.
                # No live message is ever in it.
                "name": "imported",
                "fields": ["import_id"],
                "partialFilterExpression": {"import_id": {"$exists": True}},
            },
        ],
    }

    id = StringField(primary_key=True)
    session_id = ObjectIdField()
    channel_id = StringField()
    communication_type = StringField()
    contact_id = ObjectIdField()
    direction = StringField(choices=("inbound", "outbound"))
    sender = StringField(choices=("contact", "ai", "agent", "system"))
    content = StringField()
    provider_sid = StringField()
    media = ListField(DictField())
    status = StringField()
    status_history = ListField(DictField())
    error_code = StringField()
    decision = DictField()
    tools_used = ListField(DynamicField())
    processing_time_ms = FloatField()
    token_count = IntField()
    has_error = BooleanField()
    error_message = StringField()
    template = DictField()
    answer = DictField()
    moved = ListField(DictField())
    crm = DictField()
    import_id = ObjectIdField()
    metadata = DictField()
    createdAt = DateTimeField()  # noqa: N815 - indexes name it as stored
    storedAt = DateTimeField()  # noqa: N815


class RegroupingDocument(Document):
    """A session split in two, or two merged into one, by a person; kept as long as the audit."""

    meta = {  # noqa: RUF012
        "collection": "regroupings",
        "strict": False,
        "auto_create_index": False,
        "indexes": [
            {
                # One at a time for a session. Nearly empty at all times, as is the next one.
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
            # What a session's page shows, and what must be undone first.
            {"name": "earlier", "fields": ["earlier", "-at"]},
            {"name": "later", "fields": ["later", "-at"]},
            {"name": "two_years", "fields": ["at"], "expireAfterSeconds": 2 * 365 * 24 * 3600},
        ],
    }

    id = StringField(primary_key=True)
    kind = StringField(choices=("split", "merge"))
    state = StringField(choices=("claimed", "doing", "done", "undoing", "undone"))
    earlier = ObjectIdField()
    later = ObjectIdField()
    channel_id = ListField(StringField())
    by = StringField()
    at = DateTimeField()
    boundary = DateTimeField()
    message_id = StringField()
    before = DictField()
    order = IntField()
    undone_by = StringField()
    undone_at = DateTimeField()
    busy = ListField(ObjectIdField())
    owner = StringField()
    lease = DateTimeField()
    unsettled = DateTimeField()
