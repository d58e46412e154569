"""The registry's application, and paths at which it raises what no view should: `/fail/SystemExit`."""

import builtins
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from registry_project.wsgi import application as registry

PREFIX = "/fail/"
BEGUN_PREFIX = "/fail-behind-the-beginning/"


def application(environ: dict[str, Any], start_response: Callable[..., Any]) -> Iterable[bytes]:
    """Raise what the path names, at once or in the middle of the answer; answer every other path."""
    path = environ["PATH_INFO"]
    if path.startswith(PREFIX):
        raise _error(path)
    if path.startswith(BEGUN_PREFIX):
        start_response("200 OK", [("Content-Length", "10")])
        return _begun(_error(path))
    return registry(environ, start_response)


def _error(path: str) -> BaseException:
    error: BaseException = getattr(builtins, path.rpartition("/")[2])()
    return error


def _begun(error: BaseException) -> Iterator[bytes]:
    yield b"hello"
    raise error
