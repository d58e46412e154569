"""deploy/kubernetes against the code and the image, without a cluster."""

import re
import shutil
from datetime import timedelta
from pathlib import Path
from typing import Any

import pytest
import yaml
from django.core.management import get_commands

from configuration import load
from registry_project import BASE_DIR
from registry_project.health import ALIVE_PATH, READY_PATH
from registry_project.version import RELEASE
from tests import documents

FOLDER = BASE_DIR / "deploy" / "kubernetes"
DOCKERFILE = (BASE_DIR / "Dockerfile").read_text()


def objects() -> dict[str, dict[str, Any]]:
    """Return the objects that kustomize applies, by kind."""
    return {found["kind"]: found for found in map(_document, kustomization()["resources"])}


def kustomization() -> dict[str, Any]:
    return _document("kustomization.yaml")


def _document(name: str) -> dict[str, Any]:
    read: dict[str, Any] = yaml.safe_load((FOLDER / name).read_text())
    return read


def server() -> dict[str, Any]:
    """Return the pods of the server."""
    spec: dict[str, Any] = objects()["Deployment"]["spec"]["template"]["spec"]
    return spec


def collection() -> dict[str, Any]:
    """Return the pods of the collection."""
    spec: dict[str, Any] = objects()["CronJob"]["spec"]["jobTemplate"]["spec"]["template"]["spec"]
    return spec


PODS = pytest.mark.parametrize("pod", [server(), collection()], ids=["server", "collection"])


def container(pod: dict[str, Any]) -> dict[str, Any]:
    (only,) = pod["containers"]
    found: dict[str, Any] = only
    return found


def test_every_file_is_applied() -> None:
    applied = {*kustomization()["resources"], "kustomization.yaml"}
    (generated,) = kustomization()["configMapGenerator"]
    applied |= {file.partition("=")[2] for file in generated["files"]}

    assert {path.name for path in FOLDER.iterdir()} == applied


@PODS
def test_a_pod_passes_the_restricted_standard(pod: dict[str, Any]) -> None:
    """https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted, which the namespace enforces."""
    labels = objects()["Namespace"]["metadata"]["labels"]

    assert labels["pod-security.kubernetes.io/enforce"] == "restricted"
    assert pod["securityContext"]["runAsNonRoot"] is True
    assert pod["securityContext"]["seccompProfile"] == {"type": "RuntimeDefault"}
    assert container(pod)["securityContext"] == {
        "allowPrivilegeEscalation": False,
        "readOnlyRootFilesystem": True,
        "capabilities": {"drop": ["ALL"]},
    }
    assert pod["automountServiceAccountToken"] is False


@PODS
def test_a_pod_keeps_the_entry_point_of_the_image(pod: dict[str, Any]) -> None:
    assert "command" not in container(pod)


@PODS
def test_a_pod_runs_as_the_user_of_the_image(pod: dict[str, Any]) -> None:
    (user,) = re.findall(r"^USER (\d+)$", DOCKERFILE, re.MULTILINE)

    assert pod["securityContext"]["runAsUser"] == pod["securityContext"]["runAsGroup"] == int(user)


@PODS
def test_a_pod_finds_its_configuration_where_the_image_looks(pod: dict[str, Any]) -> None:
    (looked_for,) = re.findall(r"CONFIG_PATH=(\S+)", DOCKERFILE)
    (generated,) = kustomization()["configMapGenerator"]
    mounts = {mount["name"]: mount["mountPath"] for mount in container(pod)["volumeMounts"]}
    volumes = {volume.pop("name"): volume for volume in map(dict, pod["volumes"])}

    assert volumes["config"] == {"configMap": {"name": generated["name"]}}
    assert f"{mounts['config']}/{generated['files'][0].partition('=')[0]}" == looked_for
    assert mounts["tmp"] == "/tmp"
    assert set(volumes["tmp"]["emptyDir"]) <= {"medium", "sizeLimit"}


@PODS
def test_no_variable_of_kubernetes_begins_like_those_of_the_registry(pod: dict[str, Any]) -> None:
    """A Service called registry would add REGISTRY_PORT and others."""
    assert pod["enableServiceLinks"] is False


