"""Log in: the Authorization header, the token, the clocks, and what the registry sees of the connection."""

from collections.abc import Iterator
from datetime import UTC, datetime

from diagnostics.connection import Answer, place_of
from diagnostics.finding import Finding, UnusableError
from diagnostics.session import Session

MOST_SKEW_SECONDS = 60
_SEEN = {"scheme", "host", "address", "http_version", "peer_port", "is_forwarded"}


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
    answer, has_token = session.log_in()
    if not has_token:
        remedy = "give the right name and password" if answer.status == 401 else "look into the log of the registry"
        if answer.status == 200:
            remedy = "let the proxy pass on /v2/token unchanged, and show no login page of its own"
        said = f"the login of {session.account} is answered {answer.status}: {_detail(answer)}"
        raise UnusableError(Finding("login", said, remedy))
    yield Finding("login", f"{session.account} gets a token")
    yield _about_clocks(answer)
    yield from _about_connection(session)


def _about_clocks(answer: Answer) -> Finding:
    try:
        ahead = (datetime.fromisoformat(answer.document["issued_at"]) - datetime.now(UTC)).total_seconds()
    except (KeyError, TypeError, ValueError):
        return Finding("clock", "not compared: the token came without the time of its issue")
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
    seen = answer.document
    if answer.status != 200 or not seen.keys() >= _SEEN:
        by = "" if answer.status != 200 else " by something else than the registry"
        yield Finding(
            "connection",
            f"GET /api/v1/connection is answered {answer.status}{by}, so forwarded headers were not checked",
            "let the proxy pass on /api/ too, if only for the time of this check",
        )
        return
    is_direct = seen["peer_port"] == answer.local_port
    url = session.client.url
    if seen["scheme"] != url.scheme:
        yield Finding(
            "forwarded scheme",
            f"the registry takes the request for {seen['scheme']}",
            "let the proxy set X-Forwarded-Proto (nginx: $scheme), and list its address in server.trusted_proxies",
        )
    if place_of(str(seen["host"]), url.scheme) != place_of(url.geturl()):
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


def _detail(answer: Answer) -> str:
    """Return the message of an error in the registry's form, otherwise the beginning of the body."""
    try:
        error = answer.document["errors"][0]
        return str(error["detail"] or error["message"])
    except (KeyError, IndexError, TypeError):
        return answer.body[:100].decode(errors="replace")
