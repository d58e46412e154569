"""Somebody who speaks HTTP with the registry, through Django's test client."""

import base64
import io
import json
import re
from collections.abc import Iterable
from typing import Any
from urllib.parse import urlencode

from django.test import Client

Response = Any
_REPOSITORY = re.compile(r"/v2/(.+?)/(?:manifests|blobs|tags|referrers)/")


class Caller:
    """An account with a password; asks for the tokens it needs as a client does."""

    def __init__(self, client: Client, name: str, password: str) -> None:
        self.client = client
        self.name = name
        self.password = password
        self.tokens: dict[tuple[str, ...], str] = {}

    def get(self, path: str, **options: Any) -> Response:
        return self.send("GET", path, **options)

    def head(self, path: str, **options: Any) -> Response:
        return self.send("HEAD", path, **options)

    def put(self, path: str, body: bytes = b"", **options: Any) -> Response:
        return self.send("PUT", path, body, **options)

    def post(self, path: str, body: bytes = b"", **options: Any) -> Response:
        return self.send("POST", path, body, **options)

    def patch(self, path: str, body: bytes = b"", **options: Any) -> Response:
        return self.send("PATCH", path, body, **options)

    def delete(self, path: str, **options: Any) -> Response:
        return self.send("DELETE", path, **options)

    def send(
        self,
        method: str,
        path: str,
        body: bytes = b"",
        *,
        chunked: bool = False,
        token: str | None = None,
        scopes: Iterable[str] | None = None,
        content_type: str = "",
        headers: dict[str, str] | None = None,
        meta: dict[str, Any] | None = None,
    ) -> Response:
        """Send one request with a token for the repository in `path` (or for `scopes`); `token=""`: with none.

        `meta` is put over what the server would say of the request.
        """
        bearer = self.token(*(scopes if scopes is not None else _scopes(path))) if token is None else token
        sent = {"Authorization": f"Bearer {bearer}"} if bearer else {}
        extra: dict[str, Any] = {}
        if chunked:
            extra = {"wsgi.input": io.BytesIO(body), "HTTP_TRANSFER_ENCODING": "chunked"}
        return self.client.generic(
            method,
            path,
            b"" if chunked else body,
            content_type,
            headers=sent | (headers or {}),
            **extra,
            **(meta or {}),
        )

    def token(self, *scopes: str) -> str:
        """Return a token for `scopes`, asked for once."""
        if scopes not in self.tokens:
            self.tokens[scopes] = str(self.ask_token(*scopes).json()["token"])
        return self.tokens[scopes]

    def ask_token(self, *scopes: str, **parameters: str) -> Response:
        """Send a token request and return its response."""
        query = urlencode([("service", "Docker Registry"), *[("scope", s) for s in scopes], *parameters.items()])
        headers = {"Authorization": self.basic} if self.name else {}
        return self.client.get(f"/v2/token?{query}", headers=headers)

    @property
    def basic(self) -> str:
        """The value of an Authorization header with name and password."""
        return "Basic " + base64.b64encode(f"{self.name}:{self.password}".encode()).decode()


def error_codes(response: Response) -> list[str]:
    """Return the codes in an error's body."""
    return [error["code"] for error in json.loads(response.content)["errors"]]


def content(response: Response) -> bytes:
    """Return the whole body, of a streaming response too."""
    return b"".join(response.streaming_content) if response.streaming else bytes(response.content)


def _scopes(path: str) -> list[str]:
    match = _REPOSITORY.match(path)
    return [f"repository:{match[1]}:pull,push,delete"] if match else []
