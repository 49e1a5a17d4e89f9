"""What is to be done, what came too early, and what processes say of themselves."""

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


class OutboxDocument(Document):
    """Something to be answered, sent, fetched or told; finished ones are kept for a week.

    The row of a CRM is a contact's: `sessions` are those to be told of, all with `whole`; `asked` counts who wanted it.
    """

    meta = {  # noqa: RUF012
        "collection": "outbox",
        "strict": False,
        "auto_create_index": False,
        "indexes": [
            {"name": "step_waiting", "fields": ["step", "due"], "partialFilterExpression": {"state": "waiting"}},
            # By step, so that events for a program that has been away for days stand in nobody's way.
            {
                "name": "oldest_by_step",
                "fields": ["step", "queued_at"],
                "partialFilterExpression": {"state": "waiting"},
            },
            {"name": "lane", "fields": ["lane", "queued_at"], "partialFilterExpression": {"state": "waiting"}},
            {"name": "contact", "fields": ["contact_id"], "partialFilterExpression": {"state": "waiting"}},
            {"name": "a_week", "fields": ["finished_at"], "expireAfterSeconds": 7 * 24 * 3600},
            {
                # Nearly empty at all times but for events: what the console lists for somebody to retry or cancel.
                "name": "failed_by_step",
                "fields": ["step", "-finished_at", "-_id"],
                "partialFilterExpression": {"state": "failed"},
            },
            # The rest hold nothing but events: the next one of a subscription, its newest, and those that are too old.
            {
                "name": "next_event",
                "fields": ["subscription", "state", "due"],
                "partialFilterExpression": {"subscription": {"$exists": True}, "state": "waiting"},
            },
            {
                "name": "events",
                "fields": ["subscription", "state", "-queued_at", "-_id"],
                "partialFilterExpression": {"subscription": {"$exists": True}},
            },
            {
                "name": "event_too_old",
                "fields": ["give_up_at"],
                "partialFilterExpression": {"give_up_at": {"$exists": True}, "state": "waiting"},
            },
        ],
    }

    id = StringField(primary_key=True)
    step = StringField(choices=("answer", "send", "fetch", "delete", "alert", "flow", "event", "crm"))
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
    subscription = StringField()
    event = DictField()
    give_up_at = DateTimeField()
    response = DictField()
    sessions = ListField(ObjectIdField())
    whole = BooleanField()
    asked = IntField()


class CrmEntryDocument(Document):
    """A part of a session as one entry of a CRM's: written down before the CRM is told, so that it is told once.

    `number` counts the entries of a session. While it is `pending` nobody knows whether the CRM has it.
    """

    meta = {  # noqa: RUF012
        "collection": "crm_entries",
        "strict": False,
        "auto_create_index": False,
        "indexes": [
            # The newest of a session, and all of the sessions that are deleted.
            {"name": "session", "fields": ["session_id", "-number"]},
            {
                # Few at all times: what was begun for a person.
                "name": "pending",
                "fields": ["contact_id"],
                "partialFilterExpression": {"state": "pending"},
            },
        ],
    }

    id = StringField(primary_key=True)
    provider = StringField()
    session_id = ObjectIdField()
    contact_id = ObjectIdField()
    number = IntField()
    key = StringField()
    communication_type = StringField()
    messages = ListField(DynamicField())
    state = StringField(choices=("pending", "done"))
    remote_id = StringField()
    createdAt = DateTimeField()  # noqa: N815


class IdempotencyDocument(Document):
    """A request that was made under a key of its sender's choice, and what was answered; kept for a day."""

    meta = {  # noqa: RUF012
        "collection": "idempotency",
        "strict": False,
        "auto_create_index": False,
        "indexes": [{"name": "a_day", "fields": ["createdAt"], "expireAfterSeconds": 24 * 3600}],
    }

    id = StringField(primary_key=True)
    fingerprint = StringField()
    message_id = StringField()
    answer = DictField()
    createdAt = DateTimeField()  # noqa: N815 - the index names it as stored


class PaceDocument(Document):
    """When one of our numbers may send its next segment."""

    meta = {"collection": "paces", "strict": False, "auto_create_index": False}  # noqa: RUF012

    id = StringField(primary_key=True)
    free_at = DateTimeField()


class JobDocument(Document):
    """How far a job of the worker has come; `due`, `lease` and `owner` where one worker at a time does it.

    `days` are those that wait to be counted; `place` is where in MongoDB's changes a job goes on.
    """

    meta = {"collection": "jobs", "strict": False, "auto_create_index": False}  # noqa: RUF012

    id = StringField(primary_key=True)
    until = DateTimeField()
    due = DateTimeField()
    lease = DateTimeField()
    owner = StringField()
    days = ListField(DateTimeField())
    place = DictField()


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


class TunnelDocument(Document):
    """The tunnel of the gateways of an environment, which is its `_id`; only ever asked for by that."""

    meta = {"collection": "tunnels", "strict": False, "auto_create_index": False}  # noqa: RUF012

    id = StringField(primary_key=True)
    url = StringField()
    owner = StringField()
    host = StringField()
    pid = IntField()
    until = DateTimeField()


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
