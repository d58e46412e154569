"""The access log: one line for each request, with account, target and response.

The line is formatted by hand: the logging framework, or a dictionary, would cost more than the line itself.
"""

import re
import secrets
import time
from collections.abc import Callable, Iterator
from functools import lru_cache
from itertools import count
from json.encoder import encode_basestring_ascii as quoted

from configuration.values import AccessLog
from core.api import notes
from core.forwarded import plain_address
from core.stderr import stderr
from server.exchange import Exchange

# The most bytes of a value that a client chooses, after escaping, which turns one byte into up to six. The longest line
# stays below 4096 bytes (PIPE_BUF), up to which a write is atomic.
MAX_BYTES = 256
MAX_TARGET_BYTES = 1024
MAX_AGENT_BYTES = 512
# The parts of lines that each process keeps, of the two kinds.
REMEMBERED = 1024
# The longest beginning that ends with no part of a JSON escape.
_WHOLE = re.compile(r"(?:[^\\]|\\u[0-9a-f]{4}|\\[^u])*")
# The user information of a URL without a valid scheme, which was parsed as a path.
_USER_INFO = re.compile(r"(^|//)[^/]*@")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


def request_ids() -> Iterator[str]:
    """Return an iterator of request ids that no other process and no later start repeats."""
    return map(f"{secrets.token_hex(5)}{{:08x}}".format, count(1))


def access_log(form: AccessLog) -> Callable[[Exchange], None] | None:
    """Return the function that logs an exchange; None means no access log."""
    if form == "off":
        return None
    line = {"json": json_line, "text": text_line}[form]
    write = stderr().write

    def log(exchange: Exchange) -> None:
        # A connection can also end without a request.
        is_request = exchange.refusal is not None or getattr(exchange.request, "method", None) is not None
        # Probes come every few seconds; only their failures are worth a line.
        is_good_probe = notes.PROBE in exchange.environ and exchange.outcome()[0] == 200
        if is_request and not is_good_probe:
            write(line(exchange))

    return log


def json_line(exchange: Exchange) -> str:
    """Return a JSON object with the common keys of the log and those of a request; null means unknown."""
    environ, method, path = exchange.environ, *_target(exchange)
    route, agent = environ.get(notes.ROUTE), environ.get("HTTP_USER_AGENT")
    named = {} if route is None else route.kwargs
    # Most repeat in a client's next request, or are pulled again.
    is_short = len(path or "") <= MAX_TARGET_BYTES and len(agent or "") <= MAX_AGENT_BYTES
    of_target, of_client = (_target_members, _client_members) if is_short else _UNCACHED
    reference = named.get("reference") or named.get("digest")
    target = of_target(method, path, route and route.url_name, named.get("name"), reference)
    client = of_client(environ.get(notes.ACCOUNT), _client(exchange), environ.get(notes.JTI), agent)
    status, sent, is_aborted = exchange.outcome()
    now = time.time()
    aborted = ', "aborted": true' if is_aborted else ""
    return (
        f'{{"at": "{_iso(int(now))}.{int(now * 1000) % 1000:03d}Z", "level": "info", "logger": "access", '
        f'"message": "request", {target}, "status": {status or "null"}, "bytes": {sent}, '
        f'"seconds": {time.monotonic() - exchange.began:.6f}, {client}, '
        f'"request": {_json(exchange.request_id)}{aborted}}}'
    )


@lru_cache(maxsize=REMEMBERED)
def _target_members(
    method: str | None, path: str | None, route: str | None, name: str | None, reference: str | None
) -> str:
    return (
        f'"method": {_json(method)}, "path": {_json(path, MAX_TARGET_BYTES)}, "route": {_json(route)}, '
        f'"repository": {_json(name)}, "reference": {_json(reference)}'
    )


@lru_cache(maxsize=REMEMBERED)
def _client_members(account: str | None, client: str, token_id: str | None, agent: str | None) -> str:
    return (
        f'"account": {_json(account)}, "client": {_json(client)}, "token": {_json(token_id)}, '
        f'"agent": {_json(agent, MAX_AGENT_BYTES)}'
    )


_UNCACHED = _target_members.__wrapped__, _client_members.__wrapped__


def text_line(exchange: Exchange) -> str:
    """Return a line in the combined log format plus seconds, token id and request id; `-` means unknown."""
    environ, method, path = exchange.environ, *_target(exchange)
    status, sent, is_aborted = exchange.outcome()
    line = f"{method} {path} {environ.get('SERVER_PROTOCOL', 'HTTP/1.1')}" if method else None
    agent = environ.get("HTTP_USER_AGENT")
    aborted = " aborted" if is_aborted else ""
    return (
        f"{_bare(_client(exchange))} - {_bare(environ.get(notes.ACCOUNT))} [{_clf(int(time.time()))}] "
        f'"{_bare(line, MAX_TARGET_BYTES)}" {status or "-"} {sent} "-" "{_bare(agent, MAX_AGENT_BYTES)}" '
        f"{time.monotonic() - exchange.began:.6f} {_bare(environ.get(notes.JTI))} "
        f"{_bare(exchange.request_id)}{aborted}"
    )


def _target(exchange: Exchange) -> tuple[str | None, str | None]:
    """Return method and path as far as they are parsed.

    The query and the user information of a URL are left out, since they may hold a secret.
    """
    request = exchange.request
    if request is None:
        return None, None
    path = request.path
    return request.method, _USER_INFO.sub(r"\1", path) if path and "@" in path else path


def _client(exchange: Exchange) -> str:
    """Return the client's address from the trusted proxies; for a malformed request the peer's."""
    address: str | None = exchange.environ.get("REMOTE_ADDR")
    return address if address is not None else plain_address(exchange.client[0] if exchange.client else "")


def _json(value: str | None, limit: int = MAX_BYTES) -> str:
    return "null" if value is None else f'"{_escaped(value, limit)}"'


def _bare(value: str | None, limit: int = MAX_BYTES) -> str:
    """Escape quotes, control characters and non-ASCII characters as JSON does."""
    return _escaped(value, limit) if value else "-"


def _escaped(value: str, limit: int) -> str:
    escaped = quoted(value[:limit])[1:-1]
    if len(escaped) <= limit:
        return escaped
    # The limit may split the last escape.
    found = _WHOLE.match(escaped[:limit])
    return found[0] if found is not None else ""


@lru_cache(maxsize=2)
def _iso(second: int) -> str:
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(second))


@lru_cache(maxsize=2)
def _clf(second: int) -> str:
    # strftime would translate the month into the system's language.
    now = time.gmtime(second)
    return f"{now.tm_mday:02d}/{_MONTHS[now.tm_mon - 1]}/{time.strftime('%Y:%H:%M:%S +0000', now)}"
