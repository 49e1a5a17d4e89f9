"""The admin console: what operators see."""

from flask import Flask


def register(app: Flask) -> None:
    """Put the console under /admin."""
