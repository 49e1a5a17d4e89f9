"""Every scenario of tests/scenarios, played as `gateway simulate scenario` does."""

import textwrap
from contextlib import ExitStack
from datetime import UTC, datetime
from pathlib import Path

import pytest

from gateway.conversation.simulation.acting import Stage
from gateway.conversation.simulation.line import Line
from gateway.conversation.simulation.playing import play
from gateway.conversation.simulation.reading import load
from gateway.core.times import floor_ms
from tests.conversation.worker import Worker
from tests.stand_ins.serving import Served

FOLDER = Path(__file__).parents[2] / "scenarios"
# One app serves nearly all of them: what no flow answers is echoed.
USUAL = {"reply.responder": "flow", "flow.otherwise": "echo"}


@pytest.fixture
def stage_for(make_app, clock):
    """Give `stage_for(scenario)`: a gateway of the settings it needs, its worker at hand."""
    clock.moment, stages = floor_ms(datetime.now(UTC)), {}
    with ExitStack() as served:

        def stage(scenario):
            given = {}
            for name, value in (USUAL | scenario.needs).items():
                section, _, key = name.partition(".")
                given.setdefault(section, {})[key] = value
            if str(given) not in stages:
                app = make_app(env="development", public_url="", **given)
                url = served.enter_context(Served(app)).url
                line = Line(app.extensions["gateway"].settings, url, url)
                stages[str(given)] = Stage(line, FOLDER, stored=True, wait=Worker(app, clock).run)
            return stages[str(given)]

        yield stage


def documented(tmp_path):
    """Give the example of the page as a file."""
    page = (FOLDER.parents[1] / "docs" / "simulate.md").read_text()
    example = page[page.index("    title = ") : page.index("Steps reach the gateway")]
    path = tmp_path / "example.toml"
    path.write_text(textwrap.dedent(example))
    return path


def test_every_scenario_comes_out_as_its_file_says(stage_for, tmp_path):
    again = FOLDER / "channels.toml"  # no run meets the people of another
    paths, missed = [*sorted(FOLDER.glob("*.toml")), again, documented(tmp_path)], []
    for scenario in map(load, paths):
        played = play(scenario, stage_for(scenario))
        missed += [f"{Path(scenario.file).name}, {where}: {miss}" for where, miss in played.missed]
    assert not missed, "\n".join(missed)
    assert len(paths) > 8
