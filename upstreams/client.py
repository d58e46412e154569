"""A client of registries of the V2 API: anonymous, Basic, or with a token from the realm that the registry names.

The credentials go to the configured host and to that realm, and nowhere else: a redirect to a cloud is followed without
them, and what it asks for is not given. Sources: the OCI Distribution Specification v1.1 and the Docker registry token
documents.
"""

import base64
import json
import re
import time
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlencode, urljoin, urlsplit

from core.caches import TTLCache
from upstreams.challenge import Challenge, parse
from upstreams.exchange import (
    WHOLE_SECONDS,
    Exchange,
    LimitedError,
    MissingError,
    Reach,
    UnreachableError,
    UpstreamError,
    send,
)

ACCEPTED = ", ".join(
    (
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
        "application/vnd.docker.distribution.manifest.v2+json",
    )
)
MAX_MANIFEST_BYTES = 4 * 1024 * 1024
MAX_LIST_BYTES = 4 * 1024 * 1024
MAX_TOKEN_BYTES = 64 * 1024
MAX_REDIRECTS = 5
MAX_PAGES = 10_000
DEFAULT_TOKEN_SECONDS = 60
RETRY_SECONDS = 60
_REDIRECTS = (301, 302, 303, 307, 308)
_DOCKER_HUB = ("docker.io", "index.docker.io", "registry-1.docker.io", "registry.hub.docker.com")
_NEXT = re.compile(r'<([^>]*)>\s*;\s*rel="?next"?')

# The Authorization headers that a registry took, with the time until which they are sent at once.
_known: TTLCache[tuple[float, str]] = TTLCache(3600, limit=2000, name="upstreams")


def is_docker_hub(url: str) -> bool:
    return (urlsplit(url).hostname or "").lower() in _DOCKER_HUB


@dataclass(frozen=True, slots=True)
class RemoteManifest:
    """A manifest of an upstream; `digest` is what the upstream says, "" for nothing. A HEAD has no payload."""

    digest: str
    media_type: str
    payload: bytes = field(default=b"", repr=False)


