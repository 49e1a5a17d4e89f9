"""Ids for what other programs hold: their own where that is one anywhere, else always the same one for the same."""

import hashlib
import re

OBJECT_ID = re.compile(r"[0-9a-f]{24}")
_UUID = re.compile(r"[0-9a-fA-F]{8}(-?[0-9a-fA-F]{4}){3}-?[0-9a-fA-F]{12}")
_SID = r"[A-Z]{2}[0-9a-f]{32}(:\d+)?"
_UNIQUE = re.compile(f"{_UUID.pattern}|{OBJECT_ID.pattern}|{_SID}")


def session_id(ref: str, person: str) -> str:
    """Give a session's id here: its own where it is one of MongoDB's, else always the same one for it."""
    if OBJECT_ID.fullmatch(ref):
        return ref
    # Every program counts from 1, so a number alone is no name: two of them may be brought in here.
    return _digest("session", ref, "" if _UUID.fullmatch(ref) else person)[:24]


def person_id(ref: str) -> str:
    """Give a person's id here: their own where it is one of MongoDB's, else always the same one for it."""
    return ref if OBJECT_ID.fullmatch(ref) else _digest("person", ref)[:24]


def message_id(own: str, *said: str) -> str:
    """Give a message's id here: its own where nothing else in the world has it, else one made of all it says."""
    if _UNIQUE.fullmatch(own):
        return own
    return f"import:{_digest(own, *said)[:32]}"


def _digest(*parts: str) -> str:
    return hashlib.sha256("\0".join(parts).encode(errors="surrogatepass")).hexdigest()
