"""Ranges hold every name that a pattern matches."""

import itertools

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acl.glob import compile_glob
from acl.name_range import EVERY_NAME, NameRange, covers, ranges_of
from acl.names import InvalidNameError, parse_name

NAMES = st.from_regex(r"[a-c0]([-._/]?[a-c0]){0,6}", fullmatch=True)
PATTERNS = st.lists(st.from_regex(r"[a-c0/._*?-]{1,6}", fullmatch=True), max_size=4)


def holds(ranges: tuple[NameRange, ...], name: str) -> bool:
    return any(r.low <= name and (r.high is None or name < r.high) for r in ranges)


def is_name(text: str) -> bool:
    try:
        parse_name(text)
    except InvalidNameError:
        return False
    return True


@settings(deadline=None)
@given(PATTERNS, NAMES.filter(is_name))
def test_a_name_that_matches_lies_in_a_range(patterns: list[str], name: str) -> None:
    matches = any(compile_glob(pattern)(name) for pattern in patterns)

    assert holds(ranges_of(patterns), name) or not matches


@settings(deadline=None)
@given(PATTERNS, NAMES.filter(is_name))
def test_every_name_of_a_whole_range_matches(patterns: list[str], name: str) -> None:
    whole = tuple(found for found in ranges_of(patterns) if found.is_whole)

    assert not holds(whole, name) or any(compile_glob(pattern)(name) for pattern in patterns)


@pytest.mark.parametrize(
    ("patterns", "are_whole"),
    [
        *((["*"], [True]), (["a/*"], [True]), (["a/b"], [True]), (["a/**"], [True]), (["a/*", "b/*"], [True, True])),
        *((["a?"], [False]), (["a*b"], [False]), (["a[bc]*"], [False]), (["*a"], [False])),
        *((["a/*", "a/b?"], [True]), (["a/b*", "a/*"], [True]), (["a/*", "a?"], [False]), (["*", "a?"], [True])),
    ],
)
def test_a_range_is_whole_if_stars_end_its_patterns(patterns: list[str], are_whole: list[bool]) -> None:
    assert [found.is_whole for found in ranges_of(patterns)] == are_whole


@settings(deadline=None)
@given(PATTERNS)
def test_ranges_are_in_order_and_apart(patterns: list[str]) -> None:
    ranges = ranges_of(patterns)

    assert all(a.high is not None and a.high < b.low for a, b in itertools.pairwise(ranges))


@pytest.mark.parametrize(
    ("patterns", "expected"),
    [
        ([], ()),
        (["*"], (EVERY_NAME,)),
        (["myorg/*"], (NameRange("myorg/", "myorg0"),)),
        (["myorg/app"], (NameRange("myorg/app", "myorg/app!"),)),
        (["b/*", "a/*"], (NameRange("a/", "a0"), NameRange("b/", "b0"))),
        (["a/*", "a/b/*"], (NameRange("a/", "a0"),)),
        (["a/*", "*-end"], (EVERY_NAME,)),
    ],
)
def test_a_pattern_gives_the_range_of_its_beginning(patterns: list[str], expected: tuple[NameRange, ...]) -> None:
    assert ranges_of(patterns) == expected


def test_a_literal_holds_no_other_name() -> None:
    (only,) = ranges_of(["a/b"])

    assert [name for name in ("a/b", "a/b-c", "a/b/c", "a/b0") if holds((only,), name)] == ["a/b"]


@pytest.mark.parametrize(
    ("name", "is_covered"),
    [
        ("a", False),
        ("b", True),
        ("b/x", False),
        ("c/x", True),
        ("c0", False),
        ("d/a", False),
        ("e/z", True),
        ("f", False),
    ],
)
def test_a_name_is_covered_by_one_of_the_ranges(name: str, is_covered: bool) -> None:
    assert covers(ranges_of(["b", "c/*", "e/*"]), name) is is_covered


def test_no_ranges_cover_nothing_and_a_star_covers_all() -> None:
    assert not covers((), "a")
    assert covers(ranges_of(["*"]), "a")
