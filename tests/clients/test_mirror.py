"""containerd and docker with this registry as their mirror of another one, configured as in docs/mirror.md."""

from pathlib import Path

import pytest

from tests.clients.background import skip_without_namespaces
from tests.clients.containerd import containerd_in, ctr_at
from tests.clients.docker import docker_at, engine_in
from tests.clients.docker_registry import DockerRegistry, running
from tests.clients.server import started
from tests.clients.test_pull_through import Cache, fill

pytestmark = pytest.mark.client("docker-registry", "containerd", "ctr", "skopeo")


def test_containerd_pulls_by_the_name_of_the_other_registry(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory
) -> None:
    skip_without_namespaces("containerd")
    (tmp_path / "upstream").mkdir()
    with running(DockerRegistry(tmp_path / "upstream")) as upstream:
        fill(upstream, tmp_path / "upstream", "library/tool", 40_000)
        with (
            started(Cache(tmp_path, {"hub/": upstream.host})) as cache,
            containerd_in(tmp_path_factory.mktemp("c")) as socket,
        ):
            hosts = tmp_path / "certs.d" / upstream.host
            hosts.mkdir(parents=True)
            mirror = f'[host."http://{cache.host}"]\n  capabilities = ["pull", "resolve"]\n'
            (hosts / "hosts.toml").write_text(f'server = "http://{upstream.host}"\n\n{mirror}')
            ctr = ctr_at(socket, cache.host)

            ctr.run("images", "pull", f"--hosts-dir={tmp_path}/certs.d", f"{upstream.host}/library/tool:v1")

            assert "hub/library/tool" in str(cache.rows("SELECT name FROM distribution_repository"))
            assert set(upstream.fetched("library/tool").values()) == {1}


@pytest.mark.client("docker", "dockerd")
def test_docker_pulls_by_the_name_of_docker_hub(tmp_path: Path, tmp_path_factory: pytest.TempPathFactory) -> None:
    skip_without_namespaces("docker")
    (tmp_path / "upstream").mkdir()
    with running(DockerRegistry(tmp_path / "upstream")) as upstream:
        fill(upstream, tmp_path / "upstream", "library/tool", 40_000)
        folder = tmp_path_factory.mktemp("d")
        with (
            started(Cache(tmp_path, {"": upstream.host})) as cache,
            engine_in(folder, cache.host, is_mirror=True) as at,
        ):
            docker_at(at, folder, cache.host).run("pull", "tool:v1")

            assert "library/tool" in str(cache.rows("SELECT name FROM distribution_repository"))
            assert set(upstream.fetched("library/tool").values()) == {1}
