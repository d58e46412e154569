"""Log in: the Authorization header, the token, the clocks, and what the registry sees of the connection."""

import json
from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

from diagnostics.finding import Finding, UnusableError
from diagnostics.session import Session

MOST_SKEW_SECONDS = 60


def check_login(session: Session) -> Iterator[Finding]:
    """Get a token. Raises UnusableError without one."""
    probe = session.client.send("GET", "/v2/", {"Authorization": "Bearer no-token"})
    if "invalid_token" not in probe.headers.get("www-authenticate", ""):
        raise UnusableError(
            Finding(
                "Authorization",
                "a request with a token is answered like one without: the Authorization header does not arrive",
                "let the proxy pass on Authorization (nginx: remove `proxy_set_header Authorization`), and ask for no "
                "password of its own",
            )
        )
    yield Finding("Authorization", "the header arrives")
    answer = session.request_token()
    if answer.status != 200:
        remedy = "give the right name and password" if answer.status == 401 else "look into the log of the registry"
        said = f"the login of {session.account} is answered {answer.status}: {_detail(answer.body)}"
        raise UnusableError(Finding("login", said, remedy))
    document = json.loads(answer.body)
    session.token = document["token"]
    yield Finding("login", f"{session.account} gets a token")
    yield _about_clocks(document["issued_at"])
    yield from _about_connection(session)


def _about_clocks(issued_at: str) -> Finding:
    ahead = (datetime.fromisoformat(issued_at) - datetime.now(UTC)).total_seconds()
    if abs(ahead) <= MOST_SKEW_SECONDS:
        return Finding("clock", "the clocks of registry and client agree")
    way = "ahead of" if ahead > 0 else "behind"
    return Finding(
        "clock",
        f"the registry's clock is {abs(ahead):.0f} s {way} the clock here: tokens look expired or not yet valid",
        "synchronise both machines by NTP",
    )


def _about_connection(session: Session) -> Iterator[Finding]:
    """Compare what the registry sees of a request with what was sent."""
    answer = session.client.send("GET", "/api/v1/connection", session.basic)
    if answer.status != 200:
        yield Finding(
            "connection",
            f"GET /api/v1/connection is answered {answer.status}, so forwarded headers were not checked",
            "let the proxy pass on /api/ too, if only for the time of this check",
        )
        return
    seen: dict[str, Any] = json.loads(answer.body)
    is_direct = seen["peer_port"] == answer.local_port
    url = session.client.url
    if seen["scheme"] != url.scheme:
        yield Finding(
            "forwarded scheme",
            f"the registry takes the request for {seen['scheme']}",
            "let the proxy set X-Forwarded-Proto (nginx: $scheme), and list its address in server.trusted_proxies",
        )
    if seen["host"] != url.netloc:
        yield Finding(
            "forwarded host",
            f"the registry takes the host for {seen['host']} instead of {url.netloc}",
            "let the proxy pass on Host with its port (nginx: `proxy_set_header Host $http_host`)",
        )
    if seen["http_version"] == "HTTP/1.0":
        yield Finding(
            "HTTP version",
            "the proxy speaks HTTP/1.0 to the registry: a connection for each request, and no chunked bodies",
            "nginx: `proxy_http_version 1.1`",
        )
    if not is_direct and not seen["is_forwarded"]:
        yield Finding(
            "client address",
            f"the registry takes every client for {seen['address']}, the proxy: limits, rules and logs see one address",
            f"let the proxy append to X-Forwarded-For, and list {seen['address']} in server.trusted_proxies",
        )
    way = "directly" if is_direct else "through a proxy"
    yield Finding("connection", f"the registry sees {seen['address']} {way}, by {seen['scheme']}, as {seen['host']}")


def _detail(body: bytes) -> str:
    """Return the message of an error in the registry's form, otherwise the beginning of the body."""
    try:
        error = json.loads(body)["errors"][0]
        return str(error.get("detail") or error["message"])
    except (ValueError, KeyError, IndexError, TypeError):
        return body[:100].decode(errors="replace")
