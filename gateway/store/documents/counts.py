"""What is counted beside the messages, so that no page has to read them all."""

from mongoengine import Document
from mongoengine.fields import (
    BooleanField,
    DateTimeField,
    DictField,
    DynamicField,
    IntField,
    ListField,
    StringField,
)


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
