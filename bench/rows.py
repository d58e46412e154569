"""The rows of the comparison: what one operation is, what it is counted in, and the budget it has to keep."""

import itertools
from collections.abc import Callable, Iterator
from dataclasses import dataclass

from bench.content import LAYER_BYTES, MEBIBYTE, Image, Series, images
from bench.load import Begin
from bench.peers import Ours
from bench.request import Operation, Request
from bench.target import (
    ACCEPT,
    PULL,
    PUSH,
    PUSHED,
    REPOSITORY,
    TAGGED,
    Target,
    has_digest,
    has_token,
    holds,
    location,
    with_digest,
)

TAG = "v1"


class Stock:
    """What the rows read, the same in both registries, and what is still to be pushed."""

    def __init__(self, large_bytes: int = 64 * MEBIBYTE, names: int = 1000) -> None:
        """Make it; nothing is pushed yet."""
        self.names = names
        self.large = Series(large_bytes, 0)
        self.large_blob = self.large.next()
        self.images: Iterator[Image] = images()
        self.image = next(self.images)
        self.tags = (f"t{number}" for number in itertools.count())


Build = Callable[[Target, Stock], Begin]


@dataclass(frozen=True, slots=True)
class Row:
    """One line of the table. `build` returns what begins an operation, for one round with one registry.

    A large one is counted in MB, and what it writes is removed after each round. `needs` names what has to be pushed
    before, beyond one image and one large blob.

    `ratio` is the least that ours does per CPU-second against the other; `rate` is the least per CPU-second where
    there is nothing to compare with.
    """

    name: str
    build: Build
    ratio: float = 0.0
    rate: float = 0.0
    is_large: bool = False
    needs: str = ""
    has_peer: bool = True


def always(request: Request) -> Begin:
    """Return what begins an operation of this one request."""

    def operation() -> Operation:
        yield request

    return operation


def _get_manifest(method: str, by: str) -> Build:
    def build(target: Target, stock: Stock) -> Begin:
        reference = TAG if by == "tag" else stock.image.digest
        path = f"/v2/{REPOSITORY}/manifests/{reference}"
        check = has_digest(stock.image.digest) if method == "GET" else None
        length = len(stock.image.manifest)
        authorization = target.peer.authorization(PULL)
        return always(target.request(method, path, authorization, more=ACCEPT, length=length, check=check))

    return build


def _blob_head(target: Target, stock: Stock) -> Begin:
    path = f"/v2/{REPOSITORY}/blobs/{stock.image.layer.digest}"
    return always(target.request("HEAD", path, target.peer.authorization(PULL), length=LAYER_BYTES))


def _blob_get(target: Target, stock: Stock) -> Begin:
    digest = stock.image.layer.digest
    path, authorization = f"/v2/{REPOSITORY}/blobs/{digest}", target.peer.authorization(PULL)
    return always(target.request("GET", path, authorization, length=LAYER_BYTES, check=has_digest(digest)))


def _pull(target: Target, stock: Stock) -> Begin:
    blob = stock.large_blob
    path, authorization = f"/v2/{REPOSITORY}/blobs/{blob.digest}", target.peer.authorization(PULL)
    return always(target.request("GET", path, authorization, length=blob.size, check=has_digest(blob.digest)))


def _push_chunked(target: Target, stock: Stock) -> Begin:
    authorization = target.peer.authorization(PUSH)

    def operation() -> Operation:
        blob = stock.large.next()
        session = location((yield target.start_upload(PUSHED, authorization)))
        patched = yield target.patch_chunked(session, authorization, stock.large.chunked(blob))
        path = with_digest(location(patched), blob.digest)
        yield target.request("PUT", path, authorization, body=b"", status=201)

    return operation


def _push_length(target: Target, stock: Stock) -> Begin:
    authorization = target.peer.authorization(PUSH)
    return lambda: target.push_long_blob(PUSHED, authorization, stock.large.next())


def _image_push(target: Target, stock: Stock) -> Begin:
    authorization = target.peer.authorization(PUSH)

    def operation() -> Operation:
        image = next(stock.images)
        for blob in (image.config, image.layer):
            yield target.request("HEAD", f"/v2/{PUSHED}/blobs/{blob.digest}", authorization, status=404)
        for blob in (image.config, image.layer):
            yield from target.push_blob(PUSHED, authorization, blob)
        yield target.put_manifest(PUSHED, next(stock.tags), authorization, image.manifest)

    return operation


def _image_pull(target: Target, stock: Stock) -> Begin:
    parts = [_get_manifest("HEAD", "tag"), _get_manifest("GET", "digest"), _config_get, _blob_get]
    begins = [part(target, stock) for part in parts]

    def operation() -> Operation:
        for begin in begins:
            part = begin()
            assert part is not None
            yield from part

    return operation


def _config_get(target: Target, stock: Stock) -> Begin:
    config = stock.image.config
    path, authorization = f"/v2/{REPOSITORY}/blobs/{config.digest}", target.peer.authorization(PULL)
    return always(target.request("GET", path, authorization, length=config.size, check=has_digest(config.digest)))


def _tags(target: Target, stock: Stock) -> Begin:
    path, authorization = f"/v2/{TAGGED}/tags/list", target.peer.authorization(f"repository:{TAGGED}:pull")
    return always(target.request("GET", path, authorization, check=holds("tags", stock.names)))


def _catalog(target: Target, stock: Stock) -> Begin:
    path, authorization = f"/v2/_catalog?n={stock.names}", target.peer.authorization("registry:catalog:*")
    return always(target.request("GET", path, authorization, check=holds("repositories", stock.names)))


def _tokens(target: Target, _stock: Stock) -> Begin:
    assert isinstance(target.peer, Ours)
    path, authorization = target.peer.login()
    return always(target.request("GET", path, authorization, check=has_token))


ROWS = (
    Row("manifest-get-tag", _get_manifest("GET", "tag"), ratio=6),
    Row("manifest-get-digest", _get_manifest("GET", "digest"), ratio=6),
    Row("manifest-head-tag", _get_manifest("HEAD", "tag"), ratio=6),
    Row("manifest-head-digest", _get_manifest("HEAD", "digest"), ratio=6),
    Row("blob-head", _blob_head, ratio=5.5),
    Row("blob-get", _blob_get, ratio=10),
    Row("image-pull", _image_pull, ratio=9),
    Row("image-push", _image_push, ratio=3),
    Row("push-chunked", _push_chunked, ratio=2.8, is_large=True),
    Row("push-length", _push_length, ratio=2.8, is_large=True),
    Row("pull", _pull, ratio=1.5, is_large=True),
    Row("tags", _tags, ratio=2.5, needs="tags"),
    Row("catalog", _catalog, ratio=14, needs="repositories"),
    Row("tokens", _tokens, rate=3000, has_peer=False),
)
