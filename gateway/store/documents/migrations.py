"""What was done to the documents of older versions, and the indexes that were made."""

from mongoengine import Document
from mongoengine.fields import DateTimeField, DictField, DynamicField, IntField, ListField, StringField


class MigrationDocument(Document):
    """A migration by its number: who runs or ran it, when, and how far it is. Read by `_id` alone.

    `after` is the last document of the last batch. Under `indexes` it is kept which indexes are ours: `made` names
    them by collection, with the version of the gateway that declared them last.
    """

    meta = {"collection": "migrations", "strict": False, "auto_create_index": False}  # noqa: RUF012

    id = DynamicField(primary_key=True)
    name = StringField()
    state = StringField(choices=("outstanding", "running", "done"))
    by = StringField()
    version = StringField()
    started_at = DateTimeField()
    finished_at = DateTimeField()
    after = DynamicField()
    seen = IntField()
    changed = IntField()
    problems = ListField(StringField())
    owner = StringField()
    lease = DateTimeField()
    made = DictField()
