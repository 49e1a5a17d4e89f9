"""What stood at a number before we wrote our addresses there, so that it can be put back.

There are two layers: a lasting one, and over it a passing one, of a tunnel that is gone soon. What is found at the
provider is believed: a value that we wrote is ours, any other is somebody else's and what is to be put back next time.
"""

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field, replace

from gateway.core.wiring import Wiring, changes


@dataclass(frozen=True, slots=True)
class Layer:
    """By field, what stood there before, and everything we wrote over it since."""

    before: Wiring = field(default_factory=dict)
    written: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    def is_ours(self, name: str, value: str) -> bool:
        """Tell whether we wrote a value."""
        return value in self.written.get(name, ())

    def under(self, actual: Wiring) -> dict[str, str]:
        """Give what is there without this layer."""
        return {name: self.before[name] if self.is_ours(name, value) else value for name, value in actual.items()}

    def over(self, actual: Wiring, should: Wiring) -> "Layer":
        """Add what is about to be written over what is there."""
        before, written = dict(self.before), dict(self.written)
        for name, value in changes(actual, should).items():
            is_known = self.is_ours(name, actual[name])
            before[name] = before[name] if is_known else actual[name]
            earlier = written.get(name, ()) if is_known or actual[name] == self.before.get(name) else ()
            written[name] = (*(one for one in earlier if one != value), value)
        return Layer(before, written)

    def including(self, other: "Layer") -> "Layer":
        """Add the fields of another that are not in this one."""
        return Layer({**other.before, **self.before}, {**other.written, **self.written})

    def without(self, names: Collection[str]) -> "Layer":
        """Leave out fields."""
        return Layer(
            {name: value for name, value in self.before.items() if name not in names},
            {name: values for name, values in self.written.items() if name not in names},
        )


@dataclass(frozen=True, slots=True)
class Layers:
    """Both layers of one number."""

    lasting: Layer = field(default_factory=Layer)
    passing: Layer = field(default_factory=Layer)

    def pointed(self, actual: Wiring, should: Wiring, *, passing: bool) -> "Layers":
        """Give the layers that are to be written down before `actual` is made what it should be.

        What lasts takes the place of what passes: nobody gets the address of a tunnel back that is gone.
        """
        if passing:
            return replace(self, passing=self.passing.over(actual, should))
        return Layers(self.lasting.over(self.passing.under(actual), should), self.passing.without(should))

    def including(self, other: "Layers") -> "Layers":
        """Add the fields of others that are not in these."""
        return Layers(self.lasting.including(other.lasting), self.passing.including(other.passing))

    @property
    def top(self) -> Layer:
        """Give the layer that is put back first."""
        return self.passing if self.passing.before else self.lasting

    def lifted(self, names: Collection[str]) -> "Layers":
        """Give the layers without these fields of the top one."""
        if self.passing.before:
            return replace(self, passing=self.passing.without(names))
        return replace(self, lasting=self.lasting.without(names))


@dataclass(frozen=True, slots=True)
class PuttingBack:
    """What putting a layer back means now: `values` to be written, `done` already, `changed` by somebody else."""

    values: Wiring
    done: Wiring
    changed: Wiring


def putting_back(layer: Layer, actual: Wiring) -> PuttingBack:
    """Compare a layer with what is there."""
    values: dict[str, str] = {}
    done: dict[str, str] = {}
    changed: dict[str, str] = {}
    for name, before in layer.before.items():
        now = actual.get(name, "")
        kind = done if now == before else values if layer.is_ours(name, now) else changed
        kind[name] = before
    return PuttingBack(values, done, changed)
