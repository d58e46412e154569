"""What follows from server.public_url and server.trusted_proxies: the browser's cookies, hosts and origins."""

import json
import re
from pathlib import Path
from typing import Any

import pytest

from tests.project.starting import manage

HTTPS = "server: {public_url: 'https://registry.example.org:8443', trusted_proxies: [10.0.0.1]}\n"
PLAIN = "server: {public_url: 'http://registry.example.org'}\n"
NONE = "server: {addr: '127.0.0.1:5000'}\n"

SHOWN = """
import json
from django.conf import settings
names = ["SESSION_COOKIE_SECURE", "CSRF_COOKIE_SECURE", "CSRF_TRUSTED_ORIGINS", "ALLOWED_HOSTS", "SECURE_HSTS_SECONDS"]
print(json.dumps({name: getattr(settings, name) for name in names}))
"""


def settings_of(folder: Path, configuration: str) -> dict[str, Any]:
    """Return the settings that a process with this configuration has."""
    (folder / "config.yaml").write_text(configuration)
    done = manage(folder, "shell", "--no-imports", "--command", SHOWN)
    assert done.returncode == 0, done.stderr
    values: dict[str, Any] = json.loads(done.stdout)
    return values


@pytest.mark.parametrize(
    ("configuration", "expected"),
    [
        (HTTPS + "admin: {require_second_factor: true}\n", set()),
        (HTTPS + "admin: {addr: '127.0.0.1:5001'}\n", set()),
        (PLAIN + "admin: {enabled: false}\n", {"registry.W010"}),
        (NONE, set()),
    ],
    ids=["https", "apart", "http", "none"],
)
def test_the_deployment_check_names_what_is_weak_and_nothing_else(
    tmp_path: Path, configuration: str, expected: set[str]
) -> None:
    (tmp_path / "config.yaml").write_text(configuration)

    done = manage(tmp_path, "check", "--deploy")

    assert done.returncode == 0, done.stderr
    # Whether the tests are root's is no matter of the configuration.
    assert set(re.findall(r"\((\w+\.W\d+)\)", done.stderr)) - {"registry.W019"} == expected


def test_behind_https_cookies_are_for_tls_and_the_public_origin_is_trusted(tmp_path: Path) -> None:
    settings = settings_of(tmp_path, HTTPS)

    assert settings["SESSION_COOKIE_SECURE"]
    assert settings["CSRF_COOKIE_SECURE"]
    assert settings["CSRF_TRUSTED_ORIGINS"] == ["https://registry.example.org:8443"]
    assert settings["SECURE_HSTS_SECONDS"] > 0
    assert "registry.example.org" in settings["ALLOWED_HOSTS"]
    assert "*" not in settings["ALLOWED_HOSTS"]


@pytest.mark.parametrize("configuration", [PLAIN, NONE], ids=["http", "none"])
def test_on_plain_http_cookies_are_sent_without_tls(tmp_path: Path, configuration: str) -> None:
    settings = settings_of(tmp_path, configuration)

    assert not settings["SESSION_COOKIE_SECURE"]
    assert not settings["CSRF_COOKIE_SECURE"]
    assert settings["SECURE_HSTS_SECONDS"] == 0
