"""The OpenAPI schema: each operation has the errors that it may answer with."""

from collections.abc import Iterator
from functools import cache
from typing import Any

from django.urls import include, path
from drf_spectacular.extensions import OpenApiAuthenticationExtension
from drf_spectacular.generators import SchemaGenerator
from drf_spectacular.openapi import AutoSchema
from drf_spectacular.plumbing import build_basic_type
from drf_spectacular.renderers import (
    OpenApiJsonRenderer,
    OpenApiJsonRenderer2,
    OpenApiYamlRenderer,
    OpenApiYamlRenderer2,
)
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.response import Response
from rest_framework.views import APIView

from api.administration import Administers
from api.problems import CONTENT_TYPE, ProblemSerializer

_REASONS = {
    "400": "The body is not JSON, or a field or parameter is wrong: `errors` says which.",
    "401": "Credentials are missing, or wrong.",
    "403": "The account may not do this.",
    "404": "There is no such thing, or you may not see it.",
    "406": "The answer has no media type that `Accept` lists.",
    "409": "Its state does not allow it now.",
    "412": "It has changed since: `If-Match` or `If-None-Match` does not apply.",
    "413": "The body has more than 256 KiB.",
    "415": "The body is not `application/json`.",
    "429": "Too many requests, or wrong passwords: `Retry-After` says how long to wait.",
    "503": "The database can't do this now: `Retry-After` says when to try again.",
}
_UNSAFE = ("POST", "PUT", "PATCH", "DELETE")


class Schema(AutoSchema):
    """The schema of one view."""

    def get_operation(self, *args: Any, **kwargs: Any) -> dict[str, Any] | None:
        """Add the errors, the entity tags of conditional requests, and `Link` and `ETag` of answers."""
        operation = super().get_operation(*args, **kwargs)
        if operation is None:
            return None
        responses = operation["responses"]
        for status in {*self._errors(operation), *(each for each in responses if int(each) >= 400)}:
            schema = self.resolve_serializer(ProblemSerializer(), "response").ref
            responses[status] = {"description": _REASONS[status], "content": {CONTENT_TYPE: {"schema": schema}}}
        operation["responses"] = dict(sorted(responses.items()))
        conditions = [name for status, name in (("304", "If-None-Match"), ("412", "If-Match")) if status in responses]
        if self.method == "PUT":
            conditions.append("If-None-Match")
        text = build_basic_type(OpenApiTypes.STR)
        headers = [{"in": "header", "name": name, "schema": text, "description": "Entity tags."} for name in conditions]
        if headers:
            operation["parameters"] = [*operation.get("parameters", ()), *headers]
        return operation

    def _errors(self, operation: dict[str, Any]) -> Iterator[str]:
        yield from ("400", "401", "406", "429", "503")
        if Administers in self.view.permission_classes or self.method in _UNSAFE:
            yield "403"
        if any(parameter["in"] == "path" for parameter in operation.get("parameters", ())):
            yield "404"
        if "requestBody" in operation:
            yield from ("413", "415")


class BasicScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """Name and password, or an access token."""

    target_class = "api.authentication.CachedBasicAuthentication"
    name = ["password", "access_token"]

    def get_security_requirement(self, auto_schema: Any) -> list[dict[str, list[Any]]]:
        """Return one of the two, not both."""
        return [{name: []} for name in self.name]

    def get_security_definition(self, auto_schema: Any) -> list[dict[str, str]]:
        return [
            {"type": "http", "scheme": "basic", "description": "The password may be an access token."},
            {"type": "http", "scheme": "bearer", "description": "An access token; it does not administer."},
        ]


class SessionScheme(OpenApiAuthenticationExtension):  # type: ignore[no-untyped-call]
    """The session of a page."""

    target_class = "api.session_login.SessionLogin"
    name = "session"

    def get_security_definition(self, auto_schema: Any) -> dict[str, str]:
        from django.conf import settings

        text = "The session of a page; changes need `X-CSRFToken` too."
        return {"type": "apiKey", "in": "cookie", "name": settings.SESSION_COOKIE_NAME, "description": text}


@cache
def document() -> dict[str, Any]:
    """Return the schema of all operations, which is made once: that takes a tenth of a second."""
    # The paths of the API alone: a request's own may have the pages too, or nothing else.
    generator = SchemaGenerator(patterns=[path("api/v1/", include("api.urls"))])  # type: ignore[no-untyped-call]
    found: dict[str, Any] = generator.get_schema(request=None, public=True)  # type: ignore[no-untyped-call]
    return found


class SchemaView(APIView):
    """The schema for everybody, as JSON or YAML."""

    authentication_classes = ()
    permission_classes = [AllowAny]
    renderer_classes = [OpenApiJsonRenderer2, OpenApiYamlRenderer2, OpenApiJsonRenderer, OpenApiYamlRenderer]

    @extend_schema(exclude=True)
    def get(self, request: Request) -> Response:
        """Return the schema."""
        return Response(document(), headers={"Cache-Control": "no-cache"})
