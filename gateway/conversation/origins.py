"""Where an import comes from: a file of ours, files or a database of another program, or what was uploaded."""

import contextlib
import hashlib
import io
import socket
from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any, BinaryIO

from gateway.conversation import sources
from gateway.conversation.layouts import BEGINNING, OWN, TABLES, BadFile, choose, is_own
from gateway.conversation.runtime import Runtime
from gateway.conversation.sources import Record, Table
from gateway.conversation.staging import Options, Plan, put_in_order
from gateway.core.sessions import Anchor, Policy, Scope
from gateway.store import foreign, importing, uploads
from gateway.store.connection import deadline
from gateway.store.imports import Import
from gateway.store.staging import Stage

_FOLDER = "imports"
# What the names of those begin with that are only tried out, and how long that takes at most.
REHEARSAL, _REHEARSAL_SECONDS = "rehearsal-", 24 * 3600
# Looking up which messages of a thousand are here.
_LOOK_SECONDS = 60
_MONGODB = ("mongodb://", "mongodb+srv://")


@dataclass(frozen=True, slots=True)
class Origin:
    """What is to be imported: `stream` opens a file of the layout `gateway`, anything else is `tables`.

    `place` is the same for the same source, read in the same way; `given` are its files or folders. `in_place` where
    it lies in our own database, and what comes of it takes its place.
    """

    layout: str
    name: str
    size: int
    place: str = ""
    options: Options = field(default_factory=Options)
    stream: Callable[[], BinaryIO] | None = None
    tables: Sequence[Table] = ()
    given: Sequence[str] = ()
    in_place: bool = False


def find(given: Sequence[str], layout: str, options: Options, ours: str) -> Origin:
    """Look at what is to be imported: files, a folder, or the URI of a MongoDB. BadFile where it cannot be.

    `ours` is the URI of our own, which is no source.
    """
    if given and given[0].startswith(_MONGODB):
        if len(given) > 1:
            raise BadFile("Give one database at a time.")
        return _database(given[0], layout, options, ours)
    paths = [file for one in given for file in sources.files_of(Path(one))]
    if not paths:
        raise BadFile(f"There is no file in it. Looked for: {', '.join(sorted(sources.SUFFIXES))}.")
    with paths[0].open("rb") as stream:
        own = is_own(layout, stream.read(BEGINNING))
    size, places = sum(path.stat().st_size for path in paths), [str(Path(one).resolve()) for one in given]
    if not own:
        tables = sources.of_files(paths)
        chosen, _ = choose(layout, tables)
        name = paths[0].name if len(paths) == 1 else f"{paths[0].name} and {len(paths) - 1} more"
        return Origin(chosen.name, name, size, _place(paths, options), options, tables=tables, given=places)
    if len(paths) > 1 or options.rethread:
        raise BadFile("A file of `gateway export` is imported alone, with the sessions it has.")
    return Origin(OWN.name, paths[0].name, size, _place(paths), stream=lambda: paths[0].open("rb"), given=places)


def again(run: Import) -> Origin | None:
    """Give what an import was read from; None where that is not on this host any more, or is another one by now."""
    if not run.sources:
        return None
    try:
        origin = find(run.sources, run.layout, Options(**run.options), "")
    except (OSError, BadFile):
        return None
    return origin if origin.place == run.place else None


def makes_sessions(origin: Origin) -> bool:
    """Tell whether sessions are made of the messages, and not those of the source."""
    return origin.options.rethread or (origin.layout != OWN.name and TABLES[origin.layout].bare)


def _place(paths: Sequence[Path], options: Options | None = None) -> str:
    """Name files by where they are, how long and of when: another one in its place is another import."""
    facts = [f"{path.resolve()}:{path.stat().st_size}:{path.stat().st_mtime_ns}" for path in paths]
    if options is None:
        return f"{socket.gethostname()}:{facts[0]}"
    return f"{socket.gethostname()}:{paths[0].resolve()}:{_digest(*facts, options)}"


