"""A blueprint whose documentation is made when somebody asks for it."""

from collections.abc import Callable
from typing import Any

from flask_openapi3.blueprint import APIBlueprint
from flask_openapi3.openapi import OpenAPI
from flask_openapi3.types import ParametersTuple
from flask_openapi3.utils import parse_parameters


class Described(APIBlueprint):
    """An APIBlueprint that describes its views at the first request for the OpenAPI file.

    flask-openapi3 writes the JSON schemas of every view as its module is imported, which was a third of what starting
    the gateway took. Should a later one not call `_collect_openapi_info`, the description is there from the start.
    """

    def __init__(self, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._undescribed: list[tuple[str, Callable[..., Any], dict[str, Any]]] = []

    def _collect_openapi_info(self, rule: str, func: Callable[..., Any], **options: Any) -> ParametersTuple:
        self._undescribed.append((rule, func, options))
        return parse_parameters(func, doc_ui=False)

    def describe(self, app: OpenAPI) -> None:
        """Add the description of all views to an app's."""
        while self._undescribed:
            rule, func, options = self._undescribed.pop(0)
            super()._collect_openapi_info(rule, func, **options)
        app.paths.update(self.paths)
        app.components_schemas.update(self.components_schemas)
        for tag in self.tags:
            if tag.name not in app.tag_names:
                app.tags.append(tag)
                app.tag_names.append(tag.name)
