"""Reach the registry: name, port, certificate, and the challenge that sends clients to the token endpoint."""

import http.client
import re
import socket
import ssl
from collections.abc import Iterator
from urllib.parse import SplitResult, urlsplit

from diagnostics.connection import DEFAULT_PORTS, Answer, BrokenError, place_of
from diagnostics.finding import Finding, UnusableError
from diagnostics.session import Session

_BEARER = re.compile(r"\bbearer\s+(.*)", re.IGNORECASE | re.DOTALL)
_PARAMETER = re.compile(r'(\w+)="([^"]*)"')
_FORWARD = (
    "let the proxy set X-Forwarded-Proto and X-Forwarded-Host (nginx: `proxy_set_header X-Forwarded-Host $http_host`), "
    "and list its address in server.trusted_proxies; or correct server.public_url"
)
_OTHER_NAME = "let the certificate name this host, or use a name that it has"
_CERTIFICATE = {
    10: "renew it",
    18: "clients trust it only after its file is installed on each; a public authority needs none",
    19: "the authority is not trusted here: give its file with --ca-file; clients need it too",
    20: "let the proxy send the intermediate certificates too (nginx: the full chain in ssl_certificate); "
    "if the authority is your own, give its file with --ca-file",
    62: _OTHER_NAME,
    64: _OTHER_NAME,
}
"""What to do, by OpenSSL's X509_V_ERR number."""


def check_address(session: Session) -> Iterator[Finding]:
    """Connect and read the challenge of `/v2/`. Raises UnusableError when there is no registry at the URL."""
    url = session.client.url
    answer = _first_answer(session)
    if 300 <= answer.status < 400:
        target = answer.headers.get("location", "")
        raise UnusableError(Finding("address", f"GET /v2/ is redirected to {target}", "give the URL that it leads to"))
    if not answer.is_from_registry:
        raise UnusableError(_not_the_registry(answer))
    scheme = "its certificate is valid" if url.scheme == "https" else "without TLS"
    yield Finding("address", f"the registry answers at {url.geturl()}, {scheme}")
    if url.scheme == "http" and url.hostname not in ("localhost", "127.0.0.1", "::1"):
        yield Finding(
            "TLS",
            "the URL is plain HTTP: passwords are readable on the way, and clients refuse it without being told",
            "put a proxy with TLS in front (docs/deployment.md)",
        )
    parameters = _challenge(answer)
    if answer.status != 401 or "realm" not in parameters:
        raise UnusableError(
            Finding(
                "challenge",
                f"GET /v2/ without a token is answered {answer.status}, not 401 with a Bearer challenge",
                "let the proxy pass on WWW-Authenticate, and ask for no password of its own in front of /v2/",
            )
        )
    session.realm, session.service = parameters["realm"], parameters.get("service", "")
    yield _about_realm(url, session.realm)


def _challenge(answer: Answer) -> dict[str, str]:
    """Return the parameters of the Bearer challenge; a proxy may have added a challenge of its own."""
    found = _BEARER.search(answer.headers.get("www-authenticate", ""))
    # Reversed: a parameter that is there twice is the first one's.
    return dict(reversed(_PARAMETER.findall(found[1]))) if found else {}


def _first_answer(session: Session) -> Answer:
    url = session.client.url
    host = f"[{url.hostname}]" if ":" in (url.hostname or "") else url.hostname
    where = f"{host}:{url.port or DEFAULT_PORTS[url.scheme]}"
    try:
        return session.client.send("GET", "/v2/")
    except (socket.gaierror, UnicodeError) as error:
        reason = getattr(error, "strerror", None) or error
        fault = Finding("address", f"{url.hostname} has no address: {reason}", "correct the URL, or the DNS")
    except ssl.SSLCertVerificationError as error:
        remedy = _CERTIFICATE.get(error.verify_code, "correct the certificate of the proxy")
        fault = Finding("certificate", f"the certificate is refused: {error.verify_message}", remedy)
    except ssl.SSLError as error:
        # Python has no name for this alert in each of its versions, then OpenSSL's own has spaces.
        if "no application protocol" in str(error).lower().replace("_", " "):
            raise UnusableError(Finding("HTTP version", f"{where} refuses HTTP/1.1 (ALPN)", _HTTP_1)) from error
        remedy = f"if {where} is a port without TLS, give the URL with http://, or let the proxy listen with `ssl`"
        fault = Finding("TLS", f"{where} does not speak TLS: {error.reason or error}", remedy)
    except BrokenError as error:
        cause = error.__cause__
        if isinstance(cause, http.client.BadStatusLine) and not isinstance(cause, http.client.RemoteDisconnected):
            raise UnusableError(Finding("HTTP version", f"{where} does not answer by HTTP/1.1", _HTTP_1)) from error
        fault = Finding("address", f"{where} accepts the connection and gives no answer: {error}", _TIMEOUT_REMEDY)
    except OSError as error:
        remedy = "start the proxy, and open the port in the firewall"
        fault = Finding("address", f"{where} can't be reached: {error.strerror or error}", remedy)
    raise UnusableError(fault)


_HTTP_1 = "let the proxy speak HTTP/1.1 besides HTTP/2: this check and some clients need it"
_TIMEOUT_REMEDY = "look into the log of the proxy: which address does it pass requests on to, and does that one answer?"


def _not_the_registry(answer: Answer) -> Finding:
    if answer.status in (502, 503, 504):
        return Finding(
            "address",
            f"the proxy answers {answer.status} itself: it does not reach the registry",
            "start the registry, and correct the address behind proxy_pass (nginx) or the service's URL (Traefik)",
        )
    if answer.status == 400 and b"HTTPS port" in answer.body:
        return Finding("TLS", "the port speaks TLS, and the URL begins with http://", "give the URL with https://")
    if answer.status == 401 and "realm" in _challenge(answer):
        return Finding(
            "headers",
            "the answer has the registry's challenge, and has lost Docker-Distribution-API-Version",
            "let the proxy pass on all headers of answers (nginx: remove `proxy_hide_header`)",
        )
    return Finding(
        "address",
        f"/v2/ is answered {answer.status} by something else than the registry",
        "let the proxy pass on every path unchanged, to the registry's server.addr",
    )


def _about_realm(url: SplitResult, text: str) -> Finding:
    said = f"clients are sent to {text} for a token"
    place, public = place_of(text), place_of(url.geturl())
    if place is None or public is None:
        return Finding("realm", f"{said}, which is no URL", _FORWARD)
    scheme = urlsplit(text).scheme
    if scheme != url.scheme:
        return Finding("realm", f"{said}, by {scheme} instead of {url.scheme}", _FORWARD)
    if place[0] != public[0]:
        return Finding("realm", f"{said}, which is another host than {url.hostname}", _FORWARD)
    if place != public:
        return Finding("realm", f"{said}, which has lost the port of {url.netloc}", _FORWARD)
    return Finding("realm", said)
