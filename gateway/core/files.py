"""What browsers may show of what people send: everything else is only ever saved."""

from typing import Literal

Kind = Literal["image", "audio", "video", "text", "file"]

# No SVG, HTML or PDF: those may hold scripts or forms, and would run with the console's cookies.
IMAGES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp"})


def kind(content_type: str) -> Kind:
    """Say how a browser may show a file of this type; `file` is not shown at all."""
    if content_type in IMAGES:
        return "image"
    if content_type == "text/plain":
        return "text"
    if content_type.startswith("audio/"):
        return "audio"
    return "video" if content_type.startswith("video/") else "file"
