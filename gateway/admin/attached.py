"""How the files of a message are shown: played on the page, linked, or told why they are not there."""

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlsplit

from gateway.admin import wording
from gateway.core.files import kind
from gateway.store import media


@dataclass(frozen=True, slots=True)
class Attached:
    """One file. `shown` is image, audio, video, text or file; link, of ours; else missing, and `why` says why."""

    number: int
    shown: str
    words: str
    name: str = ""
    size: str = ""
    url: str = ""
    why: str = ""


def of(message: Mapping[str, Any], *, at_provider: bool) -> Iterator[Attached]:
    """Show the files of a message as stored; `at_provider` says that files stay there and can be had on demand."""
    for number, entry in enumerate(message.get("media") or ()):
        if message.get("direction") == "outbound":
            yield _sent(number, str(entry.get("url") or ""))
        else:
            file = media.read(str(message["_id"]), number, entry)
            yield _received(file, wording.medium(file.content_type, entry.get("duration_seconds")), at_provider)


def _sent(number: int, url: str) -> Attached:
    """Show a file we sent: it lies somewhere in the net, so it is named and never loaded."""
    try:
        is_web = urlsplit(url).scheme in ("http", "https")
    except ValueError:
        is_web = False
    return Attached(number, "link", "File", name=url, url=url if is_web else "")


def _received(file: media.File, words: str, at_provider: bool) -> Attached:
    if file.refused:
        why = wording.REFUSED.get(file.refused, "was not taken")
        return Attached(file.number, "missing", words, why=f"{why}. {file.reason}" if file.reason else why)
    if file.file_id:
        return Attached(file.number, kind(file.content_type), words, file.filename, wording.size(file.size))
    if at_provider and file.is_open:
        return Attached(file.number, kind(file.content_type), words)
    return Attached(file.number, "missing", words, why="is being fetched")
