"""A docker-registry of Debian, and a client that compares what two registries answer."""

import http.client
import json
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path

from bench.peers import Reference
from tests.images import digest_of
from tests.registry_copy.source import SourceTree

ACCEPT = ", ".join(
    (
        "application/vnd.oci.image.manifest.v1+json",
        "application/vnd.oci.image.index.v1+json",
        "application/vnd.docker.distribution.manifest.v2+json",
        "application/vnd.docker.distribution.manifest.list.v2+json",
    )
)

Answers = dict[str, tuple[int, str, str, bytes]]


class Theirs(Reference):
    """A docker-registry with its storage in `root`."""

    def __init__(self, folder: Path, root: Path) -> None:
        self.root = root
        super().__init__(folder)

    def configuration(self) -> dict[str, object]:
        self._data = self.root
        return super().configuration()


@contextmanager
def theirs(folder: Path, root: Path) -> Iterator[Theirs]:
    registry = Theirs(folder, root)
    try:
        yield registry
    finally:
        registry.stop()


@dataclass(frozen=True)
class Client:
    """A client that pulls and pushes without a library."""

    address: tuple[str, int]
    authorization: str = ""

    def send(
        self, method: str, path: str, body: bytes | None = None, **headers: str
    ) -> tuple[int, dict[str, str], bytes]:
        sent = {"Accept": ACCEPT} | {name.replace("_", "-"): value for name, value in headers.items()}
        if self.authorization:
            sent["Authorization"] = self.authorization
        with closing(http.client.HTTPConnection(*self.address, timeout=60)) as connection:
            connection.request(method, path, body, sent)
            answer = connection.getresponse()
            return answer.status, {name.lower(): value for name, value in answer.getheaders()}, answer.read()

    def push_blob(self, name: str, content: bytes) -> str:
        _, headers, _ = self.send("POST", f"/v2/{name}/blobs/uploads/")
        location = headers["location"].partition(f":{self.address[1]}")[2] or headers["location"]
        digest = digest_of(content)
        status, _, said = self.send("PUT", f"{location}&digest={digest}", content)
        assert status == 201, said
        return digest

    def put(self, name: str, reference: str, payload: bytes) -> str:
        media_type = json.loads(payload)["mediaType"]
        status, _, said = self.send("PUT", f"/v2/{name}/manifests/{reference}", payload, Content_Type=media_type)
        assert status == 201, said
        return digest_of(payload)

    def answers(self, paths: list[str]) -> Answers:
        """Return what a client gets for each path: status, type, digest, bytes."""
        found = {}
        for path in paths:
            status, headers, body = self.send("GET", path)
            is_manifest = status == 200 and "/manifests/" in path
            kind = headers["content-type"] if is_manifest else ""
            found[path] = (status, kind, headers.get("docker-content-digest", ""), body if status == 200 else b"")
        return found


def paths_of(tree: SourceTree) -> list[str]:
    """Return the path of each tag, manifest and blob that the files of the other registry show."""
    found = []
    for link in sorted((tree.v2 / "repositories").rglob("link")):
        name, _, below = str(link.relative_to(tree.v2 / "repositories")).partition("/_")
        kind, *parts = below.split("/")
        if kind == "layers":
            found.append(f"/v2/{name}/blobs/{parts[0]}:{parts[1]}")
        elif parts[0] == "revisions":
            found.append(f"/v2/{name}/manifests/{parts[1]}:{parts[2]}")
        elif parts[2] == "current":
            found.append(f"/v2/{name}/manifests/{parts[1]}")
    return found
