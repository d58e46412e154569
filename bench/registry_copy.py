"""`manage.py importregistry` and `exportregistry` of many blobs: `python -m bench.registry_copy --blobs 100000`.

It writes the tree of a registry 2.x: images of a config, two layers of their own and a shared one, each with a tag.
The runs: an import by hard links, another one that finds everything there, an export by hard links. With --compare,
a docker-registry takes the images by HTTP instead, and all that it answers is compared with what this registry answers
after the import, and another docker-registry after the export.
"""

import argparse
import hashlib
import json
import os
import tempfile
import time
from pathlib import Path

import yaml

from bench.storage_copy import MEBIBYTE, _manage, _run
from tests.clients.server import Server, started
from tests.images import manifest
from tests.ports import free_port
from tests.registry_copy.source import SourceTree
from tests.registry_copy.theirs import Answers, Client, paths_of, theirs

MANIFEST = "application/vnd.oci.image.manifest.v1+json"
CONFIG = "application/vnd.oci.image.config.v1+json"
LAYER = "application/vnd.oci.image.layer.v1.tar+gzip"
# New blobs of an image: its config and two layers.
OF_AN_IMAGE = 3
SHARED = b"a base that every image has"


def main() -> None:
    """Write a tree, import it twice, export it, and print a line for each run."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--blobs", type=int, default=100_000, help="configs and layers; manifests come on top")
    parser.add_argument("--repositories", type=int, default=200)
    parser.add_argument("--size", type=int, default=1024, help="bytes of a layer")
    parser.add_argument("--source", type=Path, help="a tree that is there already, of as many blobs")
    parser.add_argument("--copy", action="store_true", help="import by copying")
    parser.add_argument("--folder", type=Path, help="where to work; by default a temporary folder")
    parser.add_argument("--compare", action="store_true", help="compare all answers with those of docker-registry")
    options = parser.parse_args()
    if options.compare:
        with tempfile.TemporaryDirectory(dir=options.folder) as name:
            _compare(Path(name), options.blobs // OF_AN_IMAGE, options.repositories)
        return
    with tempfile.TemporaryDirectory(dir=options.folder) as name:
        folder = Path(name)
        images = options.blobs // OF_AN_IMAGE
        source = options.source or folder / "source"
        if not options.source:
            fill(source, images, options.repositories, options.size)
        server = {"addr": f"127.0.0.1:{free_port()}", "data_directory": str(folder / "own")}
        url = os.environ.get("REGISTRY_DATABASE_URL")
        database = {"database": {"url": url}} if url else {}
        storage = {"filesystem": {"rootdirectory": str(folder / "data")}}
        (folder / "config.yaml").write_text(yaml.safe_dump({"server": server, "storage": storage} | database))
        _manage(folder, "migrate", "--verbosity=0")
        how = ["--copy"] if options.copy else []
        for words in (
            ["importregistry", str(source), *how],
            ["importregistry", str(source), *how],
            ["exportregistry", str(folder / "exported")],
        ):
            seconds, cpu, pss, said = _run(folder, *words)
            used = f"{seconds:.1f} s, CPU {cpu:.1f} s, PSS {pss / MEBIBYTE:.0f} MiB"
            print(f"{options.blobs} blobs, {images} manifests, {words[0]}: {used}, load {os.getloadavg()[0]:.1f}")
            print(f"  {said}", flush=True)


def _compare(folder: Path, images: int, repositories: int) -> None:
    tree, began = SourceTree.at(folder / "storage"), time.monotonic()
    with theirs(folder / "theirs", tree.root) as registry:
        client = Client(registry.address)
        for number in range(images):
            name, config = f"bench/r{number % repositories:05}", json.dumps({"number": number}).encode()
            layers = [SHARED, *(_content(f"{number} {layer}", 1024) for layer in range(2))]
            for blob in (config, *layers):
                client.push_blob(name, blob)
            client.put(name, f"t{number}", manifest(config, *layers))
        paths = paths_of(tree)
        before = client.answers(paths)
    print(f"docker-registry took and gave {len(paths)} paths after {time.monotonic() - began:.0f} s", flush=True)
    (folder / "ours").mkdir()
    with started(Server(folder / "ours")) as server:
        print(server.does("importregistry", tree.root, "--verify"), end="", flush=True)
        found: Answers = {}
        for number in range(repositories):
            name = f"bench/r{number:05}"
            token = server.token("admin", f"repository:{name}:pull")
            ours = Client(("127.0.0.1", server.port), f"Bearer {token}")
            found |= ours.answers([path for path in paths if path.startswith(f"/v2/{name}/")])
        print(f"differences of this registry: {sum(found.get(path) != before[path] for path in paths)}")
        print(f"fsck --deep: {server.does('fsck', '--deep')}", end="")
        print(server.does("exportregistry", folder / "exported", "--verify"), end="", flush=True)
    with theirs(folder / "again", folder / "exported") as registry:
        after = Client(registry.address).answers(paths)
    print(f"differences of docker-registry with the export: {sum(after[path] != before[path] for path in paths)}")


def fill(root: Path, images: int, repositories: int, size: int) -> None:
    """Write the tree."""
    v2 = root / "docker/registry/v2"
    for number in range(images):
        name = f"bench/r{number % repositories:05}"
        repository = v2 / "repositories" / name
        layers = [SHARED, *(_content(f"{number} {layer}", size) for layer in range(2))]
        config = json.dumps({"architecture": "amd64", "os": "linux", "number": number}).encode()
        described = [_blob(v2, repository, layer, LAYER) for layer in layers]
        body = {"schemaVersion": 2, "mediaType": MANIFEST, "config": _blob(v2, repository, config, CONFIG)}
        payload = json.dumps(body | {"layers": described}).encode()
        digest = hashlib.sha256(payload).hexdigest()
        _write(v2 / "blobs/sha256" / digest[:2] / digest / "data", payload)
        manifests = repository / "_manifests"
        link = f"sha256:{digest}".encode()
        for path in (f"revisions/sha256/{digest}", f"tags/t{number}/current", f"tags/t{number}/index/sha256/{digest}"):
            _write(manifests / path / "link", link)


def _content(seed: str, size: int) -> bytes:
    once = hashlib.sha256(seed.encode()).digest()
    return (once * (size // len(once) + 1))[:size]


def _blob(v2: Path, repository: Path, content: bytes, media_type: str) -> dict[str, object]:
    digest = hashlib.sha256(content).hexdigest()
    data = v2 / "blobs/sha256" / digest[:2] / digest / "data"
    if not data.exists():
        _write(data, content)
    _write(repository / "_layers/sha256" / digest / "link", f"sha256:{digest}".encode())
    return {"mediaType": media_type, "digest": f"sha256:{digest}", "size": len(content)}


def _write(path: Path, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(content)


if __name__ == "__main__":
    main()
