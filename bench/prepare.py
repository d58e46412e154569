"""Fill a registry with what the rows read, over its API, so that both hold the same."""

from collections.abc import Iterable

from bench.content import manifest
from bench.load import Run
from bench.peers import Peer
from bench.request import Operation
from bench.rows import TAG, Stock
from bench.target import CATALOG_PREFIX, REPOSITORY, TAGGED, Target, location, with_digest

CONNECTIONS = 4
# Repositories that one token is asked for.
SCOPES = 20
SECONDS_MAX = 600


def fill(peer: Peer, stock: Stock) -> None:
    """Push everything; exit with the error when the registry does not take it."""
    target = Target(peer)
    _run(peer, [_image(target, stock)])
    _run(peer, [_large(target, stock)])
    tagged = f"repository:{TAGGED}:pull,push repository:{REPOSITORY}:pull"
    authorization = peer.authorization(tagged)
    _run(peer, [_mounted(target, TAGGED, "t0000", authorization, stock)])
    payload = manifest(stock.image.config)
    tags = [f"t{number:04}" for number in range(1, stock.names)]
    _run(peer, (_one(target, TAGGED, tag, authorization, payload) for tag in tags))
    _run(peer, _repositories(target, stock))


def _run(peer: Peer, operations: Iterable[Operation]) -> None:
    todo = iter(operations)
    load = Run(peer.address, lambda: next(todo, None), connections=CONNECTIONS, seconds=SECONDS_MAX)()
    if load.errors:
        raise SystemExit(f"{peer.name} could not be filled: {next(iter(load.errors))}")


def _image(target: Target, stock: Stock) -> Operation:
    authorization = target.peer.authorization(f"repository:{REPOSITORY}:pull,push")
    for blob in (stock.image.config, stock.image.layer):
        yield from target.push_blob(REPOSITORY, authorization, blob)
    yield target.put_manifest(REPOSITORY, TAG, authorization, stock.image.manifest)


def _large(target: Target, stock: Stock) -> Operation:
    authorization = target.peer.authorization(f"repository:{REPOSITORY}:pull,push")
    blob = stock.large_blob
    session = location((yield target.start_upload(REPOSITORY, authorization)))
    framing, body = f"Content-Length: {blob.size}\r\n", (blob.common, memoryview(blob.tail))
    yield target.stream("PUT", with_digest(session, blob.digest), authorization, framing, body, 201)


def _one(target: Target, repository: str, tag: str, authorization: str, payload: bytes) -> Operation:
    yield target.put_manifest(repository, tag, authorization, payload)


def _mounted(target: Target, repository: str, tag: str, authorization: str, stock: Stock) -> Operation:
    """Put a manifest without layers, whose config is mounted from the first repository."""
    config = stock.image.config
    path = f"/v2/{repository}/blobs/uploads/?mount={config.digest}&from={REPOSITORY}"
    yield target.request("POST", path, authorization, body=b"", status=201)
    yield target.put_manifest(repository, tag, authorization, manifest(config))


def _repositories(target: Target, stock: Stock) -> Iterable[Operation]:
    names = [f"{CATALOG_PREFIX}{number:04}" for number in range(stock.names)]
    for start in range(0, len(names), SCOPES):
        some = names[start : start + SCOPES]
        scopes = " ".join((f"repository:{REPOSITORY}:pull", *(f"repository:{name}:pull,push" for name in some)))
        authorization = target.peer.authorization(scopes)
        for name in some:
            yield _mounted(target, name, TAG, authorization, stock)
