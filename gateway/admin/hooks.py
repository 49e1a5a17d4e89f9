"""Where Flask's extensions have their hooks: on the console, so that no webhook pays for them."""

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from flask import Flask


@contextmanager
def hooks_of(app: Flask, blueprint: str) -> Iterator[None]:
    """Move the hooks that are set up inside from the app to one of its blueprints."""
    tables: list[dict[Any, list[Any]]] = [
        app.before_request_funcs,
        app.after_request_funcs,
        app.teardown_request_funcs,
    ]
    others = [len(table.get(None, ())) for table in tables]
    yield
    for table, count in zip(tables, others, strict=True):
        if hooks := table.get(None, [])[count:]:
            table.setdefault(blueprint, []).extend(hooks)
            del table[None][count:]