@dataclass(frozen=True, slots=True)
class Upstream:
    """A registry at `url`, an origin without a path; an empty `username` is anonymous."""

    url: str
    username: str = ""
    password: str = field(default="", repr=False)
    reach: Reach = field(default_factory=Reach)

    def head_manifest(self, name: str, reference: str) -> RemoteManifest:
        """Return what the upstream says of a manifest. Raises MissingError, LimitedError, UpstreamError."""
        with self._ask("HEAD", f"/v2/{name}/manifests/{reference}", name, ACCEPTED) as answer:
            return _described(answer)

    def manifest(self, name: str, reference: str) -> RemoteManifest:
        """Return a manifest, unverified. Raises MissingError, LimitedError, UpstreamError."""
        with self._ask("GET", f"/v2/{name}/manifests/{reference}", name, ACCEPTED) as answer:
            described = _described(answer)
            payload = answer.whole(MAX_MANIFEST_BYTES)
            return RemoteManifest(described.digest, described.media_type, payload)

    def blob(self, name: str, digest: str, method: str = "GET") -> Exchange:
        """Return the response with a blob, unverified. Raises MissingError, LimitedError, UpstreamError."""
        answer = self._ask(method, f"/v2/{name}/blobs/{digest}", name)
        answer.lift_deadline()
        return answer

    def repositories(self) -> Iterator[str]:
        """Yield the names of the catalog. Raises MissingError, LimitedError, UpstreamError."""
        yield from self._pages("/v2/_catalog?n=500", "", "repositories")

    def tags(self, name: str) -> Iterator[str]:
        """Yield the tags of a repository. Raises MissingError, LimitedError, UpstreamError."""
        yield from self._pages(f"/v2/{name}/tags/list?n=500", name, "tags")

    def referrers(self, name: str, digest: str) -> list[str]:
        """Return the digests of a manifest's referrers. Raises MissingError, LimitedError, UpstreamError."""
        with self._ask("GET", f"/v2/{name}/referrers/{digest}", name) as answer:
            listed = _json(answer, MAX_LIST_BYTES).get("manifests")
        found = listed if isinstance(listed, list) else []
        return [str(one["digest"]) for one in found if isinstance(one, dict) and isinstance(one.get("digest"), str)]

    def _pages(self, path: str, name: str, member: str) -> Iterator[str]:
        for _page in range(MAX_PAGES):
            with self._ask("GET", path, name) as answer:
                listed = _json(answer, MAX_LIST_BYTES).get(member)
                following = _NEXT.search(answer.headers.get("Link", ""))
            yield from (one for one in listed or () if isinstance(one, str))
            if following is None:
                return
            url = _joined(self.url + path, following[1])
            parts = urlsplit(url)
            if not self._is_own(url) or not parts.path.startswith("/"):
                raise UpstreamError(f"{self.url} sent a next page that is not its own")
            path = f"{parts.path}?{parts.query}"

    def _ask(self, method: str, path: str, name: str, accept: str = "*/*") -> Exchange:
        """Return a response of status 200; the name of a repository, "" for the catalog, is what a token is for."""
        scope = f"repository:{name}:pull" if name else "registry:catalog:*"
        until, authorization = _known.get((self, scope)) or (0.0, "")
        if until < time.monotonic():
            authorization = ""
        until = time.monotonic() + WHOLE_SECONDS
        answer = self._followed(method, self.url + path, {"Accept": accept}, authorization, until)
        if answer.status == 401:
            challenges = parse(answer.headers.get_all("WWW-Authenticate", []))
            answer.close()
            if not self._is_own(answer.url):
                # The target of a redirect must not name the realm that gets the password.
                raise UpstreamError(f"{_host(answer.url)}, to which {self.url} redirects, asks for a login")
            authorization = self._authorization(challenges, scope, until)
            answer = self._followed(method, self.url + path, {"Accept": accept}, authorization, until)
        if answer.status == 200:
            return answer
        answer.close()
        raise self._refusal(answer, path)

    def _followed(
        self, method: str, url: str, headers: Mapping[str, str], authorization: str, until: float
    ) -> Exchange:
        for _step in range(MAX_REDIRECTS + 1):
            secret = {"Authorization": authorization} if authorization and self._is_own(url) else {}
            answer = self._sent(method, url, {**headers, **secret}, until)
            location = answer.headers.get("Location")
            if answer.status not in _REDIRECTS or not location:
                return answer
            answer.close()
            url = _joined(url, location)
        raise UpstreamError(f"{self.url} redirects more than {MAX_REDIRECTS} times")

    def _sent(self, method: str, url: str, headers: Mapping[str, str], until: float) -> Exchange:
        """Send a request; without TLS only for a registry without TLS."""
        try:
            return send(method, url, headers, self.reach, until, allow_http=self.url.startswith("http://"))
        except UnreachableError as error:
            if self._is_own(url):
                raise
            # Says nothing about the registry, which may lead elsewhere for other content.
            raise UpstreamError(str(error)) from error

    def _authorization(self, challenges: list[Challenge], scope: str, until: float) -> str:
        """Return the Authorization header that the registry asks for, and remember it."""
        for challenge in challenges:
            if challenge.scheme == "bearer" and "realm" in challenge.parameters:
                token, seconds = self._token(challenge.parameters, scope, until)
                authorization, until = f"Bearer {token}", time.monotonic() + seconds
                break
            if challenge.scheme == "basic" and self.username:
                authorization, until = self._basic(), time.monotonic() + 3600
                break
        else:
            reason = "asks for a login" if not self.username else "offers no way to log in that is known here"
            raise MissingError(f"{self.url} {reason}")
        _known.put((self, scope), (until, authorization))
        return authorization

    def _token(self, parameters: Mapping[str, str], scope: str, until: float) -> tuple[str, float]:
        """Return a token of the realm, and for how many seconds it is used."""
        realm = _joined(self.url, parameters["realm"])
        asked = [("service", parameters["service"])] if "service" in parameters else []
        asked += [("scope", scope), *([("account", self.username)] if self.username else [])]
        url = f"{realm}{'&' if urlsplit(realm).query else '?'}{urlencode(asked)}"
        headers = {"Authorization": self._basic()} if self.username else {}
        # Not redirected, which could lead the password elsewhere.
        with self._sent("GET", url, headers, until) as answer:
            if answer.status in (401, 403):
                raise MissingError(f"{_host(realm)} refuses the account of {self.url}")
            if answer.status != 200:
                raise self._refusal(answer, "the request for a token")
            found = _json(answer, MAX_TOKEN_BYTES)
        token, seconds = found.get("token") or found.get("access_token"), found.get("expires_in")
        if not isinstance(token, str) or re.fullmatch(r"[!-~]+", token) is None:
            raise UpstreamError(f"{_host(realm)} sent no token")
        lifetime = seconds if isinstance(seconds, int) and not isinstance(seconds, bool) else DEFAULT_TOKEN_SECONDS
        return token, max(0.0, min(lifetime, 3600) - 10)

    def _is_own(self, url: str) -> bool:
        return _origin_of(url) == _origin_of(self.url)

    def _basic(self) -> str:
        return "Basic " + base64.b64encode(f"{self.username}:{self.password}".encode()).decode()

    def _refusal(self, answer: Exchange, what: str) -> UpstreamError:
        """Return the error of a status other than 200."""
        if answer.status == 404:
            return MissingError(f"{self.url} does not have {what}")
        if answer.status in (401, 403):
            return MissingError(f"{self.url} refuses {what} ({answer.status})")
        if answer.status == 429:
            seconds = _seconds(answer.headers.get("Retry-After", ""))
            limit = re.match(r"(\d{1,9});w=(\d{1,9})", answer.headers.get("RateLimit-Limit", ""))
            rate = f" {limit[1]} requests in {int(limit[2]) // 60} minutes, and" if limit else ""
            reason = f"the upstream allows{rate} no more requests now; try again in {seconds} s"
            return LimitedError(reason, seconds, is_of_registry=self._is_own(answer.url))
        return UpstreamError(f"{self.url} answers {answer.status} to {what}")


