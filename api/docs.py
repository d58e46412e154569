"""The documentation at `/api/v1/`: a page made from the schema, without a script, so that it works offline."""

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import render
from django.views.decorators.http import require_safe
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.views import APIView

from api.schema import document

METHODS = ("get", "post", "put", "patch", "delete")


@dataclass(frozen=True, slots=True)
class Operation:
    """One method of one path."""

    id: str
    method: str
    path: str
    summary: str
    description: str
    parameters: list[Mapping[str, Any]]
    body: str
    statuses: list[tuple[str, str, str]]
    """Status, description, and the JSON Schema of the answer."""


@require_safe
def docs(request: HttpRequest) -> HttpResponse:
    """Show every operation, by tag."""
    schema = document()
    groups: dict[str, list[Operation]] = {}
    for operation in _operations(schema):
        groups.setdefault(operation.path.removeprefix("/api/v1/").partition("/")[0], []).append(operation)
    shapes = [(name, _pretty(shape)) for name, shape in schema["components"]["schemas"].items()]
    context = {"title": "API", "info": schema["info"], "groups": groups.items(), "shapes": shapes}
    return render(request, "api/docs.html", context)


def _operations(schema: Mapping[str, Any]) -> Iterator[Operation]:
    for path, methods in schema["paths"].items():
        for method in METHODS:
            if (found := methods.get(method)) is None:
                continue
            body = found.get("requestBody", {}).get("content", {}).get("application/json", {})
            yield Operation(
                found["operationId"],
                method.upper(),
                path,
                found.get("description", "").partition("\n")[0],
                found.get("description", ""),
                found.get("parameters", []),
                _named(body.get("schema", {})),
                [(status, each.get("description", ""), _shape(each)) for status, each in found["responses"].items()],
            )


def _shape(response: Mapping[str, Any]) -> str:
    return next((_named(content["schema"]) for content in response.get("content", {}).values()), "")


def _named(schema: Mapping[str, Any]) -> str:
    return str(schema.get("$ref", "")).rpartition("/")[2]


def _pretty(shape: Mapping[str, Any]) -> str:
    return json.dumps(shape, indent=2, ensure_ascii=False)


class UnknownPathView(APIView):
    """Every other path below `/api/v1/`."""

    authentication_classes = ()
    permission_classes = [AllowAny]

    @extend_schema(exclude=True)
    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Raise NotFound whatever the method is."""
        raise NotFound("There is no such path; /api/v1/ lists all.")
