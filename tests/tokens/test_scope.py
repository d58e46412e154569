"""Scopes as clients send them."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from acl.actions import ALL, Access
from core.api.errors import RegistryError
from tokens.scope import format_access, parse_scopes


def access(type_: str, name: str, *actions: str) -> Access:
    return Access(type_, name, frozenset(actions))


@pytest.mark.parametrize(
    ("values", "expected"),
    [
        ([], []),
        ([""], []),
        (["repository:a/b:pull"], [access("repository", "a/b", "pull")]),
        (["repository:a/b:push,pull"], [access("repository", "a/b", "pull", "push")]),
        (["repository:a/b:"], [access("repository", "a/b")]),
        (["repository:a/b:pull,,"], [access("repository", "a/b", "pull")]),
        (["repository:a/b:*"], [access("repository", "a/b", "*")]),
        (["registry:catalog:*"], [access("registry", "catalog", "*")]),
        (["repository(plugin):a/b:pull"], [access("repository(plugin)", "a/b", "pull")]),
        (["unheard-of:thing:look"], [access("unheard-of", "thing")]),
        (["repository:host:5000/a/b:pull"], [access("repository", "host:5000/a/b", "pull")]),
        (["repository:[::1]:5000/a:pull"], [access("repository", "[::1]:5000/a", "pull")]),
        (["repository:A/B:pull"], [access("repository", "A/B", "pull")]),
    ],
)
def test_a_scope_is_read(values: list[str], expected: list[Access]) -> None:
    assert parse_scopes(values) == tuple(expected)


@pytest.mark.parametrize(
    "values",
    [
        ["repository:b:pull", "repository:a:pull"],
        ["repository:b:pull repository:a:pull"],
        [" repository:b:pull  repository:a:pull "],
    ],
)
def test_repeated_parameters_and_spaces_list_alike_in_order(values: list[str]) -> None:
    assert parse_scopes(values) == (access("repository", "b", "pull"), access("repository", "a", "pull"))


def test_scopes_of_one_type_and_name_become_one() -> None:
    scopes = ["repository:a:pull", "repository:b:pull", "repository:a:push,delete", "registry:a:pull"]

    assert parse_scopes(scopes) == (
        access("repository", "a", "pull", "push", "delete"),
        access("repository", "b", "pull"),
        access("registry", "a", "pull"),
    )


@pytest.mark.parametrize(
    "scope",
    [
        "repository",
        "repository:a",
        "repository::pull",
        ":a:pull",
        "::",
        "repository():a:pull",
        "repository(plugin:a:pull",
        "repository:a:pull\n",
        "repository:a\tb:pull",
        'repository:a"b:pull',
        "repository:a\\b:pull",
        "repository:a,b:pull",
        "repository:ä:pull",
        "repository:a\x00:pull",
        "repository:a:pull;push",
        "repository:a:**",
    ],
)
def test_a_malformed_scope_is_400_and_named(scope: str) -> None:
    with pytest.raises(RegistryError) as refusal:
        parse_scopes(["repository:good:pull", scope])

    assert refusal.value.status == 400
    assert ascii(scope) in str(refusal.value.detail)


def test_as_many_scopes_are_read_as_8_kib_hold() -> None:
    scopes = [f"repository:a{number}:pull" for number in range(370)]

    assert len(parse_scopes(scopes)) == 370


def test_unknown_actions_are_no_part_of_a_scope() -> None:
    # A client could fill the caches with them.
    many = ",".join(f"a{number}" for number in range(1500))

    assert parse_scopes([f"repository:a/b:pull,{many}"]) == (access("repository", "a/b", "pull"),)


def test_scopes_above_8_kib_in_all_are_400() -> None:
    half = f"repository:{'a' * 4080}:pull"

    assert len(parse_scopes([half, half])) == 1
    with pytest.raises(RegistryError, match="8192 characters"):
        parse_scopes([half, half, half])


@pytest.mark.parametrize(
    ("actions", "expected"),
    [
        ((), "repository:a/b:"),
        (("push", "pull"), "repository:a/b:pull,push"),
        (("*", "delete", "push", "pull"), "repository:a/b:pull,push,delete,*"),
    ],
)
def test_actions_are_written_in_one_order(actions: tuple[str, ...], expected: str) -> None:
    assert format_access(access("repository", "a/b", *actions)) == expected


accesses = st.builds(
    Access,
    st.from_regex(r"[a-z]{1,9}(\([a-z]{1,9}\))?", fullmatch=True),
    st.from_regex(r"[A-Za-z0-9./:_*-]{1,40}", fullmatch=True),
    st.frozensets(st.sampled_from(ALL)),
)


@settings(deadline=None)
@given(accesses)
def test_what_is_written_is_read_back(written: Access) -> None:
    assert parse_scopes([format_access(written)]) == (written,)


@settings(deadline=None)
@given(st.lists(st.one_of(st.text(), st.text(":, ()*ab\n"))))
def test_any_text_is_read_or_400(values: list[str]) -> None:
    outcome: object
    try:
        outcome = parse_scopes(values)
    except RegistryError as error:
        outcome = error.status

    assert outcome == 400 or isinstance(outcome, tuple)
