"""The response to a pull of a blob from a proxied repository."""

from collections.abc import Mapping
from functools import partial
from typing import IO, Any, cast

from acl.names import RepositoryName
from core.api.errors import ErrorCode, RegistryError
from core.blocking import blocking_io
from core.db.transactions import release_connection
from core.forwarded import network_of
from distribution import pull
from distribution.caching import faults, fetches
from distribution.protocol.digest import Digest, parse_digest
from distribution.protocol.spec import CONTENT_DIGEST_HEADER, OCTET_STREAM
from distribution.pull import Pulled
from tokens.verify import Bearer
from upstreams.exchange import Exchange, UpstreamError
from upstreams.models import Proxy

WAIT_SECONDS = 900.0
"""How long a client waits for a blob that another process fetches, or of which it wants a range."""


def blob(
    name: RepositoryName, text: str, method: str, meta: Mapping[str, Any], proxy: Proxy, *, bearer: Bearer
) -> Pulled:
    """Return the blob; one that is not here is fetched, and sent as it comes. Raises RegistryError."""
    try:
        return pull.blob(name, text, method, meta, bearer)
    except RegistryError as error:
        if error.code is not ErrorCode.BLOB_UNKNOWN:
            raise
        missed = error
    digest = parse_digest(text)
    release_connection()
    if method == "HEAD":
        if proxy.is_fallback:
            # A push asks whether it may leave the blob out: it may not, since nothing has it here.
            raise missed
        return _head(name, digest, proxy)
    wanted_by = bearer.identity.name or network_of(meta.get("REMOTE_ADDR", ""))
    fetch = fetches.join(name, digest, partial(_ask, proxy, name, digest), wanted_by)
    with blocking_io():
        file = fetch.open(WAIT_SECONDS, is_whole="HTTP_RANGE" in meta)
    if file is None:
        return pull.blob(name, text, method, meta, bearer)
    headers = _headers(digest) | {"Content-Length": str(file.size)}
    return Pulled(200, headers, "", file=cast("IO[bytes]", file))


def _head(name: RepositoryName, digest: Digest, proxy: Proxy) -> Pulled:
    try:
        with blocking_io(), _ask(proxy, name, digest, "HEAD") as answer:
            length = answer.headers.get("Content-Length", "")
    except UpstreamError as error:
        raise faults.as_client_error(error, ErrorCode.BLOB_UNKNOWN) from error
    return Pulled(200, _headers(digest) | ({"Content-Length": length} if length.isdecimal() else {}), "")


def _ask(proxy: Proxy, name: RepositoryName, digest: Digest, method: str) -> Exchange:
    with faults.remembered(proxy, f"blob {name} {digest}"):
        return proxy.upstream().blob(proxy.upstream_name(name), str(digest), method)


def _headers(digest: Digest) -> dict[str, str]:
    return {
        "Content-Type": OCTET_STREAM,
        CONTENT_DIGEST_HEADER: str(digest),
        "ETag": f'"{digest}"',
        "Accept-Ranges": "bytes",
        "Cache-Control": "max-age=31536000",
    }
