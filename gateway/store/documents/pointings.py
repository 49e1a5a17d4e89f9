"""What our numbers called before they were pointed here."""

from mongoengine import Document
from mongoengine.fields import DateTimeField, DictField, IntField, StringField


class PointingDocument(Document):
    """A number or WhatsApp sender by its SID at the provider, and what is to be put back there (core.pointing).

    `before` and `written` of each layer are by field; `version` grows with every change.
    """

    meta = {  # noqa: RUF012
        "collection": "pointings",
        "strict": False,
        "auto_create_index": False,
        # Few at all times: what is to be put back, in the order it is listed.
        "indexes": [{"name": "pointed", "fields": ["address"], "partialFilterExpression": {"state": "pointed"}}],
    }

    id = StringField(primary_key=True)
    account_sid = StringField()
    address = StringField()
    lasting = DictField()
    passing = DictField()
    state = StringField(choices=("pointed", "restored"))
    version = IntField()
    at = DateTimeField()
    by = StringField()
