"""What makes tests quick without changing what they see."""

import functools
import os
import sys
import threading
from collections.abc import Mapping
from importlib.metadata import EntryPoints, entry_points
from pathlib import Path
from typing import Any

from argon2 import PasswordHasher
from jinja2 import BytecodeCache
from jinja2.bccache import Bucket
from werkzeug.routing.rules import Rule, RulePart

from gateway import jobs, responders
from gateway.api.documentation import Documented
from gateway.core.flows import Flow
from gateway.responders import flow_files
from gateway.routes import Route
from gateway.settings import Settings
from gateway.store import users


class Compiled(BytecodeCache):
    """Compiled templates, kept in memory: each app would compile them again."""

    def __init__(self) -> None:
        self._kept: dict[str, bytes] = {}

    def load_bytecode(self, bucket: Bucket) -> None:
        if kept := self._kept.get(bucket.key):
            bucket.bytecode_from_string(kept)

    def dump_bytecode(self, bucket: Bucket) -> None:
        self._kept[bucket.key] = bucket.bytecode_to_string()


@functools.cache
def _installed(_path: tuple[str, ...], group: str) -> EntryPoints:
    return entry_points(group=group)


def _entry_points(group: str) -> EntryPoints:
    """Find entry points once for as long as libraries come from the same places; each app looks through them all."""
    return _installed(tuple(sys.path), group)


_PARSED: dict[str, tuple[list[RulePart], Route]] = {}


def _parse_rule(self: Route, rule: str) -> list[RulePart]:
    """Take a rule apart once: each app has the same, and it is a third of making one."""
    if rule not in _PARSED:
        alone = Route(rule)
        alone.map, alone._trace, alone._converters = self.map, [], {}
        _PARSED[rule] = (list(Rule._parse_rule(alone, rule)), alone)
    parts, parsed = _PARSED[rule]
    self._trace += parsed._trace
    self._converters |= parsed._converters
    self.arguments |= parsed.arguments
    return parts


_FLOWS: dict[Any, Mapping[str, Flow]] = {}


def _load_flows(settings: Settings, *, load: Any = flow_files.load) -> Mapping[str, Flow]:
    """Read a folder of flows once for as long as its files are the same."""
    files = ((path, path.stat().st_mtime_ns, path.stat().st_size) for path in settings.flow_folder.glob("*.toml"))
    key = (tuple(sorted(files)), settings.flow.folder, settings.reply.timezone, Path.cwd())
    if key not in _FLOWS:
        _FLOWS[key] = load(settings)
    return dict(_FLOWS[key])


def take() -> None:
    """Take the shortcuts that hold for the whole run."""
    Route._parse_rule = _parse_rule  # type: ignore[method-assign]
    flow_files.load = _load_flows
    responders.entry_points = _entry_points
    Documented.jinja_options = {"bytecode_cache": Compiled()}
    # A password is hashed to take a thief long, which every login of a test would wait for.
    users.PasswordHasher = functools.partial(PasswordHasher, time_cost=1, memory_cost=8, parallelism=1)
    # The gateways that tests start would compile every module again where Python is told to keep nothing.
    sys.dont_write_bytecode = False
    os.environ.pop("PYTHONDONTWRITEBYTECODE", None)


def jobs_at_work() -> list[threading.Thread]:
    """Find the threads that repeat something for an app or a worker."""
    return [thread for thread in threading.enumerate() if getattr(thread, "_target", None) is jobs.repeat]


def empty(database: Any) -> None:
    """Delete all documents. Asks once which collections have some: most tests use few of two dozen."""
    names = database.list_collection_names()
    if not names:
        return
    one = {name: [{"$limit": 1}, {"$project": {"_id": 0, "name": {"$literal": name}}}] for name in names}
    first, *others = names
    unions = [{"$unionWith": {"coll": name, "pipeline": one[name]}} for name in others]
    for found in list(database[first].aggregate([*one[first], *unions])):
        database[found["name"]].delete_many({})
