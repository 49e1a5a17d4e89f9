"""Routes that are ready, or found, sooner."""

from collections.abc import Callable, Mapping
from typing import Any

from flask import Flask, Request
from werkzeug.routing import MapAdapter, Rule

Builder = Callable[..., tuple[str, str]]


class Direct(Flask):
    """An app with paths whose rules it knows without looking for them.

    Who serves one builds no URLs: what Werkzeug gathers of a request, to match it and to build them, is left out.
    """

    def __init__(self, *given: Any, **named: Any) -> None:
        super().__init__(*given, **named)
        self._known: Mapping[str, Rule] = {}

    def know_posts_under(self, prefix: str) -> None:
        """Know the rules for what is posted to paths that begin so and have no variables."""
        self._known = {
            rule.rule: rule
            for rule in self.url_map.iter_rules()
            if rule.rule.startswith(prefix) and "POST" in (rule.methods or ()) and not rule.arguments
        }

    def create_url_adapter(self, request: Request | None) -> MapAdapter | None:
        """Give what matches a request, or nothing where it is known what does."""
        rule = self._known.get(request.path) if request and request.method == "POST" else None
        if request is None or rule is None:
            return super().create_url_adapter(request)
        request.url_rule, request.view_args = rule, {}
        return None


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
