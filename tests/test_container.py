"""The files that make the container image agree with each other and with the code."""

import json
import os
import re
import shutil
import subprocess
import sys
import threading
from http.server import BaseHTTPRequestHandler, HTTPServer
from pathlib import Path
from typing import Any

import pytest
import yaml

from configuration import load
from registry_project import BASE_DIR
from registry_project.version import RELEASE
from tests.ports import free_port

COMPOSE_FILES = ["docker-compose.yml", "docker-compose.traefik.yml", "docker-compose.cluster.yml"]
# The replicas of the third keep nothing in files.
ON_VOLUMES = COMPOSE_FILES[:2]
CLUSTER = COMPOSE_FILES[2]
BEHIND_TRAEFIK = COMPOSE_FILES[1:]


def instructions(name: str) -> list[str]:
    """Return the arguments of each `name` instruction in the Dockerfile."""
    return re.findall(rf"^{name} (.+)$", (BASE_DIR / "Dockerfile").read_text(), re.MULTILINE)


def folders_of_data() -> set[str]:
    """Return the folders that the image makes for its user, where volumes are mounted."""
    (made,) = re.findall(
        r"install --directory .*--mode=0700 (.+)$", (BASE_DIR / "Dockerfile").read_text(), re.MULTILINE
    )
    return set(made.split())


def services(compose_file: str) -> dict[str, dict[str, Any]]:
    named: dict[str, dict[str, Any]] = yaml.safe_load((BASE_DIR / compose_file).read_text())["services"]
    return named


def registry_service(compose_file: str) -> dict[str, Any]:
    return services(compose_file)["registry"]


def test_the_image_holds_every_app() -> None:
    allowed = (BASE_DIR / ".dockerignore").read_text().splitlines()

    ours = {path.parent.name for path in BASE_DIR.glob("*/__init__.py")} - {"bench", "supply", "tests"}
    assert {f"!{name}" for name in ours | {"gc"}} <= set(allowed)


def test_the_image_holds_no_configuration_of_this_machine() -> None:
    assert "!config.yaml" not in (BASE_DIR / ".dockerignore").read_text()


def test_the_default_of_the_image_keeps_everything_in_its_volumes() -> None:
    configuration = load(BASE_DIR / "config.container.yaml")

    kept = [configuration.storage.rootdirectory, configuration.server.data_directory]
    kept += [key.parent for key in (configuration.auth.private_key, configuration.auth.public_key) if key]
    assert {str(folder) for folder in kept} == folders_of_data()


def test_the_default_of_the_image_listens_on_the_port_that_is_exposed() -> None:
    assert instructions("EXPOSE") == [str(load(BASE_DIR / "config.container.yaml").server.port)]


@pytest.mark.parametrize("compose_file", ON_VOLUMES)
def test_compose_has_a_volume_for_every_folder_of_the_image(compose_file: str) -> None:
    _, *volumes = registry_service(compose_file)["volumes"]

    assert {volume.split(":")[1] for volume in volumes} == folders_of_data()


def test_a_replica_without_folders_gets_no_volume_from_the_image() -> None:
    assert instructions("VOLUME") == []


@pytest.mark.parametrize("compose_file", COMPOSE_FILES)
def test_compose_mounts_the_configuration_where_the_image_looks(compose_file: str) -> None:
    looked_for = re.search(r"CONFIG_PATH=(\S+)", (BASE_DIR / "Dockerfile").read_text())

    assert looked_for
    mounted, *_ = registry_service(compose_file)["volumes"]
    assert mounted == {
        "type": "bind",
        "source": "./config.yaml",
        "target": looked_for[1],
        "read_only": True,
        "bind": {"create_host_path": False},
    }


@pytest.mark.parametrize("compose_file", COMPOSE_FILES)
def test_compose_confines_every_service(compose_file: str) -> None:
    for service in services(compose_file).values():
        assert service["read_only"] is True
        assert service["cap_drop"] == ["ALL"]
        assert service["security_opt"] == ["no-new-privileges:true"]
        assert any(re.fullmatch(r"/tmp:size=(64m|1g)", folder) for folder in service["tmpfs"])


@pytest.mark.parametrize("compose_file", COMPOSE_FILES)
def test_compose_gives_only_a_port_below_1024_a_capability(compose_file: str) -> None:
    for service in services(compose_file).values():
        guarded = [port for port in service.get("ports", []) if int(port.split(":")[-1]) < 1024]

        assert service.get("cap_add", []) == (["NET_BIND_SERVICE"] if guarded else [])


@pytest.mark.parametrize("compose_file", COMPOSE_FILES)
def test_compose_kills_nothing_that_the_server_still_lets_end(compose_file: str) -> None:
    promised = re.search(r"^graceful_timeout = (\d+)$", (BASE_DIR / "gunicorn.conf.py").read_text(), re.MULTILINE)

    assert promised
    for service in services(compose_file).values():
        # The server may keep serving for a while before it begins to stop.
        assert int(service["stop_grace_period"].removesuffix("s")) >= int(promised[1]) + 20


@pytest.mark.parametrize("compose_file", BEHIND_TRAEFIK)
def test_traefik_waits_for_the_registry_when_it_stops(compose_file: str) -> None:
    (grace,) = [word for word in services(compose_file)["traefik"]["command"] if "graceTimeOut" in word]

    assert 30 < int(grace.partition("=")[2].removesuffix("s")) < 60


