"""What stood at our numbers before we pointed them here: written down before anything is changed there.

Rows stay when all is put back, so that their versions only ever grow: whoever read one knows whether it still holds.
"""

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

from pymongo.errors import DuplicateKeyError

from gateway.core.pointing import Layer, Layers
from gateway.store.connection import collection
from gateway.store.documents import PointingDocument


@dataclass(frozen=True, slots=True)
class Pointing:
    """The row of one number or sender; version 0 is none yet. `is_pointed` while something is to be put back."""

    sid: str
    account_sid: str
    address: str
    layers: Layers = field(default_factory=Layers)
    version: int = 0
    at: datetime | None = None
    by: str = ""

    @property
    def is_pointed(self) -> bool:
        """Tell whether there is anything to put back."""
        return bool(self.layers.top.before)

    @property
    def is_passing(self) -> bool:
        """Tell whether what is to be put back first lies under something that is gone soon, a tunnel."""
        return bool(self.layers.passing.before)


def get(sid: str) -> Pointing | None:
    """Give what is written down of a number."""
    row = collection(PointingDocument).find_one({"_id": sid})
    return _pointing(row) if row else None


def outstanding() -> list[Pointing]:
    """Give all numbers of which something is to be put back, by address."""
    return [_pointing(row) for row in collection(PointingDocument).find({"state": "pointed"}).sort("address", 1)]


def write(pointing: Pointing, layers: Layers, *, at: datetime, by: str) -> Pointing | None:
    """Write new layers down; gives the row as it is now, or None where somebody else wrote since it was read."""
    row = {
        "account_sid": pointing.account_sid,
        "address": pointing.address,
        "lasting": _stored(layers.lasting),
        "passing": _stored(layers.passing),
        "state": "pointed" if layers.top.before else "restored",
        "version": pointing.version + 1,
        "at": at,
        "by": by,
    }
    if pointing.version:
        which = {"_id": pointing.sid, "version": pointing.version}
        if not collection(PointingDocument).replace_one(which, row).matched_count:
            return None
    else:
        try:
            collection(PointingDocument).insert_one({"_id": pointing.sid, **row})
        except DuplicateKeyError:
            return None
    return _pointing({"_id": pointing.sid, **row})


def _stored(layer: Layer) -> dict[str, Any]:
    return {"before": dict(layer.before), "written": {name: list(values) for name, values in layer.written.items()}}


def _pointing(row: Mapping[str, Any]) -> Pointing:
    layers = Layers(_layer(row["lasting"]), _layer(row["passing"]))
    return Pointing(row["_id"], row["account_sid"], row["address"], layers, row["version"], row["at"], row["by"])


def _layer(stored: Mapping[str, Any]) -> Layer:
    return Layer(stored["before"], {name: tuple(values) for name, values in stored["written"].items()})
