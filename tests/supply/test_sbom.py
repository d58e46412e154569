"""The bill of materials."""

import json
from pathlib import Path
from typing import Any

import pytest

from registry_project import BASE_DIR
from supply import lock, sbom

VERSIONS = {pin.name: pin.version for pin in lock.read(BASE_DIR / "requirements-traces.txt")}
DJANGO, TRACES = VERSIONS["django"], VERSIONS["opentelemetry-sdk"]
INSIDE = {
    "python": "3.13.9",
    "packages": {"Django": DJANGO, "opentelemetry-sdk": TRACES, "pip": "26.0"},
    "debian": ["libc6:amd64 2.36-9+deb12u14 amd64", "openssl 3.0.18-1~deb12u2 amd64"],
    "release": {"ID": "debian", "VERSION_ID": "12"},
}


@pytest.fixture(scope="module")
def bill(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Any]:
    """Return the bill that `make sbom` writes."""
    file = tmp_path_factory.mktemp("bill") / "registry.cdx.json"
    assert sbom.main([f"--output={file}"]) == 0
    read: dict[str, Any] = json.loads(file.read_text())
    return read


def test_it_has_every_locked_package_of_this_platform(bill: dict[str, Any]) -> None:
    locked = [pin for pin in lock.read(BASE_DIR / "requirements.txt") if pin.is_for_this_platform]

    named = {component["purl"] for component in bill["components"]}
    assert named == {f"pkg:pypi/{pin.name}@{pin.version}" for pin in locked}


def test_it_says_what_asks_for_what(bill: dict[str, Any]) -> None:
    asks = {entry["ref"].partition("@")[0]: entry.get("dependsOn", []) for entry in bill["dependencies"]}

    assert any(name.startswith("pkg:pypi/django@") for name in asks["registry"])
    assert [name.partition("@")[0] for name in asks["pkg:pypi/cryptography"]] == ["pkg:pypi/cffi"]


@pytest.fixture
def stand_in(tmp_path: Path) -> Path:
    """Return a stand-in for docker, which answers as an image would."""
    engine = tmp_path / "engine"
    engine.write_text(f"#!/bin/sh\ncat <<'END'\n{json.dumps(INSIDE)}\nEND\n")
    engine.chmod(0o755)
    return engine


def test_that_of_an_image_has_its_python_and_its_debian(stand_in: Path, tmp_path: Path) -> None:
    status = sbom.main([f"--output={tmp_path / 'bill'}", "--image=registry", f"--engine={stand_in}"])

    assert status == 0
    named = {component["purl"] for component in json.loads((tmp_path / "bill").read_text())["components"]}
    assert named == {
        "pkg:generic/python@3.13.9",
        f"pkg:pypi/django@{DJANGO}",
        f"pkg:pypi/opentelemetry-sdk@{TRACES}",
        "pkg:pypi/pip@26.0",
        "pkg:deb/debian/libc6@2.36-9%2Bdeb12u14?arch=amd64&distro=debian-12",
        "pkg:deb/debian/openssl@3.0.18-1~deb12u2?arch=amd64&distro=debian-12",
    }


def test_an_image_of_other_packages_than_the_locked_ones_is_refused(
    stand_in: Path, tmp_path: Path, capfd: pytest.CaptureFixture[str]
) -> None:
    stand_in.write_text(stand_in.read_text().replace(DJANGO, "5.2.1"))

    status = sbom.main([f"--output={tmp_path / 'bill'}", "--image=registry", f"--engine={stand_in}"])

    assert status == 1
    assert "registry holds what requirements-traces.txt does not lock: Django 5.2.1" in capfd.readouterr().err
    assert not (tmp_path / "bill").exists()


@pytest.mark.parametrize(
    ("engine", "told"),
    [
        ("/bin/false", "/bin/false can't look into the image missing: exit status 1"),
        ("/nowhere/docker", "/nowhere/docker can't be run: No such file or directory"),
    ],
)
def test_an_image_that_cannot_be_looked_into_is_one_line(tmp_path: Path, engine: str, told: str) -> None:
    with pytest.raises(SystemExit) as end:
        sbom.main([f"--output={tmp_path / 'bill'}", "--image=missing", f"--engine={engine}"])

    assert end.value.code == told
    assert not (tmp_path / "bill").exists()