def _described(answer: Exchange) -> RemoteManifest:
    media_type = answer.headers.get("Content-Type", "").partition(";")[0].strip()
    return RemoteManifest(answer.headers.get("Docker-Content-Digest", "").strip(), media_type)


def _json(answer: Exchange, limit: int) -> dict[str, Any]:
    try:
        found = json.loads(answer.whole(limit))
    except (ValueError, RecursionError) as error:
        raise UpstreamError(f"{_host(answer.url)} sent no JSON") from error
    if not isinstance(found, dict):
        raise UpstreamError(f"{_host(answer.url)} sent no JSON object")
    return found


def _joined(url: str, other: str) -> str:
    """Return a URL relative to `url`. Raises UpstreamError."""
    try:
        return urljoin(url, other)
    except ValueError as error:
        raise UpstreamError(f"{_host(url)} sent a URL that can't be read") from error


def _origin_of(url: str) -> tuple[str, str, int | None]:
    try:
        parts = urlsplit(url)
        port = parts.port or {"http": 80, "https": 443}.get(parts.scheme)
    except ValueError:
        return ("", "", None)
    return (parts.scheme, parts.hostname or "", port)


def _host(url: str) -> str:
    return urlsplit(url).hostname or "the realm"


def _seconds(header: str) -> int:
    """Return the seconds of a Retry-After; one with a date counts as RETRY_SECONDS."""
    return max(1, min(int(header), 86_400)) if re.fullmatch(r"\d{1,9}", header.strip()) else RETRY_SECONDS
