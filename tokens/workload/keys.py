"""The public keys of an issuer (RFC 7517): from a file, or by HTTPS from the hosts that the configuration names.

Each process keeps them, and the database those that were fetched last: they are fresh for ten minutes, and count for an
hour more while the issuer can't be reached. An unknown kid has them fetched again, at most once in RETRY_SECONDS.
"""

import json
import logging
import ssl
import threading
import time
import urllib.request
from collections.abc import Mapping
from datetime import UTC, datetime
from functools import cache
from http.client import HTTPException
from typing import Any, NamedTuple
from urllib.parse import urlsplit

from django.db import DatabaseError
from jwt.algorithms import ECAlgorithm, OKPAlgorithm, RSAAlgorithm

from configuration.identities import TrustedIssuer, is_https
from core.blocking import blocking_io
from core.db.database_fault import report
from core.db.short_transaction import short_transaction
from tokens.models import IssuerKeys as StoredKeys

FRESH_SECONDS = 600
STALE_SECONDS = 3600
RETRY_SECONDS = 10
TIMEOUT_SECONDS = 5
DEADLINE_SECONDS = 10
PATIENCE_SECONDS = 0.2
MAX_BYTES = 256 * 1024
MAX_KEYS = 100
MIN_RSA_BITS = 2048

_PUBLIC_MEMBERS = ("kty", "kid", "use", "alg", "n", "e", "crv", "x", "y")
_EC_ALGORITHMS = {"P-256": "ES256", "P-384": "ES384", "P-521": "ES512"}
_RSA_ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512")

logger = logging.getLogger(__name__)


class KeysUnavailableError(Exception):
    """The keys can't be fetched, and no cached ones count any more; the message says why."""


class PublicKey(NamedTuple):
    """A key, and the algorithms of its type."""

    key: Any
    algorithms: tuple[str, ...]


class _KeySet(NamedTuple):
    by_kid: Mapping[str, PublicKey]
    fetched_at: float
    """By the monotonic clock."""

    @property
    def age_seconds(self) -> float:
        return time.monotonic() - self.fetched_at


class IssuerKeys:
    """The cached keys of one issuer."""

    def __init__(self, issuer: TrustedIssuer) -> None:
        self._issuer = issuer
        self._source = issuer.jwks_url or issuer.issuer
        self._lock = threading.Lock()
        self._keys: _KeySet | None = None
        self._tried_at = float("-inf")
        self._problem = "not fetched yet"

    def key(self, kid: str) -> PublicKey | None:
        """Return the key, None when the issuer has none of this kid. Raises KeysUnavailableError."""
        keys = self._keys
        is_known = keys is not None and kid in keys.by_kid
        if keys is None or not is_known or keys.age_seconds > FRESH_SECONDS:
            # With a cached key no thread waits for another that fetches.
            self._fetch(kid, may_wait=not is_known)
        keys = self._keys
        if keys is None or keys.age_seconds > FRESH_SECONDS + STALE_SECONDS:
            raise KeysUnavailableError(self._problem)
        return keys.by_kid.get(kid)

    def _fetch(self, kid: str, *, may_wait: bool) -> None:
        with blocking_io():
            if not self._lock.acquire(blocking=may_wait):
                return
            try:
                # Another thread may have fetched meanwhile.
                if time.monotonic() - self._tried_at >= RETRY_SECONDS:
                    self._try(kid)
            finally:
                self._lock.release()

    def _try(self, kid: str) -> None:
        """Take the keys of the database while they are fresh and have `kid`; otherwise fetch them."""
        stored = self._stored()
        if stored is not None and (self._keys is None or stored.age_seconds < self._keys.age_seconds):
            self._keys = stored
            if kid in stored.by_kid and stored.age_seconds <= FRESH_SECONDS:
                return
        try:
            document = _read(self._issuer)
            self._keys = _KeySet(parsed(document, self._issuer.algorithms), time.monotonic())
            self._store(document)
        except (OSError, ValueError, HTTPException) as error:
            self._problem = f"{type(error).__name__}: {error}"
            about = {"issuer": self._issuer.issuer, "reason": self._problem}
            logger.warning("the keys of a trusted issuer can't be fetched", extra=about)
        finally:
            self._tried_at = time.monotonic()

    def _stored(self) -> _KeySet | None:
        row = None if self._issuer.jwks_file else StoredKeys.objects.filter(source=self._source).first()
        if row is None:
            return None
        age = max(0.0, time.time() - row.fetched_at.timestamp())
        return _KeySet(parsed(row.document, self._issuer.algorithms), time.monotonic() - age)

    def _store(self, document: Any) -> None:
        if self._issuer.jwks_file:
            return
        # Without the private members of a careless issuer.
        entries = [entry for entry in document["keys"] if isinstance(entry, dict)]
        public = [{name: entry[name] for name in _PUBLIC_MEMBERS if name in entry} for entry in entries]
        values = {"document": {"keys": public}, "fetched_at": datetime.fromtimestamp(time.time(), UTC)}
        try:
            with short_transaction(PATIENCE_SECONDS):
                StoredKeys.objects.update_or_create(source=self._source, defaults=values)
        except DatabaseError as error:
            logger.warning("the keys of an issuer can't be stored", extra={"reason": report(error).reason})


