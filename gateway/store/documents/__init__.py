"""The documents as stored, and their indexes: the one place both are declared.

The hot path goes through `_get_collection()` with plain dictionaries, because building a Document costs more
than the rest of a webhook; names are the same, since both read them here.
"""

from mongoengine import Document

from gateway.store.documents.conversations import (
    NOT_DELETED,
    NOT_PRIVATE,
    MessageDocument,
    RegroupingDocument,
    SessionDocument,
)
from gateway.store.documents.counts import (
    DailyCountDocument,
    GapDocument,
)
from gateway.store.documents.flows import FlowRunDocument
from gateway.store.documents.imports import (
    FileDocument,
    ImportChangeDocument,
    ImportDocument,
    ImportedBatchDocument,
    RejectionDocument,
)
from gateway.store.documents.migrations import MigrationDocument
from gateway.store.documents.people import (
    ApiKeyDocument,
    ApiLimitDocument,
    AuditDocument,
    ChannelDocument,
    ContactDocument,
    MergeDocument,
    SuppressionDocument,
    UserDocument,
)
from gateway.store.documents.pointings import PointingDocument
from gateway.store.documents.subscriptions import SubscriptionDocument
from gateway.store.documents.work import (
    CallbackDocument,
    CrmEntryDocument,
    HeartbeatDocument,
    IdempotencyDocument,
    InspectionDocument,
    JobDocument,
    OutboxDocument,
    PaceDocument,
    TunnelDocument,
)

__all__ = [
    "DOCUMENTS",
    "NOT_DELETED",
    "NOT_PRIVATE",
    "RETIRED",
    "ApiKeyDocument",
    "ApiLimitDocument",
    "AuditDocument",
    "CallbackDocument",
    "ChannelDocument",
    "ContactDocument",
    "CrmEntryDocument",
    "DailyCountDocument",
    "FileDocument",
    "FlowRunDocument",
    "GapDocument",
    "HeartbeatDocument",
    "IdempotencyDocument",
    "ImportChangeDocument",
    "ImportDocument",
    "ImportedBatchDocument",
    "InspectionDocument",
    "JobDocument",
    "MergeDocument",
    "MessageDocument",
    "MigrationDocument",
    "OutboxDocument",
    "PaceDocument",
    "PointingDocument",
    "RegroupingDocument",
    "RejectionDocument",
    "SessionDocument",
    "SubscriptionDocument",
    "SuppressionDocument",
    "TunnelDocument",
    "UserDocument",
]

# Indexes that were ours before it was written down which are, and why they are not needed any more.
RETIRED: tuple[tuple[type[Document], str, str], ...] = (
    (SessionDocument, "listing", "by_type and by_channel have taken its place"),
    (OutboxDocument, "waiting", "step_waiting has taken its place"),
    (OutboxDocument, "oldest", "oldest_by_step has taken its place"),
    (OutboxDocument, "failed", "failed_by_step has taken its place"),
)

DOCUMENTS: tuple[type[Document], ...] = (
    SessionDocument,
    MessageDocument,
    ChannelDocument,
    ContactDocument,
    MergeDocument,
    UserDocument,
    AuditDocument,
    RegroupingDocument,
    CallbackDocument,
    OutboxDocument,
    CrmEntryDocument,
    PaceDocument,
    IdempotencyDocument,
    JobDocument,
    DailyCountDocument,
    SuppressionDocument,
    HeartbeatDocument,
    TunnelDocument,
    InspectionDocument,
    SubscriptionDocument,
    ApiKeyDocument,
    ApiLimitDocument,
    GapDocument,
    ImportDocument,
    RejectionDocument,
    ImportedBatchDocument,
    ImportChangeDocument,
    FileDocument,
    FlowRunDocument,
    MigrationDocument,
    PointingDocument,
)
