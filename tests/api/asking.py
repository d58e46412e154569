"""Requests to the management API, with the name and password of a caller."""

import json
from collections.abc import Mapping
from typing import Any

from accounts.models import Account
from tests.caller import Caller, Response


def ask(
    caller: Caller, method: str, path: str, body: object = None, headers: Mapping[str, str] | None = None
) -> Response:
    """Send a request, with `body` as JSON unless it is None."""
    credentials = {"Authorization": caller.basic} if caller.name else {}
    content = b"" if body is None else json.dumps(body).encode()
    kind = "" if body is None else "application/json"
    return caller.client.generic(method, f"/api/v1/{path}", content, kind, headers=credentials | dict(headers or {}))


def answered(caller: Caller, path: str, status: int = 200) -> Any:
    """Return the JSON of a GET."""
    response = ask(caller, "GET", path)
    assert response.status_code == status, response.content
    return response.json()


def items(caller: Caller, path: str) -> list[Any]:
    """Return the items of all pages of a list."""
    found: list[Any] = []
    while path:
        page = answered(caller, path)
        found += page["items"]
        path = (page["next"] or "").removeprefix("/api/v1/")
    return found


def promote(caller: Caller, **powers: bool) -> Caller:
    """Make the account of the caller a superuser, or give it these powers."""
    powers = powers or {"is_staff": True, "is_superuser": True}
    Account.objects.filter(name=caller.name).update(**powers)
    return caller
