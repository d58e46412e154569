"""The response to a pull of a manifest from a proxied repository: fetched when missing, tags revalidated by HEAD."""

import logging
import threading
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

from acl.names import RepositoryName
from core.api.errors import ErrorCode, RegistryError, unavailable
from core.blocking import blocking_io
from core.caches import TTLCache
from core.db.statement import Statement
from core.db.transactions import release_connection
from distribution import pull, queries
from distribution.caching import faults
from distribution.manifests import store
from distribution.manifests.incoming import FETCHED_BY, is_fetched_by
from distribution.protocol.digest import Digest, parse_digest
from distribution.protocol.references import Tag
from distribution.pull import Pulled
from distribution.queries import FoundManifest
from tokens.verify import Bearer
from upstreams.client import RemoteManifest, Upstream
from upstreams.exchange import UpstreamError
from upstreams.models import Proxy

WAIT_SECONDS = 60.0
MAX_REFERRERS = 100

logger = logging.getLogger(__name__)

_PUSHED_BY = Statement("""
SELECT pushed_by FROM distribution_tag
WHERE repository_id = (SELECT id FROM distribution_repository WHERE name = %s) AND name = %s
""")
# When the upstream was last asked for a tag, in this process: another one asks once more.
_checked: TTLCache[float] = TTLCache(7 * 86_400, limit=100_000, name="upstream_tags")
_asking: dict[tuple[str, str], threading.Lock] = {}
_waiting: dict[tuple[str, str], int] = {}
_lock = threading.Lock()


def is_due(name: str, text: str, proxy: Proxy) -> bool:
    """Tell whether the upstream is to be asked before the tag is served; a digest never changes."""
    return ":" not in text and _is_old(name, text, proxy)


def _is_old(name: str, what: str, proxy: Proxy) -> bool:
    """Tell whether the upstream was last asked for a tag, or for referrers, more than the `tag_ttl` ago."""
    checked_at = _checked.get((proxy.pk, name, what))
    return checked_at is None or time.monotonic() - checked_at >= proxy.tag_seconds


def forget() -> None:
    """Ask upstreams again for every tag."""
    _checked.clear()


def manifest(
    name: RepositoryName, text: str, method: str, meta: Mapping[str, Any], proxy: Proxy, *, bearer: Bearer
) -> Pulled:
    """Return the manifest, as current as the upstream tells. Raises RegistryError.

    What is here is served when the upstream fails, with a header Warning.
    """
    wanted = pull.manifest_reference(name, text)
    if not is_due(name, text, proxy):
        try:
            return pull.manifest(name, text, method, meta, bearer)
        except RegistryError as error:
            if error.code not in (ErrorCode.MANIFEST_UNKNOWN, ErrorCode.NAME_UNKNOWN):
                raise
    release_connection()
    with _alone(name, text):
        warning = _update(name, wanted, proxy)
    pulled = pull.manifest(name, text, method, meta, bearer)
    if warning:
        pulled.headers["Warning"] = warning
    return pulled


def fetch_referrers(name: RepositoryName, subject: Digest, proxy: Proxy) -> None:
    """Fetch the manifests that refer to `subject`, once in a `tag_ttl`; what can't be fetched is left out."""
    what = f"referrers {subject}"
    if not _is_old(name, what, proxy):
        return
    release_connection()
    try:
        with blocking_io(), faults.remembered(proxy, f"{what} of {name}"):
            listed = proxy.upstream().referrers(proxy.upstream_name(name), str(subject))
    except UpstreamError:
        # A registry before version 1.1 of the specification has none.
        return
    for text in listed[:MAX_REFERRERS]:
        with suppress(RegistryError):
            digest = parse_digest(text)
            with _alone(name, text):
                _update(name, digest, proxy)
    _checked.put((proxy.pk, name, what), time.monotonic())


@contextmanager
def _alone(name: str, text: str) -> Iterator[None]:
    """Have one thread at a time ask for a reference: the others find what it has stored."""
    key = (name, text)
    with _lock:
        lock = _asking.setdefault(key, threading.Lock())
        _waiting[key] = _waiting.get(key, 0) + 1
    try:
        with blocking_io():
            if not lock.acquire(timeout=WAIT_SECONDS):
                raise unavailable("another request is waiting for the upstream", faults.RETRY_SECONDS)
        try:
            yield
        finally:
            lock.release()
    finally:
        with _lock:
            _waiting[key] -= 1
            if not _waiting[key]:
                del _waiting[key], _asking[key]


def _update(name: RepositoryName, wanted: Digest | Tag, proxy: Proxy) -> str:
    """Fetch the manifest unless the one that is here is current; return a header Warning, "" for none."""
    found = queries.manifest(name, wanted, with_payload=False)
    if found is not None and (isinstance(wanted, Digest) or not is_due(name, str(wanted), proxy)):
        # Another thread was first.
        return ""
    if found is not None and not is_fetched_by(_PUSHED_BY.value(name, str(wanted))):
        # Pushed here, to a fallback: the tag of the upstream does not count any more.
        _checked.put((proxy.pk, name, str(wanted)), time.monotonic())
        return ""
    release_connection()
    try:
        with blocking_io(), faults.remembered(proxy, f"manifest {name} {wanted}"):
            fetched = _fetched(proxy.upstream(), proxy.upstream_name(name), str(wanted), found)
    except UpstreamError as error:
        if found is not None:
            return faults.warning_of(error)
        raise faults.as_client_error(error, ErrorCode.MANIFEST_UNKNOWN) from error
    try:
        is_kept = fetched is None or _is_kept(name, wanted, fetched, proxy)
    except RegistryError as error:
        if found is None:
            raise
        # Also when nothing can be written: reads go on.
        logger.warning("a tag was not updated", extra={"repository": name, "tag": wanted, "reason": str(error)})
        return faults.REVALIDATION_FAILED
    if not is_kept and found is None:
        raise store.unknown(name, str(wanted))
    if not isinstance(wanted, Digest):
        _checked.put((proxy.pk, name, str(wanted)), time.monotonic())
    return ""


def _fetched(upstream: Upstream, name: str, reference: str, found: FoundManifest | None) -> RemoteManifest | None:
    """Return the manifest of the upstream, None when it is the one that was found here."""
    if found is not None and upstream.head_manifest(name, reference).digest == found.digest:
        return None
    return upstream.manifest(name, reference)


def _is_kept(name: RepositoryName, wanted: Digest | Tag, fetched: RemoteManifest, proxy: Proxy) -> bool:
    """Store the manifest under the digest that was asked for or announced; False for an immutable tag that is set.

    Raises UNAVAILABLE for a manifest that is not what it should be: nobody here can correct it.
    """
    tags = () if isinstance(wanted, Digest) else (wanted,)
    try:
        if isinstance(wanted, Digest):
            digest = wanted
        else:
            digest = parse_digest(fetched.digest) if fetched.digest else Digest.of(fetched.payload)
        account = f"{FETCHED_BY}{proxy.prefix or '*'}"
        store.keep_fetched(name, fetched.payload, fetched.media_type, digest, tags, account=account[:128])
    except RegistryError as error:
        if error.status == 409:
            return False
        if error.code in (ErrorCode.MANIFEST_INVALID, ErrorCode.DIGEST_INVALID):
            refusal = unavailable(f"the upstream sent a manifest that is not valid here: {error}", 60)
            refusal.message = str(refusal.detail)
            raise refusal from error
        raise
    return True
