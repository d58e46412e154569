"""Policies of the configuration file: imported, kept when edited, exported again."""

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml

from configuration import Configuration, load
from policies.models import ImmutableTags, ReadOnly
from provisioning import export, importing, ledger
from provisioning.ledger import Origin
from provisioning.models import Section

pytestmark = pytest.mark.django_db

V_TAGS: dict[str, Any] = {"repositories": ["prod/*", "release/*"], "tags": "v*", "except_tags": ["*-rc*", "v0*"]}
ARCHIVE: dict[str, Any] = {"repositories": "archive/*", "protected": True, "comment": "the law"}

Import = Callable[..., list[str]]


@pytest.fixture
def imported(tmp_path: Path) -> Import:
    """Import policies by kind; return the steps."""

    def run(**kinds: list[dict[str, Any]]) -> list[str]:
        return [str(step) for step in importing.apply(loaded(tmp_path, kinds)).steps]

    return run


def loaded(folder: Path, policies: dict[str, Any]) -> Configuration:
    path = folder / "config.yaml"
    path.write_text(yaml.safe_dump({"policies": policies}))
    return load(path)


def test_entries_become_rows(imported: Import) -> None:
    steps = imported(immutable_tags=[V_TAGS, ARCHIVE])

    assert steps == [
        "+ immutability policy the tags v*, except *-rc* and v0* of prod/* and release/* never move",
        "+ immutability policy nothing is deleted in archive/*",
    ]
    row = ImmutableTags.objects.get(repositories="prod/* release/*")
    assert (row.tags, row.except_tags, row.protected) == ("v*", "*-rc* v0*", False)


def test_nothing_is_done_twice(imported: Import) -> None:
    imported(immutable_tags=[V_TAGS, ARCHIVE])

    assert imported(immutable_tags=[V_TAGS, ARCHIVE]) == []


def test_an_entry_that_has_left_takes_its_row_along(imported: Import) -> None:
    imported(immutable_tags=[V_TAGS, ARCHIVE])

    assert imported(immutable_tags=[ARCHIVE]) == [
        "- immutability policy the tags v*, except *-rc* and v0* of prod/* and release/* never move"
    ]
    assert list(ImmutableTags.objects.values_list("repositories", flat=True)) == ["archive/*"]


def test_a_list_that_is_missing_changes_nothing(imported: Import) -> None:
    imported(immutable_tags=[ARCHIVE])

    assert imported() == []
    assert ImmutableTags.objects.exists()


def test_an_edit_stays_until_its_entry_changes(imported: Import, tmp_path: Path) -> None:
    imported(immutable_tags=[ARCHIVE])
    ImmutableTags.objects.update(comment="edited")

    assert imported(immutable_tags=[ARCHIVE]) == []
    (pk,) = ImmutableTags.objects.values_list("pk", flat=True)
    assert ledger.origins(Section.IMMUTABLE_TAGS) == {pk: Origin.EDITED}
    assert ledger.restore(loaded(tmp_path, {"immutable_tags": [ARCHIVE]}), Section.IMMUTABLE_TAGS, [pk]) == [pk]
    assert ImmutableTags.objects.get().comment == "the law"


def test_the_export_is_imported_as_the_same_rows(imported: Import) -> None:
    imported(immutable_tags=[V_TAGS, ARCHIVE])

    exported = yaml.safe_load(export.yaml_text(with_hashes=False))["policies"]

    assert exported == {"immutable_tags": [V_TAGS, ARCHIVE]}


def test_without_policies_the_export_does_not_manage_them() -> None:
    assert "policies" not in yaml.safe_load(export.yaml_text(with_hashes=False))


def test_the_export_cleans_comments_and_messages(imported: Import) -> None:
    ImmutableTags.objects.create(repositories="a/*", protected=True, comment="a\tb\u2028c\n# acl: []")
    ReadOnly.objects.create(repositories="b/*", message="gone\x07\x1b[31m", comment="\x07")

    text = export.yaml_text(with_hashes=False)

    exported = yaml.safe_load(text)["policies"]
    assert exported["immutable_tags"][0]["comment"] == "a b c # acl: []"
    assert (exported["read_only"][0]["message"], exported["read_only"][0]["comment"]) == ("gone  [31m", " ")
    ImmutableTags.objects.all().delete()
    ReadOnly.objects.all().delete()
    assert len(imported(**exported)) == 2
