"""Reach the registry: name, port, certificate, and the challenge that sends clients to the token endpoint."""

import re
import socket
import ssl
from collections.abc import Iterator
from urllib.parse import SplitResult, urlsplit

from diagnostics.connection import Answer, BrokenError
from diagnostics.finding import Finding, UnusableError
from diagnostics.session import Session

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
    challenge = answer.headers.get("www-authenticate", "")
    parameters = dict(_PARAMETER.findall(challenge))
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


def _first_answer(session: Session) -> Answer:
    url = session.client.url
    where = f"{url.hostname}:{url.port or {'https': 443}.get(url.scheme, 80)}"
    try:
        return session.client.send("GET", "/v2/")
    except socket.gaierror as error:
        fault = Finding("address", f"{url.hostname} has no address: {error.strerror}", "correct the URL, or the DNS")
    except ssl.SSLCertVerificationError as error:
        remedy = _CERTIFICATE.get(error.verify_code, "correct the certificate of the proxy")
        fault = Finding("certificate", f"the certificate is refused: {error.verify_message}", remedy)
    except ssl.SSLError as error:
        remedy = f"if {where} is a port without TLS, give the URL with http://, or let the proxy listen with `ssl`"
        fault = Finding("TLS", f"{where} does not speak TLS: {error.reason}", remedy)
    except BrokenError as error:
        fault = Finding("address", f"{where} accepts the connection and gives no answer: {error}", _TIMEOUT_REMEDY)
    except OSError as error:
        remedy = "start the proxy, and open the port in the firewall"
        fault = Finding("address", f"{where} can't be reached: {error.strerror or error}", remedy)
    raise UnusableError(fault)


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
    return Finding(
        "address",
        f"/v2/ is answered {answer.status} by something else than the registry",
        "let the proxy pass on every path unchanged, to the registry's server.addr",
    )


def _about_realm(url: SplitResult, text: str) -> Finding:
    realm = urlsplit(text)
    said = f"clients are sent to {text} for a token"
    if realm.scheme != url.scheme:
        return Finding("realm", f"{said}, by {realm.scheme} instead of {url.scheme}", _FORWARD)
    if realm.hostname == url.hostname and realm.port != url.port:
        return Finding("realm", f"{said}, which has lost the port of {url.netloc}", _FORWARD)
    if realm.hostname != url.hostname:
        return Finding("realm", f"{said}, which is another host than {url.hostname}", _FORWARD)
    return Finding("realm", said)
