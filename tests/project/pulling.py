"""The registry's application, whose short path declines a request with `X-Decline`, and marks its responses."""

from collections.abc import Callable, Iterable
from typing import Any

from registry_project.wsgi import application as registry

DECLINE = "X-Decline: yes"
MARK = ("X-Path", "pull")


class _Application:
    def __call__(self, environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
        return registry(environ, start_response)

    def short(self, environ: dict[str, Any], headers: list[tuple[str, str]]) -> Any:
        """Answer as the registry's pull path does."""
        if ("X-DECLINE", "yes") in headers:
            return None
        pulled = registry.short(environ, headers)  # type: ignore[attr-defined]
        if pulled is not None:
            pulled.headers.update([MARK])
        return pulled


application = _Application()
