"""Files that are imported: how far each is, and the rows of it that were not taken."""

from mongoengine import Document
from mongoengine.fields import (
    BinaryField,
    BooleanField,
    DateTimeField,
    DictField,
    FloatField,
    IntField,
    ListField,
    ObjectIdField,
    StringField,
)


class ImportDocument(Document):
    """One import, kept for two years. `unfinished` is there, with the moment it was ordered, until it ends.

    `offset` and `rows` say how far the file was read, and everything counted is true of exactly so much. `intent` is
    what of the next batch was here before the first attempt at it. `channels` are pairs: theirs, ours. `options` say
    how another program's source is read; `fingerprint` names its rows, for a source that changed is another one.
    `sources` are the files it was read from, `undone` what was taken back of it. `undoing` is there while it is.
    `in_place` is there where it takes over what lies in this database: how far that is, and what the backup holds.
    A consolidation is one too, of the layout `consolidation`: `consolidated` is what it came to, and `offset` how much
    of what is here it looked at.
    """

    meta = {  # noqa: RUF012
        "collection": "imports",
        "strict": False,
        "auto_create_index": False,
        "indexes": [
            {
                # Nearly empty at all times: what workers look for every few seconds.
                "name": "unfinished",
                "fields": ["unfinished"],
                "partialFilterExpression": {"unfinished": {"$exists": True}},
            },
            {
                # Nearly empty at all times: nothing is imported while something is taken back.
                "name": "undoing",
                "fields": ["undoing"],
                "partialFilterExpression": {"undoing": {"$exists": True}},
            },
            {"name": "two_years", "fields": ["finished_at"], "expireAfterSeconds": 2 * 365 * 24 * 3600},
        ],
    }

    state = StringField(choices=("uploading", "queued", "running", "done", "failed", "canceled"))
    layout = StringField()
    file_name = StringField()
    place = StringField()
    options = DictField()
    fingerprint = StringField()
    people = IntField()
    size = IntField()
    by = StringField()
    created_at = DateTimeField(db_field="createdAt")
    started_at = DateTimeField()
    finished_at = DateTimeField()
    unfinished = DateTimeField()
    owner = StringField()
    lease = DateTimeField()
    offset = IntField()
    rows = IntField()
    seconds = FloatField()
    tally = DictField()
    problems = ListField(StringField())
    complete = BooleanField()
    error = StringField()
    intent = DictField()
    channels = ListField(ListField(StringField()))
    days = ListField(DateTimeField())
    oldest_stored = DateTimeField()
    sources = ListField(StringField())
    undoing_since = DateTimeField()
    undone_at = DateTimeField()
    undone = DictField()
    undoing = DateTimeField()
    in_place = DictField()
    consolidated = DictField()


class RejectionDocument(Document):
    """A row of a file that was not taken, and why; kept for thirty days, since it holds what people wrote."""

    meta = {  # noqa: RUF012
        "collection": "import_rejections",
        "strict": False,
        "auto_create_index": False,
        "indexes": [
            {"name": "of_import", "fields": ["import_id", "row"]},
            {"name": "thirty_days", "fields": ["at"], "expireAfterSeconds": 30 * 24 * 3600},
        ],
    }

    id = StringField(primary_key=True)
    import_id = ObjectIdField()
    row = IntField()
    place = StringField()
    reason = StringField()
    text = StringField()
    at = DateTimeField()


class ImportedBatchDocument(Document):
    """Which sessions and messages a batch brought, with a digest of each message: what they are compared with later.

    `brought` is compressed JSON: a million messages take some 30 MB.
    """

    meta = {  # noqa: RUF012
        "collection": "import_batches",
        "strict": False,
        "auto_create_index": False,
        "indexes": [
            {"name": "of_import", "fields": ["import_id", "rows"]},
            {"name": "two_years", "fields": ["at"], "expireAfterSeconds": 2 * 365 * 24 * 3600},
        ],
    }

    id = StringField(primary_key=True)
    import_id = ObjectIdField()
    rows = IntField()
    brought = BinaryField()
    at = DateTimeField()


class ImportChangeDocument(Document):
    """How something was that was here before an import changed it; noted before that, and gone once it is restored.

    `_id` is import:kind:what it is about, which is how they are paged through.
    `kind` says what: the counts of a session, what a session is opted out of, what a contact is known by and opted
    out of, or what it is at a CRM. Of a consolidation: people and sessions that were made one (`ref` is what stayed),
    and messages that were taken out (`removed:` and the message's id; `mark` is the merge that brought it).
    It goes when the contact is forgotten, or the session deleted.
    """

    meta = {  # noqa: RUF012
        "collection": "import_changes",
        "strict": False,
        "auto_create_index": False,
        "indexes": [
            {"name": "about", "fields": ["ref"]},
            {"name": "two_years", "fields": ["at"], "expireAfterSeconds": 2 * 365 * 24 * 3600},
        ],
    }

    id = StringField(primary_key=True)
    import_id = ObjectIdField()
    kind = StringField(choices=("counts", "opted_out", "contact", "crm", "people", "sessions", "removed"))
    ref = ObjectIdField()
    before = DictField()
    absent = ListField(StringField())
    added = DictField()
    lines = DictField()
    state = StringField(choices=("begun", "planned", "done"))
    removed = IntField()
    imports = ListField(ObjectIdField())
    dropped = ListField(DictField())
    mark = StringField()
    at = DateTimeField()


class FileDocument(Document):
    """A file that somebody sent, as GridFS keeps it; only what an import brought has more."""

    meta = {  # noqa: RUF012
        "collection": "media.files",
        "strict": False,
        "auto_create_index": False,
        "indexes": [
            {
                # Only what an import brought: what is taken back with it.
                "name": "imported",
                "fields": ["import_id"],
                "partialFilterExpression": {"import_id": {"$exists": True}},
            },
        ],
    }

    id = StringField(primary_key=True)
    import_id = ObjectIdField()
