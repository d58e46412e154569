"""The requests of a small push for `bench.profile_request`: what each needs is sent before anything is counted."""

import itertools
from collections.abc import Callable, Iterable
from dataclasses import dataclass

from bench.content import CONFIG_BYTES, LAYER_BYTES, Series, manifest
from bench.load import Begin
from bench.request import Operation
from bench.target import PUSH, PUSHED, Target, location, with_digest

IMAGE_REQUESTS = 7
"""Those of one image: two missing blobs, each by HEAD, POST and PUT, and the manifest."""

Send = Callable[[Iterable[Operation]], None]
"""Sends every request of the operations over one connection."""


@dataclass(frozen=True, slots=True)
class Push:
    """One request. `begin` prepares so many of them, and returns what begins one."""

    name: str
    begin: Callable[[Target, int, Send], Begin]


def _blob_post(target: Target, _number: int, _send: Send) -> Begin:
    authorization = target.peer.authorization(PUSH)

    def operation() -> Operation:
        yield target.start_upload(PUSHED, authorization)

    return operation


def _blob_put(target: Target, number: int, send: Send) -> Begin:
    authorization = target.peer.authorization(PUSH)
    sessions: list[str] = []
    layers = Series(LAYER_BYTES, 2)

    def start() -> Operation:
        sessions.append(location((yield target.start_upload(PUSHED, authorization))))

    def operation() -> Operation:
        blob = layers.next()
        path = with_digest(sessions.pop(), blob.digest)
        yield target.request("PUT", path, authorization, body=blob.content, status=201)

    send(start() for _ in range(number))
    return operation


def _blob_missing(target: Target, _number: int, _send: Send) -> Begin:
    authorization = target.peer.authorization(PUSH)
    layers = Series(LAYER_BYTES, 2)

    def operation() -> Operation:
        yield target.request("HEAD", f"/v2/{PUSHED}/blobs/{layers.next().digest}", authorization, status=404)

    return operation


def _manifest_put(target: Target, number: int, send: Send) -> Begin:
    """Each manifest is new and has a new tag; each names a config and a layer that no other names together."""
    authorization = target.peer.authorization(PUSH)
    count = 1 + int(number**0.5)
    series = (Series(CONFIG_BYTES, 1), Series(LAYER_BYTES, 2))
    configs, layers = ([one.next() for _ in range(count)] for one in series)
    pairs = enumerate(itertools.product(configs, layers))

    def operation() -> Operation:
        tag, (config, layer) = next(pairs)
        yield target.put_manifest(PUSHED, f"t{tag}", authorization, manifest(config, layer))

    send(target.push_blob(PUSHED, authorization, blob) for blob in (*configs, *layers))
    return operation


PUSHES = (
    Push("blob-missing", _blob_missing),
    Push("blob-post", _blob_post),
    Push("blob-put", _blob_put),
    Push("manifest-put", _manifest_put),
)
