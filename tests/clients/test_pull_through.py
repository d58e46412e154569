"""The registry in front of Debian's docker-registry: real clients, fifty at once, and an upstream that dies."""

import hashlib
import http.client
import json
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

import pytest

from tests.clients.docker_registry import PASSWORD, USERNAME, DockerRegistry, FatalLine, TokenServer, running
from tests.clients.layouts import image, random_layer
from tests.clients.program import podman_in, skopeo_in
from tests.clients.server import Server, password_of, started

pytestmark = pytest.mark.client("docker-registry", "skopeo", "podman")

CLIENTS = 50
ALICE = ("alice", password_of("alice"))


class Cache(Server):
    """A registry with proxies of upstreams by their prefixes; everybody may pull."""

    def __init__(self, folder: Path, upstreams: dict[str, str]) -> None:
        super().__init__(folder)
        self.upstreams = upstreams

    def configuration(self) -> dict[str, object]:
        given = {"allow_private_addresses": True, "tag_ttl": "0"}
        proxies = []
        for prefix, host in self.upstreams.items():
            username, password = ALICE if prefix == "tokens/" else (USERNAME, PASSWORD)
            named = {"prefix": prefix} if prefix else {"repositories": "*"}
            proxies.append(named | {"url": f"http://{host}", "username": username, "password": password} | given)
        found = super().configuration()
        rules = [{"anonymous": True, "name": "*", "actions": ["pull"]}]
        server = {"addr": self.host, "workers": 3}
        return found | {"proxies": proxies, "acl": rules, "server": server}


@pytest.fixture
def basic(tmp_path: Path) -> Iterator[DockerRegistry]:
    (tmp_path / "basic").mkdir()
    with running(DockerRegistry(tmp_path / "basic")) as registry:
        yield registry


@pytest.fixture
def tokens(tmp_path: Path) -> Iterator[DockerRegistry]:
    """Run one that has its tokens from a registry of ours."""
    (tmp_path / "realm").mkdir()
    (tmp_path / "tokens").mkdir()
    with (
        started(TokenServer(tmp_path / "realm")) as realm,
        running(DockerRegistry(tmp_path / "tokens", realm.section(tmp_path / "tokens"))) as registry,
    ):
        yield registry


