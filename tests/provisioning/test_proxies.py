"""Proxies of the configuration file: imported with their passwords, kept when edited, exported without."""

from copy import deepcopy
from pathlib import Path
from typing import Any

import pytest
import yaml

from configuration import Configuration, ConfigurationError, load
from provisioning import export, importing, ledger
from provisioning.ledger import Origin
from provisioning.models import ImportedEntry, Section
from upstreams.models import Proxy

pytestmark = pytest.mark.django_db

HUB: dict[str, Any] = {
    "prefix": "hub/",
    "url": "https://registry-1.docker.io",
    "username": "someone",
    "password": "a token of Docker Hub",
    "repositories": ["hub/library/*", "hub/bitnami/*"],
    "tag_ttl": "90m",
    "keep_unused": "720h",
}
OLD: dict[str, Any] = {
    "url": "https://old.example.org",
    "repositories": "*",
    "enabled": False,
    "comment": "until the move is over",
}


def loaded(folder: Path, *proxies: dict[str, Any]) -> Configuration:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump({"proxies": deepcopy(list(proxies))}))
    return load(path)


def imported(folder: Path, *proxies: dict[str, Any]) -> list[str]:
    return [str(step) for step in importing.apply(loaded(folder, *proxies)).steps]


def test_entries_become_rows_with_sealed_passwords(tmp_path: Path) -> None:
    steps = imported(tmp_path, HUB, OLD)

    assert steps == [
        "+ proxy hub/ from https://registry-1.docker.io",
        "+ proxy the whole registry from https://old.example.org",
    ]
    hub = Proxy.objects.get(prefix="hub/")
    assert (hub.tag_ttl, hub.keep_unused, hub.repositories) == ("1h30m", "720h", "hub/library/* hub/bitnami/*")
    assert hub.upstream().password == HUB["password"]
    assert HUB["password"].encode() not in bytes(hub.sealed_password or b"")
    assert imported(tmp_path, HUB, OLD) == []


def test_a_changed_password_is_imported_and_the_ledger_does_not_tell_it(tmp_path: Path) -> None:
    imported(tmp_path, HUB)

    assert imported(tmp_path, HUB | {"password": "another"}) == ["~ proxy hub/ from https://registry-1.docker.io"]
    assert Proxy.objects.get().upstream().password == "another"
    assert ImportedEntry.objects.get().section == Section.PROXIES


def test_a_password_comes_from_a_file(tmp_path: Path) -> None:
    (tmp_path / "hub.password").write_text("of the file\n")
    entry = {key: value for key, value in HUB.items() if key != "password"}

    imported(tmp_path, entry | {"password_file": "hub.password"})

    assert Proxy.objects.get().upstream().password == "of the file"


def test_an_edit_stays_and_a_removed_entry_takes_its_row_along(tmp_path: Path) -> None:
    imported(tmp_path, HUB)
    proxy = Proxy.objects.get()
    Proxy.objects.update(comment="edited")

    assert imported(tmp_path, HUB) == []
    assert ledger.origins(Section.PROXIES) == {proxy.pk: Origin.EDITED}
    assert ledger.restore(loaded(tmp_path, HUB), Section.PROXIES, [proxy.pk]) == [proxy.pk]
    assert imported(tmp_path) == ["- proxy hub/ from https://registry-1.docker.io"]
    assert not Proxy.objects.exists()


def test_a_prefix_of_the_admin_is_an_error(tmp_path: Path) -> None:
    Proxy.objects.create(prefix="hub/", url="https://quay.io")

    with pytest.raises(ConfigurationError, match="a proxy of hub/ that was made in the admin"):
        imported(tmp_path, HUB)


def test_the_export_has_everything_but_the_password(tmp_path: Path) -> None:
    imported(tmp_path, HUB, OLD)

    text = export.yaml_text(with_hashes=True)

    assert "# Without the password of the proxy hub/ from https://registry-1.docker.io." in text
    assert HUB["password"] not in text
    assert yaml.safe_load(text)["proxies"] == [
        OLD,
        {key: value for key, value in HUB.items() if key != "password"} | {"tag_ttl": "1h30m"},
    ]


def test_who_may_not_see_proxies_gets_none(tmp_path: Path) -> None:
    imported(tmp_path, HUB)

    text = export.yaml_text(with_hashes=False, with_proxies=False)

    assert "# Without proxies, which this account may not see." in text
    assert "registry-1.docker.io" not in text
    assert "proxies" not in yaml.safe_load(text)


@pytest.mark.parametrize(
    ("proxies", "message"),
    [
        ([{"prefix": "hub/"}], r"proxies\[0\].url: found nothing, expected the URL of a registry"),
        ([HUB | {"prefix": "hub"}], r"proxies\[0\].prefix: .*with its slash"),
        ([HUB, deepcopy(HUB)], r"each prefix once"),
        ([OLD, deepcopy(OLD)], r"no prefix again"),
        ([HUB | {"repositories": "library/*"}], r"names here, which begin with hub/"),
        ([{"url": OLD["url"]}], r"proxies\[0\].repositories: found nothing, expected the names that fall back"),
        ([OLD | {"repositories": []}], r"the names that fall back"),
        ([OLD | {"password": "x"}], r"the account that the password belongs to"),
        ([OLD | {"read_timeout": "1h"}], r"from 100ms to 5m"),
        ([OLD | {"keep_unused": "1m"}], r"at least 1h"),
        ([OLD | {"url": "https://old.example.org/v2/"}], r"without path or query"),
    ],
)
def test_such_an_entry_is_refused_at_its_place(tmp_path: Path, proxies: list[dict[str, Any]], message: str) -> None:
    with pytest.raises(ConfigurationError, match=message):
        loaded(tmp_path, *proxies)


def test_a_private_upstream_is_refused_with_what_allows_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"proxies\[0\].url: .*private address.*allow"):
        imported(tmp_path, {"prefix": "hub/", "url": "http://127.0.0.1:5178"})

    assert not Proxy.objects.exists()


def test_the_export_cleans_comments(tmp_path: Path) -> None:
    imported(tmp_path, HUB)
    Proxy.objects.update(comment="a\tb\u2028c\n# acl: []")

    exported = yaml.safe_load(export.yaml_text(with_hashes=False))["proxies"]

    assert [proxy["comment"] for proxy in exported] == ["a b c # acl: []"]
