"""Routes that are ready sooner."""

from collections.abc import Callable
from typing import Any

from werkzeug.routing import Rule

Builder = Callable[..., tuple[str, str]]


class Route(Rule):
    """A rule that makes what builds its URLs when the first one is built.

    Werkzeug compiles two functions a rule for that, which is most of the time it takes to make an app; a process
    builds URLs of few rules or of none. Should a later Werkzeug not call `_compile_builder`, this changes nothing.
    """

    def _compile_builder(self, append_unknown: bool = True) -> Builder:
        compiled: list[Builder] = []

        def build(rule: Rule, /, **values: Any) -> tuple[str, str]:
            if not compiled:
                compiled.append(super(Route, self)._compile_builder(append_unknown))
            return compiled[0](rule, **values)

        return build
