"""Where conversations of other programs are read from: files of JSON or CSV, folders of them, databases.

A source is some tables, each of which can be read from its beginning any number of times, in bounded memory.
"""

from collections.abc import Callable, Iterator, Sequence
from itertools import chain
from pathlib import Path
from typing import BinaryIO

from gateway.conversation.sources import csv_rows, json_values
from gateway.conversation.sources.decoding import Decoded, lines
from gateway.conversation.sources.records import Record, Table

SUFFIXES = frozenset({".json", ".jsonl", ".ndjson", ".csv", ".tsv", ".txt"})


def files_of(path: Path) -> list[Path]:
    """Give the files that a path names: itself, or what lies in a folder and looks like conversations."""
    if not path.is_dir():
        return [path]
    inside = (one for one in path.iterdir() if one.is_file() and not one.name.startswith("."))
    return sorted(one for one in inside if one.suffix.lower() in SUFFIXES)


def of_files(paths: Sequence[Path]) -> list[Table]:
    """Give files as tables."""
    return [of_stream(path.name, lambda path=path: path.open("rb"), path.stat().st_size) for path in paths]  # type: ignore[misc]


def of_stream(name: str, opened: Callable[[], BinaryIO], size: int) -> Table:
    """Give something that can be opened again and again as a table."""
    name = name.encode(errors="replace").decode()
    said: list[str] = []

    def read() -> Iterator[Record]:
        said.clear()
        with opened() as stream:
            text = Decoded(stream)
            yield from _records(name, text)
            said.extend(_remarks(name, text))

    return Table(name.partition(".")[0], read, lambda: said, size)


def _records(name: str, text: Decoded) -> Iterator[Record]:
    pieces, begun = text.pieces(), list[str]()
    for piece in pieces:
        begun.append(piece)
        if piece.strip():
            break
    whole = chain(begun, pieces)
    if "".join(begun).lstrip().startswith(("{", "[")):
        yield from json_values.values(name, whole)
    else:
        yield from csv_rows.rows(name, lines(whole))


def _remarks(name: str, text: Decoded) -> list[str]:
    remarks = [] if text.encoding == "utf-8" else [f"{name} is written in {text.encoding.upper()}."]
    if text.odd:
        remarks.append(f"{name} is not all UTF-8: {text.odd:,} bytes of it were read as Windows-1252.")
    return remarks


__all__ = ["Record", "Table", "files_of", "of_files", "of_stream"]
