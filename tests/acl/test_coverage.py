"""Which patterns can match a repository's name at all, and which match all that another one does."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from acl.coverage import account_covers, matches_some_name, name_covers
from acl.glob import compile_glob
from acl.names import InvalidNameError, parse_name

# Few characters, so that made-up names and patterns meet.
PATTERNS = st.lists(
    st.sampled_from(["a", "b", "-", "_", ".", "/", "*", "?", "[ab]", "[!a]", "[._]", "*([a])", "*([!/])"]), min_size=1
).map("".join)
WORDS = st.sampled_from(["a", "b", "aa", "ab", "ba", "bbb"])
# Not by the regular expression of names, from which a name takes twenty times as long.
NAMES = st.builds(
    lambda first, more: first + "".join(more),
    WORDS,
    st.lists(st.builds(str.__add__, st.sampled_from([".", "_", "__", "-", "--", "/"]), WORDS), max_size=6),
)


@pytest.mark.parametrize(
    "pattern",
    [
        "a",
        "*",
        "?",
        "??",
        "?" * 255,
        "*" * 40,
        "a/*",
        "*/a",
        "a*/b",
        "[a-z]*",
        "a[/]b",
        "a[._-]b",
        "a__b",
        "a[_][_]b",
        "a---b",
        "a-*-b",
        "*.*",
        "registry.example.com/a",
        "*/*/*",
        "[!.]*",
        "${account}",
        "${account}/*",
        "team-${account}",
        "a/*([!/])",
        "*([a-z])",
        "*([._-])a",
    ],
)  # fmt: skip
def test_a_pattern_that_a_name_matches(pattern: str) -> None:
    assert matches_some_name(pattern)


@pytest.mark.parametrize(
    "pattern",
    [
        "/x",
        "x/",
        "x//y",
        "/*",
        "*/",
        "a//*",
        "!dev",
        "A",
        "Team/*",
        "[A-Z]*",
        "registry.example.com:5000/x",
        "a___b",
        "a..b",
        "a.-b",
        "[._-]x",
        "x[._-]",
        "[/]x",
        "a[_][_][_]b",
        "a-/b",
        "?" * 256,
        "*" + "?" * 256,
        "/${account}",
        ".",
        "*([._-])",
        "a/*([A-Z])",
    ],
)
def test_a_pattern_that_no_name_matches(pattern: str) -> None:
    assert not matches_some_name(pattern)


@given(NAMES, PATTERNS)
def test_no_pattern_that_matches_a_name_is_called_impossible(name: str, pattern: str) -> None:
    if compile_glob(pattern)(name):
        assert matches_some_name(pattern)


@given(st.text("ab._-/", max_size=8))
def test_a_literal_is_possible_if_it_is_a_name(text: str) -> None:
    try:
        is_name = bool(parse_name(text))
    except InvalidNameError:
        is_name = False

    assert matches_some_name(text) == is_name


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        ("*", "*"),
        ("*", "a/*"),
        ("a/*", "a/b"),
        ("a/*", "a/b/*"),
        ("a*", "a/*"),
        ("*/app", "team/app"),
        ("a?c", "abc"),
        ("a?c", "a[xy]c"),
        ("a[a-z]c", "a[xy]c"),
        ("a*c", "ab*bc"),
        ("**", "*"),
        ("*", "${account}/*"),
        ("${account}/*", "${account}/app"),
        ("*/app", "${account}/app"),
    ],
)
def test_a_wider_pattern_covers(wide: str, narrow: str) -> None:
    assert name_covers(wide, narrow)


@pytest.mark.parametrize(
    ("wide", "narrow"),
    [
        ("a/b", "a/*"),
        ("a/*", "a"),
        ("a?", "a*"),
        ("?/x", "${account}/x"),
        ("a/x", "${account}/x"),
        ("${account}/*", "a/*"),
        ("${account}/*", "*"),
        ("a[xy]c", "a?c"),
        ("a*b", "a*"),
    ],
)
def test_a_pattern_that_is_not_wider_does_not_cover(wide: str, narrow: str) -> None:
    assert not name_covers(wide, narrow)


@given(PATTERNS, PATTERNS, NAMES)
def test_what_is_covered_is_matched(wide: str, narrow: str, name: str) -> None:
    if name_covers(wide, narrow) and compile_glob(narrow)(name):
        assert compile_glob(wide)(name)


@pytest.mark.parametrize(
    ("wide", "narrow", "covers"),
    [
        ("*", "ci-*", True),
        ("ci-*", "ci-1", True),
        ("ci-?", "ci-[0-9]", True),
        ("ci-1", "ci-*", False),
        ("?", "ab", False),
    ],
)
def test_patterns_of_accounts_are_compared_alike(wide: str, narrow: str, covers: bool) -> None:
    assert account_covers(wide, narrow) == covers
