"""The documents as stored, and their indexes: the one place both are declared.

The hot path goes through `_get_collection()` with plain dictionaries, because building a Document costs more
than the rest of a webhook; names are the same, since both read them here.
"""

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
            # counts and filters read keys alone.
            {"name": "by_type", "fields": ["communication_type", "status", "-last_message_at", "-_id"]},
            {
                "name": "by_channel",
                "fields": ["channel_id", "status", "-last_message_at", "-_id", "communication_type"],
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
    merged_into = ObjectIdField()
    merged_at = DateTimeField()
    absorbed = DictField()
    heir = ListField(StringField())


class MessageDocument(Document):
    """One message of either direction; `_id` is the provider's id, which is the claim against a second copy."""

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
    metadata = DictField()
    createdAt = DateTimeField()  # noqa: N815 - indexes name it as stored
    storedAt = DateTimeField()  # noqa: N815


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
    """One person. `opted_out` holds the numbers and messaging services they said STOP to."""

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
            {"name": "words", "fields": ["$name"], "default_language": "none", "language_override": "-"},
        ],
    }

    name = StringField()
    phones = ListField(StringField())
    emails = ListField(StringField())
    external_ids = ListField(StringField())
    opted_out = DictField()
    crm = DictField()
    merged_into = ObjectIdField()
    created_at = DateTimeField(db_field="createdAt")


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


class CallbackDocument(Document):
    """A status or recording that came before what it speaks of; kept for an hour."""

    meta = {  # noqa: RUF012
        "collection": "callbacks",
        "strict": False,
        "auto_create_index": False,
        "indexes": [
            {"name": "an_hour", "fields": ["receivedAt"], "expireAfterSeconds": 3600},
            {"name": "subject", "fields": ["about"]},
        ],
    }

    id = StringField(primary_key=True)
    about = StringField()
    kind = StringField(choices=("call_status", "recording", "dial", "message_status"))
    event = DictField()
    receivedAt = DateTimeField()  # noqa: N815 - the index names it as stored


class OutboxDocument(Document):
    """Something to be answered, sent, fetched or told; finished ones are kept for a week."""

    meta = {  # noqa: RUF012
        "collection": "outbox",
        "strict": False,
        "auto_create_index": False,
        "indexes": [
            {"name": "step_waiting", "fields": ["step", "due"], "partialFilterExpression": {"state": "waiting"}},
            {"name": "oldest", "fields": ["queued_at"], "partialFilterExpression": {"state": "waiting"}},
            {"name": "lane", "fields": ["lane", "queued_at"], "partialFilterExpression": {"state": "waiting"}},
            {"name": "contact", "fields": ["contact_id"], "partialFilterExpression": {"state": "waiting"}},
            {"name": "a_week", "fields": ["finished_at"], "expireAfterSeconds": 7 * 24 * 3600},
            {
                # Nearly empty at all times: what the console lists for somebody to retry or cancel.
                "name": "failed",
                "fields": ["-finished_at", "-_id"],
                "partialFilterExpression": {"state": "failed"},
            },
        ],
    }

    id = StringField(primary_key=True)
    step = StringField(choices=("answer", "send", "fetch", "delete", "alert"))
    about = StringField()
    state = StringField(choices=("waiting", "done", "failed", "canceled"))
    due = DateTimeField()
    owner = StringField()
    tries = IntField()
    queued_at = DateTimeField()
    lane = StringField()
    segments = IntField()
    address = DictField()
    session_id = ObjectIdField()
    contact_id = ObjectIdField()
    attempted_at = DateTimeField()
    last_attempt_at = DateTimeField()
    slot = DateTimeField()
    behind = BooleanField()
    hinted_at = DateTimeField()
    error = StringField()
    finished_at = DateTimeField()


class PaceDocument(Document):
    """When one of our numbers may send its next segment."""

    meta = {"collection": "paces", "strict": False, "auto_create_index": False}  # noqa: RUF012

    id = StringField(primary_key=True)
    free_at = DateTimeField()


class JobDocument(Document):
    """How far a job of the worker has come; `due`, `lease` and `owner` where one worker at a time does it.

    `days` are those that wait to be counted.
    """

    meta = {"collection": "jobs", "strict": False, "auto_create_index": False}  # noqa: RUF012

    id = StringField(primary_key=True)
    until = DateTimeField()
    due = DateTimeField()
    lease = DateTimeField()
    owner = StringField()
    days = ListField(DateTimeField())


