"""Semantic versions of tags."""

import pytest

from policies.retention.versions import Version, is_shortened, kept_of, version_of


def _version(tag: str) -> Version:
    found = version_of(tag)
    assert found is not None
    return found


def test_versions_are_in_the_order_of_semver() -> None:
    # The example of SemVer 2.0.0, section 11, between two releases.
    tags = [
        *("0.9.10", "1.0.0-alpha", "1.0.0-alpha.1", "1.0.0-alpha.beta", "1.0.0-beta", "1.0.0-beta.2"),
        *("1.0.0-beta.11", "1.0.0-rc.1", "1.0.0", "1.0.1", "1.2.0", "1.10.0", "v2.0.0"),
    ]
    assert sorted(sorted(tags), key=_version) == tags


@pytest.mark.parametrize(
    "tag", ["1", "1.2", "latest", "1.2.3.4", "01.2.3", "1.2.3-", "1.2.3-a..b", "V1.2.3", "1.2.x", "9" * 20 + ".0.0", ""]
)
def test_another_tag_is_no_version(tag: str) -> None:
    assert version_of(tag) is None


@pytest.mark.parametrize(("tag", "expected"), [("1", True), ("v1.2", True), ("1.2.3", False), ("main", False)])
def test_the_beginning_of_a_version_is_recognized(tag: str, expected: bool) -> None:
    assert is_shortened(tag) is expected


@pytest.mark.parametrize(
    ("minors", "patches", "kept"),
    [
        (1, None, "1.2.0 1.2.1 2.0.0-rc.1"),
        (2, None, "1.1.5 1.1.9 1.2.0 1.2.1 2.0.0-rc.1"),
        (2, 1, "1.1.9 1.2.1 2.0.0-rc.1"),
        (9, None, "1.0.0 1.1.5 1.1.9 1.2.0 1.2.1 2.0.0-rc.1"),
    ],
)
def test_the_newest_minors_are_kept_with_what_is_ahead_of_them(minors: int, patches: int | None, kept: str) -> None:
    tags = ["1.0.0", "1.1.5", "1.1.9", "1.2.0", "1.2.0-rc.1", "1.2.1", "1.0.1-rc.1", "2.0.0-rc.1"]
    expected = kept.split() + (["1.0.1-rc.1"] if minors == 9 else [])
    found = kept_of([_version(tag) for tag in tags], minors, patches)
    assert {tag for tag in tags if _version(tag) in found} == set(expected)


def test_without_a_release_every_pre_release_is_kept() -> None:
    tags = [_version("1.0.0-rc.1"), _version("0.9.0-rc.1")]
    assert kept_of(tags, 1, None) == frozenset(tags)
