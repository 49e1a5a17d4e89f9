"""Files that people send: fetched from the provider by the worker, kept, and read again.

Each file is settled by itself, kept or refused, so that a crash repeats one at most.
"""

import io
from datetime import timedelta

from gateway.channels import voice
from gateway.conversation import queue
from gateway.conversation.release import finish, pause, postpone
from gateway.conversation.runtime import Runtime
from gateway.core.fetching import Fetched, MediaFailed, MediaNotThere, MediaRefused, Opened
from gateway.core.messages import VOICE
from gateway.logs import log
from gateway.store import media, outbox
from gateway.store.connection import deadline
from gateway.store.media import File, Parcel
from gateway.store.outbox import Row

# A file of up to some ten megabytes goes into MongoDB in pieces; a claim lasts longer than this.
KEEP_SECONDS = 20

# How long to wait before asking again for what is not there. Twilio calls before a recording is ready.
NOT_THERE_YET = (1, 3)
RECORDING_NOT_THERE_YET = (1, 3, 10, 30, 60, 300)

# Deleting a recording before its transcription breaks that (Twilio's error 13618); it comes within minutes or never.
TRANSCRIBED_AFTER = timedelta(hours=1)


def fetch(runtime: Runtime, row: Row) -> None:
    """Fetch the files of a message that are not settled yet; what fails is tried again later."""
    with deadline():
        parcel = media.of(row.about)
    if parcel is None:
        _finish(runtime, row)
        return
    waits = [wait for file in parcel.files if file.is_open and (wait := _fetch_one(runtime, row, parcel, file))]
    if waits:
        postpone(runtime, row, runtime.clock.now() + min(waits), failed="Not all files came.")
        return
    if runtime.settings.media.delete_at_twilio:
        _queue_deletion(runtime, row, parcel)
    _finish(runtime, row)


def _fetch_one(runtime: Runtime, row: Row, parcel: Parcel, file: File) -> timedelta | None:
    """Settle one file; where that is not possible yet, give how long to wait."""
    try:
        fetched = runtime.sender.fetch(_address(parcel, file))
    except MediaRefused as refusal:
        _refuse(file, refusal.reason, str(refusal))
        return None
    except MediaNotThere as missing:
        waits = RECORDING_NOT_THERE_YET if parcel.communication_type == VOICE else NOT_THERE_YET
        if row.tries > len(waits):
            _refuse(file, "not_there", str(missing))
            return None
        return timedelta(seconds=waits[row.tries - 1])
    except MediaFailed as failure:
        if row.tries >= runtime.settings.outbox.max_tries:
            _refuse(file, "failed", str(failure))
            return None
        log.warning("media_deferred", message_id=file.message_id, number=file.number, message=str(failure)[:300])
        return pause(row.tries)
    _keep(file, fetched)
    return None


def _address(parcel: Parcel, file: File) -> str:
    return voice.playable(file.url) if parcel.communication_type == VOICE else file.url


def _keep(file: File, fetched: Fetched) -> None:
    with deadline(KEEP_SECONDS):
        kept = media.keep(file, fetched)
    if kept:
        facts = {"content_type": fetched.content_type, "bytes": len(fetched.content)}
        log.info("media_stored", message_id=file.message_id, number=file.number, **facts)


def _refuse(file: File, refused: str, reason: str) -> None:
    with deadline():
        media.refuse(file, refused, reason[:500])
    facts = {"reason": refused, "message": reason[:300]}
    log.warning("media_refused", message_id=file.message_id, number=file.number, **facts)


def _finish(runtime: Runtime, row: Row) -> None:
    with deadline():
        finish(runtime, row, outbox.DONE)


def give_up(runtime: Runtime, row: Row, error: str) -> None:
    """Leave files where they are that could not be fetched."""
    with deadline():
        parcel = media.of(row.about)
    for file in parcel.files if parcel else ():
        if file.is_open:
            _refuse(file, "failed", error)
    with deadline():
        finish(runtime, row, outbox.FAILED, error=error)


def _queue_deletion(runtime: Runtime, row: Row, parcel: Parcel) -> None:
    awaits_words = parcel.communication_type == VOICE and runtime.settings.voice.transcribe
    due = max(runtime.clock.now(), parcel.at + TRANSCRIBED_AFTER) if awaits_words else runtime.clock.now()
    with deadline():
        queue.deletion(runtime, parcel.session_id, row.about, due)


def delete(runtime: Runtime, row: Row) -> None:
    """Delete at the provider the files of a message that are kept here; what fails is tried again later."""
    with deadline():
        parcel = media.of(row.about)
    try:
        for file in parcel.files if parcel else ():
            if parcel and file.file_id and not file.deleted:
                _delete_one(runtime, parcel, file)
    except MediaFailed as failure:
        _delete_later(runtime, row, str(failure))
        return
    _finish(runtime, row)


def _delete_one(runtime: Runtime, parcel: Parcel, file: File) -> None:
    runtime.sender.delete(_address(parcel, file))
    with deadline():
        media.note_deleted(file)
    log.info("media_deleted", message_id=file.message_id, number=file.number)


def _delete_later(runtime: Runtime, row: Row, failure: str) -> None:
    if row.tries >= runtime.settings.outbox.max_tries:
        leave(runtime, row, failure)
        return
    postpone(runtime, row, runtime.clock.now() + pause(row.tries), failed=failure)


def leave(runtime: Runtime, row: Row, error: str) -> None:
    """Leave files at the provider that could not be deleted there; somebody must know."""
    with deadline():
        finish(runtime, row, outbox.FAILED, error=error[:500])
    log.error("media_not_deleted", message_id=row.about, message=error[:300])


def read(runtime: Runtime, message_id: str, number: int) -> Opened | None:
    """Open a file of a message to be read; None where there is none, or it was refused.

    Where files stay at the provider it is fetched now: then raises MediaRefused, MediaNotThere or MediaFailed.
    """
    with deadline():
        parcel = media.of(message_id)
        if parcel is None or number >= len(parcel.files):
            return None
        file = parcel.files[number]
        if file.file_id:
            kept = media.open_stored(file)
            return Opened(file.content_type, file.size, kept, file.filename, file.sha256) if kept else None
    if not file.is_open or runtime.settings.media.keep != "twilio":
        return None
    fetched = runtime.sender.fetch(_address(parcel, file))
    content, name = fetched.content, fetched.filename or ""
    return Opened(fetched.content_type, len(content), io.BytesIO(content), name, tag=f"{message_id}-{number}")
