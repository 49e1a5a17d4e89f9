"""Scenarios read from files."""

import tomllib
from pathlib import Path

from gateway.core import scenario_files
from gateway.core.scenarios import Scenario, ScenarioError


def load(path: Path) -> Scenario:
    """Read a scenario's file. ScenarioError names everything that is wrong with it, a line each."""
    try:
        document = tomllib.loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise ScenarioError(f"{path} is no UTF-8 text ({error.reason}). Save it as UTF-8.") from None
    except OSError as error:
        raise ScenarioError(f"{path} cannot be read ({error.strerror}). Name a file that is there.") from None
    except tomllib.TOMLDecodeError as error:
        raise ScenarioError(f"{path} is no valid TOML: {error}. Correct it.") from None
    except RecursionError:
        raise ScenarioError(f"{path} is nested too deeply to be a scenario. Correct it.") from None
    return scenario_files.read(str(path), document)
