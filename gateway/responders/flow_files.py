"""The folder of flows: every `*.toml` in it, read and checked at the start."""

import tomllib
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from gateway.core import flows
from gateway.core.flows import Flow, FlowError
from gateway.settings import Settings


def load(settings: Settings) -> Mapping[str, Flow]:
    """Read all flows of the settings' folder, by the names of their files, each with its words for what begins it.

    A folder that is not there has none. FlowError names everything that is wrong, in all files, a line each.
    """
    folder, faults = settings.flow_folder, list[str]()
    if settings.flow.folder and not folder.is_dir():
        raise FlowError(f"GATEWAY_FLOW__FOLDER = {str(folder)!r}: no such folder. Make it, or correct the setting.")
    found: dict[str, Flow] = {}
    for path in sorted(folder.glob("*.toml")):
        try:
            found[path.stem] = flows.read(_shown(path), _parsed(path), timezone=settings.reply.timezone)
        except FlowError as error:
            faults.append(str(error))
    faults += flows.check_together(found.values())
    if faults:
        raise FlowError("\n".join(faults))
    return found


def _parsed(path: Path) -> Mapping[str, Any]:
    try:
        return tomllib.loads(path.read_text(encoding="utf-8"))
    except UnicodeDecodeError as error:
        raise FlowError(f"{_shown(path)} is no UTF-8 text ({error.reason}). Save it as UTF-8.") from None
    except OSError as error:
        raise FlowError(f"{_shown(path)} cannot be read ({error.strerror}). Give the gateway the right to.") from None
    except tomllib.TOMLDecodeError as error:
        raise FlowError(f"{_shown(path)} is no valid TOML: {error}. Correct it.") from None


def _shown(path: Path) -> str:
    """Name a file as one would from where the gateway runs: config/flows/bulk_order.toml."""
    try:
        return str(path.resolve().relative_to(Path.cwd()))
    except ValueError:
        return str(path)