def test_the_configuration_needs_only_the_documented_secrets(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shutil.copy(FOLDER / "registry.yaml", tmp_path / "config.yaml")
    documented = re.findall(r"--from-literal=(\w+)=(\S+)", documents.block("docs/deployment.md", "secrets: kubernetes"))
    for name, value in documented:
        monkeypatch.setenv(name, value.replace('"$(openssl', "s" * 64))

    loaded = load(tmp_path / "config.yaml")

    assert loaded.warnings == ()
    assert loaded.server.secret_key
    assert str(loaded.database.url).startswith("postgresql://")
    assert (loaded.auth.keys, loaded.storage.backend) == ("database", "s3")
    assert {"AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"} <= {name for name, _ in documented}


@PODS
def test_a_pod_gets_the_documented_secrets(pod: dict[str, Any]) -> None:
    (reference,) = container(pod)["envFrom"]

    created = documents.block("docs/deployment.md", "secrets: kubernetes")
    assert f"create secret generic {reference['secretRef']['name']} " in created
    assert f"--namespace {kustomization()['namespace']} " in created


def test_requests_reach_the_port_that_the_server_listens_on() -> None:
    (port,) = container(server())["ports"]
    (published,) = objects()["Service"]["spec"]["ports"]
    (allowed,) = objects()["NetworkPolicy"]["spec"]["ingress"][0]["ports"]

    assert port["containerPort"] == load(FOLDER / "registry.yaml").server.port
    assert port["name"] == published["targetPort"] == allowed["port"]
    for probe in ("startupProbe", "livenessProbe", "readinessProbe"):
        assert container(server())[probe]["httpGet"]["port"] == port["name"]


def test_the_probes_ask_what_answers_them() -> None:
    """A database that is down must not restart pods."""
    paths = {name: probe["httpGet"]["path"] for name, probe in container(server()).items() if name.endswith("Probe")}

    assert paths == {"startupProbe": ALIVE_PATH, "livenessProbe": ALIVE_PATH, "readinessProbe": READY_PATH}


def test_an_update_takes_no_pod_away_before_a_new_one_is_ready() -> None:
    deployment = objects()["Deployment"]["spec"]

    assert deployment["strategy"] == {
        "type": "RollingUpdate",
        "rollingUpdate": {"maxUnavailable": 0, "maxSurge": 1},
    }
    # A volume that one pod at a time may mount would stop the new one.
    assert not any("persistentVolumeClaim" in volume for volume in server()["volumes"])


def test_a_pod_has_the_time_that_its_stop_takes() -> None:
    (graceful,) = re.findall(r"^graceful_timeout = (\d+)$", (BASE_DIR / "gunicorn.conf.py").read_text(), re.MULTILINE)
    drain = load(FOLDER / "registry.yaml").server.drain

    assert drain >= timedelta(seconds=5)
    assert server()["terminationGracePeriodSeconds"] > int(graceful) + drain.total_seconds()


def test_the_collection_runs_a_command_that_exists_instead_of_the_server() -> None:
    python, program, command = container(collection())["args"]

    assert (python, program) == ("python", "manage.py")
    assert command in get_commands()
    assert load(FOLDER / "registry.yaml").garbage_collector.is_enabled is False


def test_selectors_find_the_pods_of_the_server_alone() -> None:
    deployment, job = objects()["Deployment"]["spec"], objects()["CronJob"]["spec"]["jobTemplate"]["spec"]
    labels = deployment["template"]["metadata"]["labels"]
    (spread,) = server()["topologySpreadConstraints"]
    budget = objects()["PodDisruptionBudget"]["spec"]

    assert deployment["selector"]["matchLabels"] == objects()["Service"]["spec"]["selector"] == labels
    assert spread["labelSelector"]["matchLabels"] == budget["selector"]["matchLabels"] == labels
    assert job["template"]["metadata"]["labels"] != labels


def test_the_network_policy_covers_every_pod() -> None:
    selected = objects()["NetworkPolicy"]["spec"]["podSelector"]["matchLabels"].items()
    deployment, job = objects()["Deployment"]["spec"], objects()["CronJob"]["spec"]["jobTemplate"]["spec"]

    for labels in (deployment["template"]["metadata"]["labels"], job["template"]["metadata"]["labels"]):
        assert selected <= labels.items()


@PODS
def test_the_image_is_the_one_that_kustomize_names(pod: dict[str, Any]) -> None:
    (named,) = kustomization()["images"]

    assert container(pod)["image"] == named["name"]
    assert named["newTag"] == RELEASE
