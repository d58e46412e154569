"""The registry's application, whose pull path declines a request with `X-Decline`, and marks the responses it makes."""

from collections.abc import Callable, Iterable
from typing import Any

from registry_project.wsgi import application as registry

DECLINE = "X-Decline: yes"
MARK = ("X-Path", "pull")


class _Application:
    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        return registry(environ, start_response)

    def pull(
        self, environ: dict[str, Any], headers: list[tuple[str, str]], start_response: Callable[..., Any]
    ) -> Iterable[bytes] | None:
        """Answer as the registry's pull path does."""
        if ("X-DECLINE", "yes") in headers:
            return None

        def start_marked(status: str, fields: list[tuple[str, str]]) -> Any:
            return start_response(status, [*fields, MARK])

        body: Iterable[bytes] | None = registry.pull(environ, headers, start_marked)  # type: ignore[attr-defined]
        return body


application = _Application()