@pytest.mark.parametrize("compose_file", BEHIND_TRAEFIK)
def test_traefik_keeps_a_registry_whose_storage_does_not_answer(compose_file: str) -> None:
    """Traefik routes only to containers that docker calls healthy; /health includes the storage, /livez does not."""
    check = registry_service(compose_file)["healthcheck"]

    assert check["test"] == ["CMD", "python", "-m", "registry_project.healthcheck", "/livez"]
    assert check["interval"] == "5s"


@pytest.mark.parametrize("compose_file", BEHIND_TRAEFIK)
def test_traefik_sees_the_address_of_each_client(compose_file: str) -> None:
    """Into a network without IPv6, docker forwards clients of [::] from the address of its bridge."""
    assert [port.split(":")[0] for port in services(compose_file)["traefik"]["ports"]] == ["0.0.0.0", "0.0.0.0"]


def test_only_downloads_reach_the_s3_server_from_outside() -> None:
    s3 = services(CLUSTER)["s3"]

    (rule,) = [label for label in s3["labels"] if ".rule=" in label]
    assert rule.endswith("&& Method(`GET`)")
    assert {"-ip.bind=127.0.0.1", "-s3.ip.bind=0.0.0.0", "-s3.iam=false"} <= set(s3["command"])


def test_the_replicas_of_a_cluster_have_no_folder() -> None:
    assert [volume["source"] for volume in registry_service(CLUSTER)["volumes"]] == ["./config.yaml"]
    assert registry_service(CLUSTER)["deploy"]["replicas"] == 2


def test_the_configuration_of_a_cluster_needs_only_its_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    environment = registry_service(CLUSTER)["environment"]
    for name, value in environment.items():
        monkeypatch.setenv(name, re.sub(r"\$\{.*?\}", "s" * 64, value))
    shutil.copy(BASE_DIR / "config.cluster.yaml", tmp_path / "config.yaml")

    loaded = load(tmp_path / "config.yaml")

    assert loaded.warnings == ()
    assert loaded.auth.keys == "database"
    assert [str(proxy) for proxy in loaded.server.trusted_proxies] == proxy_subnets()


def test_nothing_but_traefik_publishes_a_port_of_a_cluster() -> None:
    assert [name for name, service in services(CLUSTER).items() if "ports" in service] == ["traefik"]


def proxy_subnets() -> list[str]:
    networks = yaml.safe_load((BASE_DIR / CLUSTER).read_text())["networks"]
    return [part["subnet"] for part in networks["proxy"]["ipam"]["config"]]


def test_the_image_installs_only_what_has_a_known_hash() -> None:
    (installing,) = re.findall(r"pip install (.+)$", (BASE_DIR / "Dockerfile").read_text(), re.MULTILINE)

    assert "--require-hashes" in installing


def test_every_stage_of_the_image_stands_on_the_one_base_that_is_pinned() -> None:
    assert {line.split()[0] for line in instructions("FROM")} == {"${BASE}"}
    assert [name.partition("=")[0] for name in instructions("ARG")] == ["BASE", "REVISION", "SOURCE"]


def test_the_label_has_the_version_of_the_code() -> None:
    labelled = re.findall(r'org.opencontainers.image.version="(.+)"', (BASE_DIR / "Dockerfile").read_text())

    assert labelled == [RELEASE]


def test_the_client_of_postgresql_can_dump_the_server_of_the_cluster() -> None:
    (client,) = re.findall(r"apt-get download postgresql-client-(\d+)", (BASE_DIR / "Dockerfile").read_text())

    assert services(CLUSTER)["database"]["image"] == f"postgres:{client}"


@pytest.mark.parametrize("status", [200, 503])
@pytest.mark.parametrize("path", ["/health", "/livez"])
def test_the_health_check_asks_the_registry_and_no_proxy(path: str, status: int) -> None:
    class Health(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status if self.path == path else 404)
            self.end_headers()
            self.wfile.write(b'{"status": "told"}')

        def log_message(self, *_: object) -> None:
            pass

    with HTTPServer(("127.0.0.1", 0), Health) as server:
        server.timeout = 30
        thread = threading.Thread(target=server.handle_request)
        thread.start()
        checked = check_health(path, str(server.server_port))
        thread.join()

    assert checked.returncode == (status != 200)
    assert checked.stdout == '{"status": "told"}\n'


def test_the_health_check_says_why_nobody_answered() -> None:
    checked = check_health("/health", str(free_port()))

    assert checked.returncode == 1
    assert "Connection refused" in checked.stdout


def test_the_health_check_imports_no_more_than_it_needs() -> None:
    """Docker starts it every few seconds."""
    command = "import sys, registry_project.healthcheck; print(*{'django', 'http', 'ssl'} & set(sys.modules))"

    imported = subprocess.run([sys.executable, "-c", command], cwd=BASE_DIR, capture_output=True, text=True, check=True)

    assert imported.stdout == "\n"


def test_the_image_declares_the_health_check_of_the_code() -> None:
    (command,) = re.findall(r"^HEALTHCHECK .* CMD (.+)$", (BASE_DIR / "Dockerfile").read_text(), re.MULTILINE)

    assert json.loads(command) == ["python", "-m", "registry_project.healthcheck"]


def check_health(*arguments: str) -> subprocess.CompletedProcess[str]:
    """Run the health check as the image does, with a proxy in the environment that is not there."""
    command = [sys.executable, "-m", "registry_project.healthcheck", *arguments]
    environment = os.environ | {"http_proxy": "http://127.0.0.1:9"}
    return subprocess.run(
        command, cwd=BASE_DIR, env=environment, capture_output=True, text=True, timeout=30, check=False
    )
