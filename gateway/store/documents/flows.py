"""What became of flows, one document a run."""

from mongoengine import Document
from mongoengine.fields import (
    DateTimeField,
    DictField,
    IntField,
    ListField,
    ObjectIdField,
    StringField,
)


class FlowRunDocument(Document):
    """A flow somebody went through: which steps they came to and when, and how it ended.

    `opening`, `values` and `completions` are what the worker needs of it; they go when the person is forgotten.
    """

    meta = {  # noqa: RUF012
        "collection": "flow_runs",
        "strict": False,
        "auto_create_index": False,
        "indexes": [
            # The charts: runs by when they began.
            {"name": "begun", "fields": ["started_at", "channel_id"]},
            # What a session's page shows, and what goes when a session or a person does.
            {"name": "session", "fields": ["session_id", "-started_at"]},
        ],
    }

    id = StringField(primary_key=True)
    flow = StringField()
    version = IntField()
    session_id = ObjectIdField()
    channel_id = StringField()
    communication_type = StringField()
    contact_id = ObjectIdField()
    started_at = DateTimeField()
    opening = StringField()
    steps = ListField(DictField())
    outcome = StringField()
    last_step = StringField()
    ended_at = DateTimeField()
    values = DictField()
    completions = ListField(DictField())
