"""Moments in an address: where a page of something begins, to the millisecond."""

from datetime import datetime

from flask import abort

from gateway.core.times import epoch_ms, from_epoch_ms


def write(moment: datetime) -> str:
    """Write a moment for an address."""
    return str(epoch_ms(moment))


def read(written: str | None) -> datetime | None:
    """Read it back; None where nothing is written, 400 for what is no moment of ours."""
    if not written:
        return None
    if not written.isdecimal() or len(written) > 14:
        abort(400, "This address names no moment. Start again from the newest.")
    return from_epoch_ms(int(written))
