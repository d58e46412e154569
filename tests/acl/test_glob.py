"""Patterns of names."""

from __future__ import annotations

import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acl.glob import InvalidPatternError, compile_glob, escape, is_literal


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("*", ["", "a", "a/b/c", "a\nb"], []),
        ("**", ["", "a/b"], []),
        ("myorg/*", ["myorg/a", "myorg/a/b", "myorg/"], ["myorg", "myorg2/a", "a/myorg/b"]),
        ("myorg/backend-*", ["myorg/backend-api", "myorg/backend-a/b"], ["myorg/frontend", "myorg/backend"]),
        ("*/app", ["alice/app", "a/b/app"], ["app", "alice/app2", "alice/app/x"]),
        ("a*b*c", ["abc", "aXbXc", "abbcc", "abcbc"], ["ab", "acb", "abcd", "xabc"]),
        ("a*a", ["aa", "aba"], ["a", "ab"]),
        ("*ab*ab", ["abab", "xabyab"], ["ab", "aab", "xabab!"]),
        ("a?c", ["abc", "a/c", "a\nc"], ["ac", "abbc"]),
        ("??", ["ab"], ["a", "abc"]),
        ("[abc]x", ["ax", "bx"], ["dx", "x", "abcx"]),
        ("v[0-9]", ["v0", "v9"], ["va", "v10", "v٣"]),
        ("[a-cx-z]", ["b", "y"], ["d"]),
        ("[!abc]", ["d", "/"], ["a", "", "dd"]),
        ("[!a-c]*", ["d1"], ["a1", ""]),
        ("[]]", ["]"], ["["]),
        ("[!]]", ["["], ["]"]),
        ("[]a]", ["]", "a"], ["b"]),
        ("[a-]", ["a", "-"], ["b"]),
        ("[-a]", ["a", "-"], ["b"]),
        ("[*?]", ["*", "?"], ["a", ""]),
        ("[a\\]", ["a", "\\"], ["]"]),
        ("[&&~~||a^]", ["&", "~", "|", "^"], ["b"]),
        ("a/*([!/])", ["a/", "a/b", "a/b-c.d"], ["a", "a/b/c", "b/a"]),
        ("*([!/])/app", ["/app", "a/app"], ["a/b/app", "app"]),
        ("*([a-z])*b*([0-9])", ["b", "abb12", "xyzb", "x/b1"], ["a", "ab1x"]),
        ("*([a])[b]*([c])", ["b", "aabcc"], ["a", "abcb", "aab/"]),
        ("*([*(])", ["*(*"], [")", "*)"]),
        ("*(a)", ["(a)", "x(a)"], ["a", ""]),
        ("a.b", ["a.b"], ["axb"]),
        ("a]b", ["a]b"], ["ab"]),
        ("a.*", ["a.b"], ["ab"]),
        ("(a|b)+*", ["(a|b)+", "(a|b)+c"], ["a", "b"]),
        ("App", ["App"], ["app"]),
        ("A*", ["App"], ["app"]),
        ("app", ["app"], ["app\n", "app/x", "xapp", ""]),
        ("app*", ["app\n"], ["\napp"]),
    ],
)
def test_a_pattern_matches_whole_texts(pattern: str, matching: list[str], others: list[str]) -> None:
    matches = compile_glob(pattern)

    assert [text for text in matching if not matches(text)] == []
    assert [text for text in others if matches(text)] == []


@pytest.mark.parametrize(
    ("pattern", "message"),
    [
        ("", "is empty"),
        ("a" * 256, "at most 255 characters, not 256"),
        ("[a", "character 1 .* has no ]"),
        ("ab[", "character 3 .* has no ]"),
        ("[", "has no ]"),
        ("[]", "no characters"),
        ("[!]", "no characters"),
        ("[z-a]", "z-a runs backwards"),
        ("[^a]", r"\[!…\]"),
        ("*([^a])", r"\[!…\]"),
        ("*([])", "no characters"),
        ("*([z-a])", "z-a runs backwards"),
        ("a*([b", "character 4 .* has no ]"),
    ],
)
def test_what_is_no_pattern_is_refused(pattern: str, message: str) -> None:
    with pytest.raises(InvalidPatternError, match=message):
        compile_glob(pattern)


@pytest.mark.parametrize(
    ("pattern", "last"),
    [
        ("*a" * 127, "b"),
        ("*?" * 127, ""),
        ("*a*b" * 60, "c"),
        ("*" + "[!b]" * 60 + "b*", ""),
        ("a*" * 100, "!"),
        ("*" * 254, "b"),
        ("*([a])" * 40, "b"),
        ("*([!/])a" * 30, "b"),
        ("*" + "a" * 250, "b"),
    ],
)
def test_a_hostile_pattern_comes_to_an_end(pattern: str, last: str) -> None:
    """A translation that backtracks does not finish one of these within a lifetime."""
    matches = compile_glob(pattern + last)

    assert not matches("a" * 20_000 + "~" if last else "a" * 100)


@pytest.mark.parametrize(
    ("pattern", "literal"),
    [("alice/app", True), ("a]b-c^d!e", True), ("a*", False), ("a?", False), ("[a]", False)],
)
def test_a_pattern_without_metacharacters_is_literal(pattern: str, literal: bool) -> None:
    assert is_literal(pattern) is literal


pattern_tokens = st.sampled_from(["*", "?", "a", "b", "/", ".", "[ab]", "[!a]", "[a-c]", "*([ab])", "*([!/])"])
short_texts = st.text("abc/.", max_size=8)


def _naive(pattern: str) -> str:
    runs = re.sub(r"\*\((\[[^]]*])\)", "\\1\n", pattern.replace(".", r"\."))
    return re.sub(r"\*+", ".*", runs.replace("[!", "[^")).replace("?", ".").replace("\n", "*")


@settings(deadline=None, max_examples=300)
@given(st.lists(pattern_tokens, min_size=1, max_size=7).map("".join), short_texts)
def test_it_matches_what_a_backtracking_translation_matches(pattern: str, text: str) -> None:
    expected = re.fullmatch(_naive(pattern), text, re.DOTALL) is not None

    assert compile_glob(pattern)(text) is expected


@settings(deadline=None)
@given(st.text(st.characters(), min_size=1, max_size=80), st.text(st.characters(), max_size=80))
def test_an_escaped_text_matches_itself_only(text: str, other: str) -> None:
    matches = compile_glob(escape(text))

    assert matches(text)
    assert matches(other) is (text == other)


@settings(deadline=None)
@given(st.text("*[]!^a-?*", min_size=1, max_size=12), st.text("]a*[!^-", max_size=12))
def test_an_escaped_text_keeps_to_itself_within_a_pattern(text: str, other: str) -> None:
    matches = compile_glob(f"{escape(text)}/*")

    assert matches(f"{text}/x")
    assert matches(f"{other}/x") is (text == other)


@settings(deadline=None)
@given(st.one_of(st.text(st.characters()), st.text("*?[]!^-a&~|\\", max_size=300)), st.text())
def test_any_pattern_compiles_or_is_refused(pattern: str, text: str) -> None:
    try:
        matches = compile_glob(pattern)
    except InvalidPatternError:
        return
    assert matches(text) in {True, False}
