"""Problem details (RFC 9457): the body of every error of the API."""

import logging
from collections.abc import Mapping
from http import HTTPStatus
from typing import Any

from django.core.exceptions import PermissionDenied, SuspiciousOperation
from django.db import Error as DatabaseFault
from django.http import Http404, JsonResponse
from rest_framework import serializers
from rest_framework.exceptions import APIException, NotFound, ValidationError
from rest_framework.exceptions import PermissionDenied as Forbidden
from rest_framework.renderers import JSONRenderer
from rest_framework.response import Response
from rest_framework.views import set_rollback

from core.api.errors import RegistryError

CONTENT_TYPE = "application/problem+json"
# Of an error that belongs to no field.
_WHOLE = ("non_field_errors", "__all__", "detail")

logger = logging.getLogger(__name__)


class ProblemSerializer(serializers.Serializer[Any]):
    """The body of an error (RFC 9457)."""

    type = serializers.CharField(help_text="`about:blank`: the status says what kind of problem it is.")
    title = serializers.CharField(help_text="The name of the status.")
    status = serializers.IntegerField()
    detail = serializers.CharField(help_text="What is wrong with this request, for a person.")
    errors = serializers.DictField(  # type: ignore[assignment]  # a field, not the property of that name
        child=serializers.ListField(child=serializers.CharField()),
        required=False,
        help_text="What is wrong with each field of the body, or parameter of the query.",
    )


class ProblemResponse(Response):
    """An error, which is JSON also where the view answers with something else."""

    @property
    def rendered_content(self) -> Any:
        """Return the body."""
        self.accepted_renderer = JSONRenderer()
        return super().rendered_content


class ConflictError(APIException):
    """The state of the resource does not allow it now."""

    status_code = HTTPStatus.CONFLICT
    default_code = "conflict"


class PreconditionFailedError(APIException):
    """The resource is not in the state that `If-Match` or `If-None-Match` asks for."""

    status_code = HTTPStatus.PRECONDITION_FAILED
    default_detail = "The resource has changed: read it again."
    default_code = "precondition_failed"


def problem(status: int, detail: str, errors: Mapping[str, list[str]] | None = None) -> dict[str, object]:
    """Return the body of an error."""
    body: dict[str, object] = {"type": "about:blank", "title": HTTPStatus(status).phrase, "status": int(status)}
    return body | {"detail": detail} | ({"errors": dict(errors)} if errors else {})


def problem_response(status: int, detail: str, headers: Mapping[str, str] | None = None) -> JsonResponse:
    """Return an error from outside the views."""
    return JsonResponse(problem(status, detail), status=status, headers=headers, content_type=CONTENT_TYPE)


def handle(error: Exception, context: Mapping[str, Any]) -> Response | None:
    """Render an exception of a view; None for a database error, which `DatabaseErrorMiddleware` answers."""
    if isinstance(error, DatabaseFault):
        return None
    if isinstance(error, Http404):
        error = NotFound()
    elif isinstance(error, PermissionDenied):
        error = Forbidden()
    set_rollback()
    if isinstance(error, RegistryError):
        return _response(error.status, _said_by(error), headers=error.headers)
    if isinstance(error, ValidationError):
        errors = dict(_by_field(error.detail))
        whole = [text for field in _WHOLE for text in errors.pop(field, [])]
        detail = " ".join(whole) or f"{', '.join(errors)}: {next(iter(errors.values()))[0]}"
        return _response(error.status_code, detail, errors)
    if isinstance(error, APIException):
        return _response(error.status_code, str(error.detail), headers=_headers_of(error))
    if isinstance(error, SuspiciousOperation):
        return _response(400, "The request is malformed.")
    request = context["request"]
    logger.error("unexpected error", exc_info=error, extra={"path": request.path, "method": request.method})
    return _response(500, "The registry failed; its log says why.")


def _response(
    status: int,
    detail: str,
    errors: Mapping[str, list[str]] | None = None,
    headers: Mapping[str, str] | None = None,
) -> Response:
    return ProblemResponse(problem(status, detail, errors), status=status, headers=headers, content_type=CONTENT_TYPE)


def _said_by(error: RegistryError) -> str:
    """Return message and reason of an error of the registry's verbs."""
    detail = error.detail
    reason = str((detail.get("reason") if isinstance(detail, dict) else detail) or "")
    return error.message if reason in error.message else f"{error.message}: {reason}"


def _headers_of(error: APIException) -> dict[str, str]:
    headers = {}
    if getattr(error, "auth_header", None):
        headers["WWW-Authenticate"] = str(error.auth_header)  # type: ignore[attr-defined]  # set by the base view
    if getattr(error, "wait", None):
        headers["Retry-After"] = str(int(error.wait))  # type: ignore[attr-defined]  # of Throttled, and of our own
    return headers


def _by_field(detail: Any, name: str = "detail") -> list[tuple[str, list[str]]]:
    """Return the messages for each field; those of a nested field under its path, as `groups.0`."""
    if isinstance(detail, dict):
        return [found for key, value in detail.items() for found in _by_field(value, _below(name, str(key)))]
    texts = [str(text) for text in detail if not isinstance(text, dict | list)]
    nested = [item for item in enumerate(detail) if isinstance(item[1], dict | list) and item[1]]
    found = [(name, texts)] if texts else []
    return found + [place for position, value in nested for place in _by_field(value, _below(name, str(position)))]


def _below(name: str, key: str) -> str:
    return key if name == "detail" else f"{name}.{key}"