def fill(
    upstream: DockerRegistry, folder: Path, repository: str, size: int, account: tuple[str, str] = (USERNAME, PASSWORD)
) -> dict[str, object]:
    """Push an image with skopeo, and return its manifest."""
    credentials = ":".join(account)
    skopeo = skopeo_in(folder, upstream.host)
    layout = image(folder / "layout" / repository, random_layer(size), random_layer(size // 2), random_layer(100))
    skopeo.run("copy", f"--dest-creds={credentials}", layout.reference("v1"), skopeo.docker(f"{repository}:v1"))
    found: dict[str, object] = json.loads(
        skopeo.run("inspect", "--raw", f"--creds={credentials}", skopeo.docker(f"{repository}:v1"))
    )
    return found


def get(host: str, path: str, token: str = "") -> tuple[int, bytes, dict[str, str]]:
    """Send a GET, and return status, body and headers; a body that is cut off raises IncompleteRead."""
    connection = http.client.HTTPConnection(host, timeout=60)
    try:
        connection.request("GET", path, headers={"Authorization": f"Bearer {token}"} if token else {})
        response = connection.getresponse()
        return response.status, response.read(), dict(response.getheaders())
    finally:
        connection.close()


def pull(host: str, repository: str) -> list[str]:
    """Pull an image as a client does, and return the digests of what came."""
    _, body, _ = get(host, f"/v2/token?service=Docker+Registry&scope=repository:{repository}:pull")
    token = json.loads(body)["token"]
    status, payload, _ = get(host, f"/v2/{repository}/manifests/v1", token)
    assert status == 200, payload
    found = json.loads(payload)
    digests = []
    for described in (found["config"], *found["layers"]):
        status, body, _ = get(host, f"/v2/{repository}/blobs/{described['digest']}", token)
        assert status == 200, body
        digests.append(f"sha256:{hashlib.sha256(body).hexdigest()}")
    assert digests == [described["digest"] for described in (found["config"], *found["layers"])]
    return digests


def test_clients_pull_through_and_fifty_at_once_fetch_each_blob_once(
    tmp_path: Path, podman_storage: Path, basic: DockerRegistry, tokens: DockerRegistry
) -> None:
    fill(basic, tmp_path / "basic", "app", 40_000)
    fill(tokens, tmp_path / "tokens", "alice/tool", 40_000, ALICE)
    fill(basic, tmp_path / "basic", "crowd", 3_000_000)
    with started(Cache(tmp_path, {"basic/": basic.host, "tokens/": tokens.host})) as cache:
        skopeo = skopeo_in(tmp_path, cache.host)
        skopeo.run("copy", skopeo.docker("basic/app:v1"), f"dir:{tmp_path}/pulled")
        podman = podman_in(tmp_path, cache.host, podman_storage)
        podman.run("pull", "--quiet", f"{cache.host}/tokens/alice/tool:v1")

        with ThreadPoolExecutor(CLIENTS) as threads:
            pulled = list(threads.map(lambda _: pull(cache.host, "basic/crowd"), range(CLIENTS)))

        assert basic.fetched("crowd") == dict.fromkeys(pulled[0], 1)
        assert len(basic.fetched("app")) == len(tokens.fetched("alice/tool")) == 4

        basic.kill()
        skopeo.run("copy", skopeo.docker("basic/app:v1"), f"dir:{tmp_path}/again")
        _, body, _ = get(cache.host, "/v2/token?service=Docker+Registry&scope=repository:basic/app:pull")
        _, _, headers = get(cache.host, "/v2/basic/app/manifests/v1", json.loads(body)["token"])
        assert headers["Warning"] == '111 - "Revalidation Failed"'
        cache.does("fsck", "--deep")


def test_an_upstream_that_is_killed_in_the_middle_leaves_nothing_broken(tmp_path: Path, basic: DockerRegistry) -> None:
    fill(basic, tmp_path / "basic", "app", 20_000_000)
    with FatalLine(basic, 5_000_000) as line:
        threading.Thread(target=line.serve_forever, daemon=True).start()
        with started(Cache(tmp_path, {"basic/": line.host})) as cache:
            failed = 0
            with ThreadPoolExecutor(5) as threads:
                for done in [threads.submit(pull, cache.host, "basic/app") for _ in range(5)]:
                    with suppress(http.client.IncompleteRead, AssertionError, ConnectionError):
                        done.result()
                        continue
                    failed += 1
            assert (line.was_fatal, failed) == (True, 5)
            assert [blob for blob in cache.blobs() if not blob.is_sound()] == []

            basic.start()
            # The upstream is not asked for a moment after it has failed.
            time.sleep(6)
            pull(cache.host, "basic/app")
            cache.does("fsck", "--deep")
        line.shutdown()


def test_a_registry_moves_in_without_a_night_shift(tmp_path: Path, basic: DockerRegistry) -> None:
    for repository in ("team/app", "team/tool", "other"):
        fill(basic, tmp_path / "basic", repository, 40_000)
    (tmp_path / "password").write_text(f"{PASSWORD}\n")
    sync = ("syncregistry", f"--from=http://{basic.host}", f"--username={USERNAME}")
    with started(Cache(tmp_path, {"": basic.host})) as cache:
        pull(cache.host, "team/app")
        skopeo = skopeo_in(tmp_path, cache.host)

        printed = cache.does(*sync, f"--password-file={tmp_path}/password", "--repository=team/*")

        assert "2 repositories, 2 tags (0 current), 2 manifests, 4 blobs, 0 left out" in printed
        assert "3 tags (2 current)" in cache.does(*sync, f"--password-file={tmp_path}/password")
        basic.kill()
        for repository in ("team/app", "team/tool", "other"):
            skopeo.run(
                "copy", skopeo.docker(f"{repository}:v1"), f"dir:{tmp_path}/moved-{repository.replace('/', '-')}"
            )
        cache.does("fsck", "--deep")
