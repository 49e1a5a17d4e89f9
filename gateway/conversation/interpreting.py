"""Records of another program read into rows of a stage: nothing is asked, so a second process may do it."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

import orjson

from gateway.conversation.layouts import people
from gateway.conversation.layouts.reading import PEOPLE, SESSIONS, Reading, Tables
from gateway.core.checking import BadRow
from gateway.core.foreign import Person, Talk, Utterance
from gateway.core.imported import future
from gateway.core.optout import Keyword, keyword
from gateway.core.times import epoch_ms, parse_moment

# How a record goes from one process to another: its place, its fields, its problem, and how it is written.
Plain = tuple[str, Mapping[str, Any], str, str]
Row = tuple[Any, ...]

# The columns of a stage that rows are of, as they are in these.
_WRITTEN = ("document", "place", "text")
OF_SESSIONS = ("ref", "kind", "ours", "person", "channel", "previous", "is_open", "first", "last", *_WRITTEN)
OF_MESSAGES = ("id", "ref", "at", "outbound", "kind", "ours", "person", "channel", "says", *_WRITTEN)
OF_PEOPLE = ("ref", "id", "phones", *_WRITTEN)
OF_REJECTED = ("place", "reason", "text")


@dataclass(frozen=True, slots=True)
class Interpreter:
    """How records of one table are read. What lies after `now` is not taken."""

    layout: Tables
    role: str
    reading: Reading
    now: datetime

    def __reduce__(self) -> tuple[Any, ...]:
        return Interpreter, (self.layout, self.role, self.reading, self.now)


@dataclass(slots=True)
class Interpreted:
    """Rows for the stage; a session that comes with each of its messages is there once."""

    sessions: list[Row] = field(default_factory=list)
    messages: list[Row] = field(default_factory=list)
    people: list[Row] = field(default_factory=list)
    rejected: list[Row] = field(default_factory=list)


def ready() -> bool:
    """Answer that this module is loaded."""
    return True


def interpret(by: Interpreter, records: Sequence[Plain]) -> Interpreted:
    """Read records; what is wrong with one is said in a row of its own."""
    done, named = Interpreted(), set[str]()
    is_session = by.role == SESSIONS
    for place, fields, problem, text in records:
        if problem:
            done.rejected.append((place, problem, text))
            continue
        try:
            if by.role == PEOPLE:
                done.people.append(_person(people.read(fields, by.reading), place, text))
                continue
            for found in by.layout.read(by.role, fields, by.reading):
                match found:
                    case Utterance():
                        _utterance(done, found, by.now, place, text)
                    case Talk(ref) if is_session or ref not in named:
                        named.add(ref)
                        done.sessions.append(_talk(found, place, text if is_session else ""))
                    case BadRow():
                        done.rejected.append((place, str(found), text))
        except BadRow as error:
            done.rejected.append((place, str(error), text))
    return done


def _person(person: Person, place: str, text: str) -> Row:
    return (person.ref, person.id, orjson.dumps(person.phones), orjson.dumps(person.document), place, text)


def _talk(talk: Talk, place: str, text: str) -> Row:
    began = talk.document.get("createdAt") or talk.document.get("last_message_at")
    moment = epoch_ms(parse_moment(began)) if began else None
    is_open = talk.document.get("status") == "active"
    named = (talk.ref, talk.kind, talk.ours, talk.person, talk.channel, talk.previous)
    return (*named, is_open, moment, moment, orjson.dumps(talk.document), place, text)


def _utterance(done: Interpreted, said: Utterance, now: datetime, place: str, text: str) -> None:
    if ahead := future(now, {"createdAt": said.at}, "createdAt"):
        done.rejected.append((place, ahead, text))
        return
    named = (said.kind, said.ours, said.person, said.channel)
    spoken = (said.id, said.ref, epoch_ms(said.at), not said.inbound, *named, _says(said))
    done.messages.append((*spoken, orjson.dumps(said.document), place, text))


def _says(said: Utterance) -> str:
    """Tell whether somebody says STOP or START."""
    word = keyword(said.document["content"]) if said.inbound else None
    return str(word) if word in (Keyword.STOP, Keyword.START) else ""
