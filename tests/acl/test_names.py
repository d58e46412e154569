"""The grammar of repository names."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acl.names import InvalidNameError, parse_name

component = st.from_regex(r"[a-z0-9]{1,6}((\.|_|__|-{1,3})[a-z0-9]{1,6}){0,2}", fullmatch=True)


@pytest.mark.parametrize(
    "text",
    [
        "a",
        "0",
        "alice/app",
        "a/b/c/d/e/f/g/h",
        "library/hello-world",
        "a.b",
        "a_b",
        "a__b",
        "a-b",
        "a---b",
        "manifests/blobs/tags/list",
        "a" * 255,
        "a/" * 127 + "a",
    ],
)
def test_a_name_is_kept_as_it_is(text: str) -> None:
    assert parse_name(text) == text


@pytest.mark.parametrize(
    "text",
    [
        "",
        "/",
        "/a",
        "a/",
        "a//b",
        ".",
        "..",
        "../a",
        "a/../b",
        "a/./b",
        ".a",
        "a.",
        "-a",
        "a-",
        "_a",
        "a_",
        "a..b",
        "a___b",
        "a._b",
        "a.-b",
        "A",
        "alice/App",
        "a b",
        "a:b",
        "host:5000/a",
        "a@b",
        "a%2Fb",
        "a\\b",
        "a\n",
        "\na",
        "a\x00",
        "ä",
        "\uff41",
        "a٣",
        "a²",
        "\ud800",
        "*",
        "a" * 256,
        "a/" * 128 + "a",
    ],
)
def test_what_is_no_name_is_refused(text: str) -> None:
    with pytest.raises(InvalidNameError):
        parse_name(text)


def test_the_refusal_says_what_was_found() -> None:
    with pytest.raises(InvalidNameError, match=r"'a\\nb' is not a repository name"):
        parse_name("a\nb")


def test_the_refusal_of_a_long_name_says_how_long() -> None:
    with pytest.raises(InvalidNameError, match="at most 255 characters, not 100000"):
        parse_name("a" * 100_000)


@settings(deadline=None)
@given(st.lists(component, min_size=1, max_size=5).map("/".join))
def test_components_joined_by_slashes_are_a_name(text: str) -> None:
    assert parse_name(text) == text


@settings(deadline=None)
@given(st.one_of(st.text(st.characters()), st.text("a0./_-", max_size=300)))
def test_any_text_is_a_safe_path_or_refused(text: str) -> None:
    try:
        name = parse_name(text)
    except InvalidNameError:
        return
    assert set(name) <= set("abcdefghijklmnopqrstuvwxyz0123456789._-/")
    assert not {"", ".", ".."} & set(name.split("/"))
