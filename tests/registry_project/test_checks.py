"""System checks of the configuration."""

from dataclasses import replace
from fractions import Fraction
from ipaddress import ip_network
from pathlib import Path

import pytest
from pytest_django import Settings

from configuration.values import (
    Admin,
    Auth,
    Configuration,
    Database,
    Limits,
    Reserve,
    Server,
    Storage,
    UserEntry,
)
from registry_project import checks
from registry_project.checks import check_proxies

PROXY, NETWORK = (ip_network("192.0.2.1"),), (ip_network("10.0.0.0/8"),)
HTTPS = Server(public_url="https://registry.example.org", trusted_proxies=PROXY)
LOCAL = Server(host="127.0.0.1")
GUARDED = Admin(require_second_factor=True)
RANDOM = "VQ0yq4W2n1mX3pZ8sT6uR5kL7jH9gF0d"
POSTGRESQL = Database("postgresql://registry@db/registry")


@pytest.mark.parametrize(
    ("proxies", "public_url", "expected"),
    [
        ((), None, []),
        (("10.0.0.0/8", "fc00::/7"), "https://registry.example.org", []),
        (("0.0.0.0/0",), "https://registry.example.org", ["registry.W001"]),
        (("::/0",), "https://registry.example.org", ["registry.W001"]),
        (("10.0.0.1",), None, ["registry.W002"]),
    ],
)
def test_a_list_of_proxies_is_warned_about_when_it_protects_nothing(
    settings: Settings, proxies: tuple[str, ...], public_url: str | None, expected: list[str]
) -> None:
    server = Server(trusted_proxies=tuple(map(ip_network, proxies)), public_url=public_url)
    settings.REGISTRY = Configuration(server=server)

    assert [message.id for message in check_proxies()] == expected


def deployment_checks() -> list[str]:
    """Return the ids of what is weak, but for the machine."""
    each = checks.check_network, checks.check_bounds, checks.check_admin, checks.check_secrets
    return [str(message.id) for check in each for message in check()]


@pytest.mark.parametrize(
    ("configuration", "expected"),
    [
        (Configuration(server=HTTPS, admin=GUARDED), []),
        (Configuration(server=LOCAL), []),
        (Configuration(server=Server(public_url="http://localhost:5000"), admin=GUARDED), []),
        (Configuration(server=Server(public_url="http://registry.example.org"), admin=GUARDED), ["W010"]),
        (Configuration(admin=GUARDED), ["W011"]),
        (Configuration(server=Server(public_url=HTTPS.public_url), admin=GUARDED), ["W012"]),
        (Configuration(server=Server(host="::1", access_log="off")), ["W013"]),
        (Configuration(server=HTTPS), ["W014"]),
        (Configuration(server=Server(host="127.0.0.1", public_url=HTTPS.public_url, trusted_proxies=PROXY)), ["W014"]),
        (Configuration(server=HTTPS, admin=Admin(is_enabled=False)), []),
        (Configuration(server=HTTPS, admin=Admin(allowed_networks=NETWORK)), []),
        (Configuration(server=HTTPS, admin=Admin(allowed_networks=(ip_network("192.0.2.0/24"),))), ["W023"]),
        (Configuration(server=HTTPS, admin=Admin(host="127.0.0.1", port=5001)), []),
        (
            Configuration(server=HTTPS, admin=Admin(allowed_networks=tuple(map(ip_network, ["0.0.0.0/0", "::/0"])))),
            ["W014", "W023"],
        ),
        (Configuration(server=HTTPS, admin=Admin(allowed_networks=(*NETWORK, ip_network("::/1")))), ["W014"]),
        (Configuration(server=HTTPS, admin=Admin(port=5001, require_second_factor=True)), ["W015"]),
        (Configuration(server=HTTPS, admin=Admin(True, "127.0.0.1", 5001, "http://a.example.org", NETWORK)), ["W010"]),
        (Configuration(server=HTTPS, admin=Admin(True, "", 5001, "http://a.example.org", NETWORK)), ["W010"]),
        (Configuration(server=HTTPS, admin=Admin(True, "", 5001, "http://localhost:5001", NETWORK)), ["W015"]),
        (Configuration(server=HTTPS, admin=Admin(False, "", 5001, "http://a.example.org")), []),
        (Configuration(server=replace(LOCAL, limits=Limits(logins_per_minute=0))), ["W021"]),
        (Configuration(server=LOCAL, storage=Storage(min_free=Reserve(0, None))), ["W022"]),
        (Configuration(server=LOCAL, storage=Storage(min_free=Reserve(None, Fraction(0)))), ["W022"]),
        (Configuration(server=LOCAL, storage=Storage("s3", min_free=Reserve(0, None))), []),
        (Configuration(server=HTTPS, admin=Admin(port=5001, public_url="https://a.example.org")), ["W014"]),
        (Configuration(server=Server(host="::1", secret_key=RANDOM)), []),
        (Configuration(server=Server(host="::1", secret_key="changeme" * 4)), ["W017"]),
        (Configuration(server=LOCAL, auth=Auth(signing_method="hmac", hmac_secret="0123456789" * 4)), ["W017"]),
        (Configuration(server=LOCAL, auth=Auth(signing_method="hmac", hmac_secret=RANDOM)), []),
        (
            Configuration(server=LOCAL, auth=Auth(signing_method="hmac", hmac_secret=RANDOM), database=POSTGRESQL),
            ["W018"],
        ),
    ],
)
def test_each_weak_setting_is_named(settings: Settings, configuration: Configuration, expected: list[str]) -> None:
    settings.REGISTRY = configuration

    assert deployment_checks() == [f"registry.{number}" for number in expected]


