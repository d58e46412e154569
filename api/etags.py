"""Entity tags (RFC 9110, section 8.8): conditional reads, and changes of what the client has read."""

import hashlib
import json
from collections.abc import Callable, Mapping
from typing import Any

from django.core.serializers.json import DjangoJSONEncoder
from django.utils.http import parse_etags
from rest_framework.request import Request
from rest_framework.response import Response

from api.problems import PreconditionFailedError


def etag_of(body: Mapping[str, Any]) -> str:
    """Return the strong entity tag of a representation."""
    text = json.dumps(body, sort_keys=True, cls=DjangoJSONEncoder)
    return f'"{hashlib.sha256(text.encode()).hexdigest()[:32]}"'


def answer(request: Request, body: Mapping[str, Any], etag: str = "") -> Response:
    """Return a representation, or 304 if the client has it: `If-None-Match` compares weakly."""
    etag = etag or etag_of(body)
    headers = {"ETag": etag, "Cache-Control": "private, no-cache", "Vary": "Authorization, Cookie"}
    known = [tag.removeprefix("W/") for tag in parse_etags(request.headers.get("If-None-Match", ""))]
    if etag in known or "*" in known:
        return Response(status=304, headers=headers)
    return Response(body, headers=headers)


def created(request: Request, body: Mapping[str, Any], location: str) -> Response:
    """Return the representation of what was made, and where it is."""
    response = answer(request, body)
    response.status_code = 201
    response.headers["Location"] = location
    return response


def expectation(request: Request, etag_now: Callable[[], str]) -> Callable[[], bool] | None:
    """Return what a domain verb calls in its transaction for a change of the state that the client has seen.

    `etag_now` reads the state there. None: the request has no condition.
    """
    if not {"If-Match", "If-None-Match"} & request.headers.keys():
        return None
    return lambda: is_match(request, etag_now())


def is_match(request: Request, etag: str | None) -> bool:
    """Return whether `require_match` would let it pass."""
    try:
        require_match(request, etag)
    except PreconditionFailedError:
        return False
    return True


def require_match(request: Request, etag: str | None) -> None:
    """Raise PreconditionFailedError for a change of another state than the client asks for; None: it is missing.

    `If-Match` compares strongly, so a weak tag never matches.
    """
    expected = request.headers.get("If-Match")
    if expected is not None and (etag is None or not {etag, "*"} & set(parse_etags(expected))):
        raise PreconditionFailedError
    refused = request.headers.get("If-None-Match")
    if refused is not None and etag is not None and {etag, "*"} & set(parse_etags(refused)):
        raise PreconditionFailedError
