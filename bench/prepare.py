"""Fill a registry with what the rows read, over its API, so that both hold the same."""

from collections.abc import Container, Iterable

from bench.content import manifest
from bench.load import Run
from bench.peers import Peer
from bench.request import Operation
from bench.rows import TAG, Stock
from bench.target import CATALOG_PREFIX, REPOSITORY, TAGGED, Target

CONNECTIONS = 4
# Repositories that one token is asked for.
SCOPES = 20
SECONDS_MAX = 600


def fill(peer: Peer, stock: Stock, needs: Container[str] = ("tags", "repositories")) -> None:
    """Push everything that is needed; exit with the error when the registry does not take it."""
    target = Target(peer)
    authorization = peer.authorization(f"repository:{REPOSITORY}:pull,push")
    _run(peer, [_image(target, authorization, stock)])
    _run(peer, [target.push_long_blob(REPOSITORY, authorization, stock.large_blob)])
    if "tags" in needs:
        authorization = peer.authorization(f"repository:{TAGGED}:pull,push repository:{REPOSITORY}:pull")
        _run(peer, [_mounted(target, TAGGED, "t0000", authorization, stock)])
        _run(peer, _tags(target, authorization, stock))
    if "repositories" in needs:
        _run(peer, _repositories(target, stock))


def _run(peer: Peer, operations: Iterable[Operation]) -> None:
    todo = iter(operations)
    load = Run(peer.address, lambda: next(todo, None), connections=CONNECTIONS, seconds=SECONDS_MAX)()
    if load.errors:
        raise SystemExit(f"{peer.name} could not be filled: {next(iter(load.errors))}")


def _image(target: Target, authorization: str, stock: Stock) -> Operation:
    for blob in (stock.image.config, stock.image.layer):
        yield from target.push_blob(REPOSITORY, authorization, blob)
    yield target.put_manifest(REPOSITORY, TAG, authorization, stock.image.manifest)


def _tags(target: Target, authorization: str, stock: Stock) -> Iterable[Operation]:
    """Give the manifest that is there already all other tags."""

    def one(tag: str) -> Operation:
        yield target.put_manifest(TAGGED, tag, authorization, manifest(stock.image.config))

    return (one(f"t{number:04}") for number in range(1, stock.names))


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