class DailyCountDocument(Document):
    """What happened on a day (UTC) on a channel, in numbers; what is counted by name is kept as pairs."""

    meta = {  # noqa: RUF012
        "collection": "daily_counts",
        "strict": False,
        "auto_create_index": False,
        "indexes": [{"name": "day", "fields": ["day"]}],
    }

    id = StringField(primary_key=True)
    day = DateTimeField()
    channel_id = StringField()
    communication_type = StringField()
    counted_at = DateTimeField()
    inbound = IntField()
    bot = IntField()
    human = IntField()
    system = IntField()
    sessions = IntField()
    failed_answers = IntField()
    hours = ListField(IntField())
    decisions = ListField(ListField(DynamicField()))
    statuses = ListField(ListField(DynamicField()))
    errors = ListField(ListField(DynamicField()))
    bot_times = ListField(ListField(IntField()))
    human_times = ListField(ListField(IntField()))
    flows = ListField(ListField(DynamicField()))


class SuppressionDocument(Document):
    """The STOP of somebody who was forgotten: a slow, salted hash of who it was, and the lines of ours it is about."""

    meta = {"collection": "suppressions", "strict": False, "auto_create_index": False}  # noqa: RUF012

    id = StringField(primary_key=True)
    lines = ListField(StringField())
    at = DateTimeField()


class HeartbeatDocument(Document):
    """One process of the gateway, as it said of itself last; gone after a day of silence."""

    meta = {  # noqa: RUF012
        "collection": "heartbeats",
        "strict": False,
        "auto_create_index": False,
        "indexes": [{"name": "a_day", "fields": ["seen_at"], "expireAfterSeconds": 24 * 3600}],
    }

    id = StringField(primary_key=True)
    kind = StringField(choices=("web", "worker"))
    host = StringField()
    pid = IntField()
    version = StringField()
    started_at = DateTimeField()
    seen_at = DateTimeField()
    every_seconds = IntField()
    facts = DictField()


class InspectionDocument(Document):
    """A webhook as it came and what it was answered: every refused one, and a sample of the others."""

    meta = {  # noqa: RUF012
        "collection": "inspections",
        "strict": False,
        "auto_create_index": False,
        "indexes": [
            {"name": "newest", "fields": ["-at", "-_id"]},
            {"name": "verdict", "fields": ["verdict", "-at", "-_id"]},
            {"name": "path", "fields": ["path", "-at", "-_id"]},
            {"name": "expiry", "fields": ["expires_at"], "expireAfterSeconds": 0},
        ],
    }

    at = DateTimeField()
    expires_at = DateTimeField()
    host = StringField()
    method = StringField()
    path = StringField()
    url = StringField()
    client = StringField()
    status = IntField()
    verdict = StringField()
    signature = DictField()
    headers = ListField(ListField(StringField()))
    form = ListField(ListField(StringField()))
    omitted = DictField()
    response = StringField()
    milliseconds = FloatField()
    request_id = StringField()
    about = StringField()
    redacted = BooleanField()


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


class GapDocument(Document):
    """Pauses counted in a span of `storedAt`, from `_id` to before `until`; see `gateway.store.gaps`.

    `parts` has one entry a channel and day: `opened` and `joined` are how many pauses there are of each length in
    `opened_gaps` and `joined_gaps`.
    """

    meta = {  # noqa: RUF012
        "collection": "gaps",
        "strict": False,
        "auto_create_index": False,
        "indexes": [
            {"name": "recent", "fields": ["last_day"]},
            {"name": "to_be_checked", "fields": ["checked_at"], "partialFilterExpression": {"full": True}},
        ],
    }

    id = DateTimeField(primary_key=True)
    until = DateTimeField()
    full = BooleanField()
    messages = IntField()
    last_day = DateTimeField()
    parts = ListField(DictField())
    checked_at = DateTimeField()


# Indexes that others have replaced.
REPLACED: tuple[tuple[type[Document], str], ...] = ((SessionDocument, "listing"),)

DOCUMENTS: tuple[type[Document], ...] = (
    SessionDocument,
    MessageDocument,
    ChannelDocument,
    ContactDocument,
    UserDocument,
    AuditDocument,
    RegroupingDocument,
    CallbackDocument,
    OutboxDocument,
    PaceDocument,
    JobDocument,
    DailyCountDocument,
    SuppressionDocument,
    HeartbeatDocument,
    InspectionDocument,
    ApiKeyDocument,
    GapDocument,
)