@pytest.mark.parametrize(("mode", "expected"), [(0o640, []), (0o644, ["registry.W016"])])
def test_a_file_with_hashes_that_others_may_read_is_named(
    settings: Settings, tmp_path: Path, mode: int, expected: list[str]
) -> None:
    path = tmp_path / "config.yaml"
    path.touch()
    path.chmod(mode)

    for secret in (
        Configuration(users=(UserEntry("admin", "a hash"),)),
        Configuration(storage=Storage("s3", options={"bucket_name": "b", "secret_key": "a secret"})),
        Configuration(storage=Storage("s3", options={"security_token": "a secret"})),
    ):
        settings.REGISTRY = replace(secret, path=path, server=LOCAL)
        assert deployment_checks() == expected
    settings.REGISTRY = Configuration(path=path, server=LOCAL)
    assert deployment_checks() == []


def test_a_server_of_roots_is_named(settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    settings.REGISTRY = Configuration(server=Server(data_directory=tmp_path / "not made yet"))

    named = {}
    for uid in (0, 1000):
        monkeypatch.setattr("os.geteuid", lambda uid=uid: uid)
        named[uid] = [message.id for message in checks.check_machine()]

    assert named == {0: ["registry.W019"], 1000: []}


def test_the_file_system_of_a_path_is_that_of_the_deepest_mount(tmp_path: Path) -> None:
    mounts = tmp_path / "mounts"
    mounts.write_text(
        "/dev/vda / ext4 rw 0 0\nnas:/a /srv/my\\040data nfs4 rw 0 0\nnas:/b /mnt nfs rw 0 0\nx /mnt tmpfs rw 0 0\n"
    )

    kinds = [checks._file_system(Path(path), mounts) for path in ("/srv/my data/a/b", "/srv/other", "/mnt/a")]

    assert kinds == ["nfs4", "ext4", "tmpfs"]
    assert checks._file_system(Path("/a"), tmp_path / "missing") == ""


@pytest.mark.parametrize(("kind", "expected"), [("nfs4", ["registry.W020"]), ("ext4", [])])
def test_sqlite_on_a_network_disk_is_named(
    settings: Settings, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, kind: str, expected: list[str]
) -> None:
    settings.REGISTRY = Configuration(server=Server(data_directory=tmp_path / "not made yet"))
    monkeypatch.setitem(settings.DATABASES["default"], "ENGINE", "core.db.sqlite3")
    monkeypatch.setitem(settings.DATABASES["default"], "NAME", str(tmp_path / "db"))
    monkeypatch.setattr("os.geteuid", lambda: 1000)
    monkeypatch.setattr(checks, "_file_system", lambda _path: kind)

    assert [message.id for message in checks.check_machine()] == expected