def _digest(*facts: object) -> str:
    return hashlib.sha256("\0".join(map(str, facts)).encode()).hexdigest()[:16]


def _database(uri: str, layout: str, options: Options, ours: str) -> Origin:
    if layout == OWN.name:
        raise BadFile("A database is not of the layout gateway. Export it with `gateway export`, and import the file.")
    if foreign.is_same(uri, ours):
        raise BadFile("This is the gateway's own database. --in-place takes over what another application left in it.")
    tables = tables_of(foreign.collections(uri))
    chosen, _ = choose(layout, tables)
    name, size = foreign.label(uri), sum(table.size for table in tables)
    return Origin(chosen.name, name, size, f"{name}:{_digest(uri, options)}", options, tables=tables)


def tables_of(collections: Sequence[foreign.Source]) -> list[Table]:
    """Give collections as tables."""
    return [
        Table(one.name, lambda one=one: (Record(*row) for row in one.read()), list, one.count)  # type: ignore[misc]
        for one in collections
    ]


def recognise(layout: str, file_name: str, beginning: bytes) -> str:
    """Name the layout of a file that is on its way; BadFile where it has none."""
    if is_own(layout, beginning):
        return OWN.name
    table = sources.of_stream(file_name, lambda: io.BytesIO(beginning), len(beginning))
    return choose(layout, [table])[0].name


def of_upload(run: Import) -> Origin | None:
    """Give what was uploaded; None where it is not there any more."""
    stream = uploads.open_at(run.id, 0)
    if stream is None:
        return None
    with contextlib.closing(stream):
        options = Options(**run.options)
    if run.layout == OWN.name:
        return Origin(run.layout, run.file_name, run.size, stream=lambda: _uploaded(run))
    table = sources.of_stream(run.file_name, lambda: _uploaded(run), run.size)
    return Origin(run.layout, run.file_name, run.size, options=options, tables=[table])


def _uploaded(run: Import) -> BinaryIO:
    stream = uploads.open_at(run.id, run.position.offset if run.layout == OWN.name else 0)
    if stream is None:
        raise BadFile("Its file is not here any more. Upload it again.")
    return stream


def stage_path(runtime: Runtime, name: str) -> Path:
    """Say where a source of another program is put in order."""
    return runtime.settings.data_dir / _FOLDER / f"{name}.sqlite3"


def sweep(runtime: Runtime, held: set[str]) -> None:
    """Delete what imports left on this host that are at their end, and what rehearsals did that were killed."""
    folder, now = runtime.settings.data_dir / _FOLDER, runtime.clock.now().timestamp()
    for path in folder.iterdir() if folder.is_dir() else ():
        name = path.name.partition(".")[0]
        with contextlib.suppress(FileNotFoundError):
            is_new = name.startswith(REHEARSAL) and now - path.stat().st_mtime < _REHEARSAL_SECONDS
            if name not in held and not is_new:
                path.unlink()


def stage(
    runtime: Runtime, origin: Origin, path: Path, tick: Callable[[int], object], *, is_alone: bool = False
) -> Stage:
    """Put a source of another program in order; whoever `is_alone` starts no second process for it."""
    layout, roles = choose(origin.layout, origin.tables)
    sessions, asked = runtime.settings.sessions, origin.options.threshold_ms

    def policy(kind: str) -> Policy:
        threshold = runtime.settings.idle_ms_for(kind) if isinstance(asked, str) else asked
        return Policy(threshold, Scope(sessions.scope), Anchor(sessions.anchor))

    def homes(ids: Sequence[str]) -> dict[str, str]:
        with deadline(_LOOK_SECONDS):
            return importing.homes_of(ids)

    now = runtime.clock.now()
    return put_in_order(Plan(layout, origin.tables, roles, origin.options, now, policy, homes, tick, is_alone), path)


def as_stored(options: Options) -> dict[str, Any]:
    """Give options as an import keeps them."""
    return asdict(options)
