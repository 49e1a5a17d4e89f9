"""This host's spool: whether it would keep what arrives while MongoDB is away, and what is in it.

Only what is there is opened: a file made by somebody else than the gateway's user would be one it cannot write.
"""

import os
import shutil
from collections.abc import Callable, Iterator
from datetime import datetime
from pathlib import Path

from gateway.conversation.doctor.findings import Finding, Mend, Patient, ok, warning, wrong
from gateway.core.errors import SpoolUnavailable
from gateway.core.times import ms_between, spoken
from gateway.store.spool import Depth, Spool

# A disk that is fuller than this is filled by less than an outage.
FREE_BYTES = 200_000_000


def spool_keeps(patient: Patient) -> Iterator[Finding]:
    """Check that the spool can be written, and what waits in it."""
    configured = patient.settings
    spool = Spool(configured.spool_dir, max_bytes=configured.spool.max_bytes)
    closed = _closed(spool)
    if closed:
        yield closed
        return
    try:
        depth = _depth(spool)
    except SpoolUnavailable as error:
        yield wrong(f"The spool cannot be written: {error}.", "Free its disk, or set GATEWAY_SPOOL__DIR.")
        return
    finally:
        spool.close()
    yield from judged(depth, spool.path, patient.clock.now())
    yield from _room(spool.folder)


def _closed(spool: Spool) -> Finding | None:
    """Say what of the spool is closed to us; None where all is open, or can be made."""
    folder = spool.folder
    while not folder.exists():
        folder = folder.parent
    for place in (folder, spool.path):
        if place.exists() and not os.access(place, os.R_OK | os.W_OK | (os.X_OK if place.is_dir() else 0)):
            return _refused(place, ours=place in (spool.folder, spool.path) and place.stat().st_uid == os.geteuid())
    return None


def _refused(place: Path, *, ours: bool) -> Finding:
    if ours:
        command = f"chmod u+rw{'x' if place.is_dir() else ''} {place}"
        mend = Mend("Open the spool to its owner", (command,), _opened(place))
        return wrong(f"{place} is ours and not writable.", "Make it writable for its owner.", mend=mend)
    return wrong(
        f"{place} is not writable for {_user()}, so nothing could be kept while MongoDB is away.",
        "Run the doctor as the user the gateway runs as; if that is this one, give it the folder (chown), or set "
        "GATEWAY_SPOOL__DIR.",
    )


def _user() -> str:
    import pwd

    try:
        return pwd.getpwuid(os.geteuid()).pw_name
    except KeyError:
        return f"user {os.geteuid()}"


def _opened(place: Path) -> Callable[[], str]:
    def apply() -> str:
        place.chmod(0o700 if place.is_dir() else 0o600)
        return f"Done: {place} is writable."

    return apply


def _depth(spool: Spool) -> Depth | None:
    """Count what is in the spool; None where there is none yet."""
    if not spool.path.exists():
        return None
    spool.prove_writable()
    return spool.depth()


def judged(depth: Depth | None, path: Path, now: datetime) -> Iterator[Finding]:
    """Say what the spool holds."""
    if depth is None:
        yield ok(f"{path} can be made; nothing had to be kept yet.")
        return
    if depth.set_aside:
        yield wrong(
            f"{depth.set_aside:,} event{'s' if depth.set_aside > 1 else ''} in the spool could not be filed.",
            "`gateway spool list` says why, `gateway spool retry` tries again.",
        )
    if depth.waiting and depth.oldest:
        waited = spoken(max(0, ms_between(depth.oldest, now)) // 1000 * 1000)
        yield warning(
            f"{depth.waiting:,} event{'s' if depth.waiting > 1 else ''} wait{'s' if depth.waiting == 1 else ''} in "
            f"{path}, the oldest for {waited}.",
            "They are filed as soon as MongoDB takes writes and a gateway runs on this host (docs/outages.md).",
        )
    elif not depth.set_aside:
        yield ok(f"{path} is writable and empty.")


def _room(folder: Path) -> Iterator[Finding]:
    if folder.exists() and (free := shutil.disk_usage(folder).free) < FREE_BYTES:
        yield warning(
            f"The disk of {folder} has {free / 1e6:,.0f} MB left, which an outage would fill.",
            "Free some of it, or set GATEWAY_SPOOL__DIR.",
        )