@cache
def keys_of(issuer: TrustedIssuer) -> IssuerKeys:
    """Return the keys of an issuer, which the process keeps."""
    return IssuerKeys(issuer)


def parsed(document: Any, allowed: tuple[str, ...]) -> dict[str, PublicKey]:
    """Return the keys that may verify signatures of an `allowed` algorithm, by kid. Raises ValueError."""
    entries = document.get("keys") if isinstance(document, dict) else None
    if not isinstance(entries, list) or len(entries) > MAX_KEYS:
        raise ValueError(f"not a JSON Web Key Set of at most {MAX_KEYS} keys")
    found = {}
    for entry in entries:
        if not isinstance(entry, dict) or not isinstance(entry.get("kid"), str) or entry.get("use", "sig") != "sig":
            continue
        try:
            key, algorithms = _public(entry)
        except Exception:  # noqa: BLE001, S112 - any exception of a parser means a key that can't be used
            continue
        of_key = tuple(name for name in algorithms if name in allowed and entry.get("alg", name) == name)
        if of_key:
            found[entry["kid"]] = PublicKey(key, of_key)
    return found


def _public(entry: dict[str, Any]) -> tuple[Any, tuple[str, ...]]:
    """Return a key without its private members, and the algorithms of its type. Raises any error for a bad one."""
    kind = entry.get("kty")
    if kind == "RSA":
        rsa: Any = RSAAlgorithm.from_jwk({name: entry[name] for name in ("kty", "n", "e")})
        return rsa, _RSA_ALGORITHMS if rsa.key_size >= MIN_RSA_BITS else ()
    if kind == "EC":
        curve = entry["crv"]
        return ECAlgorithm.from_jwk({name: entry[name] for name in ("kty", "crv", "x", "y")}), (_EC_ALGORITHMS[curve],)
    if kind == "OKP":
        return OKPAlgorithm.from_jwk({name: entry[name] for name in ("kty", "crv", "x")}), ("EdDSA",)
    return None, ()  # of HMAC: a secret is nobody's public key


def _read(issuer: TrustedIssuer) -> Any:
    """Return the key set of the issuer. Raises OSError and ValueError."""
    if issuer.jwks_file is not None:
        with issuer.jwks_file.open("rb") as file:
            return _json(file.read(MAX_BYTES + 1))
    if issuer.jwks_url is not None:
        return _get(issuer.jwks_url, issuer)
    document = _get(f"{issuer.issuer.rstrip('/')}/.well-known/openid-configuration", issuer)
    url = document.get("jwks_uri") if isinstance(document, dict) else None
    if not isinstance(url, str) or document.get("issuer") != issuer.issuer:
        raise ValueError("the document of the issuer names another issuer, or no jwks_uri")
    # Only hosts of the configuration are asked: a document must not lead to an address of this network.
    if not is_https(url) or urlsplit(url).netloc != urlsplit(issuer.issuer).netloc:
        raise ValueError(f"the document of the issuer names keys at another host, {url[:200]!a}: set jwks_url")
    return _get(url, issuer)


class _NoRedirects(urllib.request.HTTPRedirectHandler):
    def redirect_request(self, *_args: Any, **_kwargs: Any) -> None:
        """Follow none: the response is an error then."""


def _get(url: str, issuer: TrustedIssuer) -> Any:
    context = ssl.create_default_context(cafile=str(issuer.ca_file) if issuer.ca_file else None)
    opener = urllib.request.build_opener(urllib.request.HTTPSHandler(context=context), _NoRedirects())
    deadline, content = time.monotonic() + DEADLINE_SECONDS, b""
    with opener.open(url, timeout=TIMEOUT_SECONDS) as response:
        while part := response.read1(64 * 1024):
            content += part
            if len(content) > MAX_BYTES:
                break
            # The timeout is one of each read.
            if time.monotonic() > deadline:
                raise TimeoutError(f"{url} takes longer than {DEADLINE_SECONDS} s")
    return _json(content)


def _json(content: bytes) -> Any:
    if len(content) > MAX_BYTES:
        raise ValueError(f"more than {MAX_BYTES} bytes")
    try:
        return json.loads(content)
    except RecursionError as error:
        raise ValueError("nested too deeply") from error
