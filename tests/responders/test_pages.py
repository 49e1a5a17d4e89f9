"""The examples of docs/responders/ do what their pages say."""

import re
import sys
import tomllib
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import pytest

from gateway import responders, settings
from gateway.core.replies import Reply, Said
from tests.responders.conftest import TEN, turn

PAGES = Path(__file__).parents[2] / "docs/responders"


def example(page, language):
    """Give the one block of a language."""
    (block,) = re.findall(rf"```{language}\n(.*?)```", (PAGES / page).read_text(), re.DOTALL)
    return block


@pytest.mark.parametrize(
    ("text", "hour", "answer"),
    [
        ("Are you open?", 11, "We are open until 18:00."),
        ("Are you open?", 20, "We are closed now, and open again at 8."),
        ("Hello", 20, "We are closed and answer in the morning."),
        ("Hello", 11, "Thanks for your message. We will get back to you soon."),
        ("Your opening times?", 11, "Thanks for your message. We will get back to you soon."),
    ],
)
def test_the_canned_texts_of_the_page(text, hour, answer):
    given = tomllib.loads(example("none-echo-canned.md", "toml"))
    canned = responders.build(settings.load(env="test", **given))["canned"]
    # Berlin is two hours ahead in July.
    assert canned.respond(turn(text, received_at=datetime(2026, 7, 1, hour - 2, tzinfo=UTC))).text == answer


@pytest.fixture
def tables(tmp_path, monkeypatch):
    """Install the responder of the page as pip would: its module, and its entry points beside it."""
    module = ModuleType("tables")
    exec(compile(example("your-own.md", "python"), "tables.py", "exec"), vars(module))
    monkeypatch.setitem(sys.modules, "tables", module)
    ((group, points),) = tomllib.loads(example("your-own.md", "toml"))["project"]["entry-points"].items()
    installed = tmp_path / "tables-0.1.0.dist-info"
    installed.mkdir()
    (installed / "METADATA").write_text("Metadata-Version: 2.1\nName: tables\nVersion: 0.1.0\n")
    lines = [f"[{group}]", *(f"{name} = {value}" for name, value in points.items())]
    (installed / "entry_points.txt").write_text("\n".join(lines))
    monkeypatch.syspath_prepend(tmp_path)
    return responders.build(settings.load(env="test", reply={"responder": "tables"}))["tables"]


@pytest.mark.parametrize(
    ("text", "history", "reply"),
    [
        ("A table, please", (), Reply("A table for how many?", "tables")),
        ("My table?", (Said("contact", "A table", TEN),), Reply("We are still looking for your table.", "tables")),
        ("A table, please", (Said("ai", "A table?", TEN),), Reply("A table for how many?", "tables")),
        ("Hello", (), Reply()),
    ],
)
def test_the_responder_of_the_page(tables, text, history, reply):
    assert tables.respond(turn(text, history=history)) == reply
    assert (tables.quick, tables.history) == (False, 5)
