"""Which rules apply to whom, and what they allow together."""

from dataclasses import dataclass
from datetime import datetime

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.identity import ANONYMOUS, Identity
from acl.glob import InvalidPatternError
from acl.name_range import ranges_of
from acl.rules import compile_rules

ALICE = Identity("alice")
DEVELOPER = Identity("dora", frozenset({"developers", "team a"}))
WILD = Identity("a.*+$x")


@dataclass
class Row:
    """A rule: `Row("account", "alice", "alice/*", "pull")`."""

    subject_kind: str
    subject: str
    name: str
    actions: str
    is_deny: bool = False
    tags: str = ""
    networks: str = ""
    until: datetime | None = None
    order: int | None = None


def actions_on(name: str, identity: Identity, *rows: Row) -> str:
    """Return the allowed actions, in alphabetical order."""
    return ",".join(sorted(compile_rules(rows).of(identity).actions_on(name)))


@pytest.mark.parametrize(
    ("kind", "subject", "identity", "applies"),
    [
        ("account", "alice", ALICE, True),
        ("account", "alice", DEVELOPER, False),
        ("account", "alice", ANONYMOUS, False),
        ("account", "Alice", ALICE, False),
        ("account", "alic", ALICE, False),
        ("account", "alice2", ALICE, False),
        ("account", "al*", ALICE, True),
        ("account", "*", ALICE, True),
        ("account", "*", ANONYMOUS, False),
        ("account", "**", ANONYMOUS, False),
        ("account", "?*", ANONYMOUS, False),
        ("account", "[ab]lice", ALICE, True),
        ("account", "[!a]lice", ALICE, False),
        ("account", "alic?", ALICE, True),
        ("account", "a.*+$x", WILD, True),
        ("account", "developers", DEVELOPER, False),
        ("group", "developers", DEVELOPER, True),
        ("group", "team a", DEVELOPER, True),
        ("group", "Developers", DEVELOPER, False),
        ("group", "dora", DEVELOPER, False),
        ("group", "alice", ALICE, False),
        ("group", "dev*", DEVELOPER, False),
        ("group", "*", DEVELOPER, False),
        ("group", "developers", ANONYMOUS, False),
        ("anonymous", "", ANONYMOUS, True),
        ("anonymous", "", ALICE, True),
        ("anonymous", "", DEVELOPER, True),
    ],
)
def test_a_rule_applies_to_its_subject(kind: str, subject: str, identity: Identity, applies: bool) -> None:
    assert actions_on("any/name", identity, Row(kind, subject, "*", "pull")) == ("pull" if applies else "")


@pytest.mark.parametrize(
    ("pattern", "matching", "others"),
    [
        ("*", ["a", "a/b", "a/b/c/d"], []),
        ("myorg/*", ["myorg/a", "myorg/a/b"], ["myorg", "myorgs/a", "other/myorg/a", "amyorg/a"]),
        ("backend-*", ["backend-api", "backend-a/b"], ["frontend", "backend", "myorg/backend-api"]),
        ("myorg/backend-*", ["myorg/backend-api"], ["myorg/frontend", "myorg/backend"]),
        ("myorg/frontend", ["myorg/frontend"], ["myorg/frontend2", "myorg/frontend/x", "myorg"]),
        ("a.b", ["a.b"], ["axb"]),
        ("*/app", ["x/app", "x/y/app"], ["app", "x/app2"]),
    ],
)
def test_a_pattern_is_for_whole_names(pattern: str, matching: list[str], others: list[str]) -> None:
    row = Row("account", "alice", pattern, "pull")

    assert [name for name in matching if not actions_on(name, ALICE, row)] == []
    assert [name for name in others if actions_on(name, ALICE, row)] == []


@pytest.mark.parametrize(
    ("actions", "expected"),
    [
        ("pull", "pull"),
        ("push", "push"),
        ("delete", "delete"),
        ("pull,push", "pull,push"),
        ("*", "delete,pull,push"),
        ("pull,*", "delete,pull,push"),
    ],
)
def test_a_rule_allows_its_actions_and_no_others(actions: str, expected: str) -> None:
    assert actions_on("a", ALICE, Row("account", "alice", "*", actions)) == expected


def test_no_rule_allows_nothing() -> None:
    assert actions_on("a", ALICE) == ""


def test_rules_add_up() -> None:
    rows = [
        Row("anonymous", "", "public/*", "pull"),
        Row("account", "*", "*/shared", "push"),
        Row("group", "developers", "*", "delete"),
        Row("account", "dora", "private/*", "*"),
    ]

    assert actions_on("public/shared", DEVELOPER, *rows) == "delete,pull,push"
    assert actions_on("public/shared", ALICE, *rows) == "pull,push"
    assert actions_on("public/shared", ANONYMOUS, *rows) == "pull"
    assert actions_on("public/app", ALICE, *rows) == "pull"
    assert actions_on("private/x", ALICE, *rows) == ""


def test_everybody_is_whoever_is_signed_in_too() -> None:
    row = Row("anonymous", "", "public/*", "pull")

    assert [actions_on("public/a", who, row) for who in (ANONYMOUS, ALICE, DEVELOPER)] == ["pull"] * 3


def test_the_rules_that_match_are_named() -> None:
    rows = [
        Row("account", "alice", "a/*", "pull"),
        Row("account", "alice", "b/*", "pull"),
        Row("account", "bob", "a/*", "pull"),
        Row("anonymous", "", "*", "pull"),
    ]

    assert compile_rules(rows).of(ALICE).matching("a/x") == ["alice may pull a/*", "everybody may pull *"]


kinds_and_subjects = st.one_of(
    st.tuples(st.just("account"), st.sampled_from(["alice", "dora", "*", "a*"])),
    st.tuples(st.just("group"), st.sampled_from(["developers", "team a", "none"])),
    st.tuples(st.just("anonymous"), st.just("")),
)
rows_of_any_kind = st.lists(
    st.builds(
        lambda who, name, actions: Row(who[0], who[1], name, actions),
        kinds_and_subjects,
        st.sampled_from(["*", "a/*", "a/b", "b*", "?"]),
        st.sampled_from(["pull", "push", "delete", "pull,push", "*"]),
    ),
    max_size=6,
)
identities = st.sampled_from([ALICE, DEVELOPER, ANONYMOUS])
names = st.sampled_from(["a/b", "a/c", "b", "bb/x"])


@given(rows_of_any_kind, identities, names)
def test_what_is_allowed_is_the_union_of_each_rule(rows: list[Row], identity: Identity, name: str) -> None:
    each = {action for row in rows for action in actions_on(name, identity, row).split(",") if action}

    assert actions_on(name, identity, *rows) == ",".join(sorted(each))


@given(rows_of_any_kind, rows_of_any_kind, identities, names)
def test_a_rule_more_never_takes_away(rows: list[Row], more: list[Row], identity: Identity, name: str) -> None:
    before = compile_rules(rows).of(identity).actions_on(name)

    assert before <= compile_rules([*more, *rows]).of(identity).actions_on(name)


@given(rows_of_any_kind, st.sampled_from([ALICE, DEVELOPER]), names)
def test_who_signs_in_may_do_what_anybody_may(rows: list[Row], identity: Identity, name: str) -> None:
    compiled = compile_rules(rows)

    assert compiled.of(ANONYMOUS).actions_on(name) <= compiled.of(identity).actions_on(name)


# ${account}: the name of whoever asks.


@pytest.mark.parametrize(
    ("kind", "subject", "identity", "repository", "allowed"),
    [
        ("account", "alice", ALICE, "alice/app", True),
        ("account", "*", ALICE, "alice/app", True),
        ("account", "*", ALICE, "bob/app", False),
        ("account", "*", DEVELOPER, "alice/app", False),
        ("group", "developers", DEVELOPER, "dora/app", True),
        ("group", "developers", DEVELOPER, "developers/app", False),
        ("account", "*", ANONYMOUS, "/app", False),
        ("anonymous", "", ALICE, "alice/app", False),
        ("anonymous", "", ANONYMOUS, "/app", False),
        ("account", "*", ALICE, "${account}/app", False),
    ],
)
def test_the_account_in_a_name_is_the_one_that_asks(
    kind: str, subject: str, identity: Identity, repository: str, allowed: bool
) -> None:
    row = Row(kind, subject, "${account}/*", "pull")

    assert actions_on(repository, identity, row) == ("pull" if allowed else "")


@pytest.mark.parametrize(
    ("name", "other"),
    [("a.b", "axb"), ("a.*+$x", "a.yy+$x"), ("a*", "ab"), ("[ab]", "a"), ("a?", "ab"), ("[!a]", "b")],
)
def test_no_character_of_an_accounts_name_widens_its_rule(name: str, other: str) -> None:
    """Also of characters that no account can have today."""
    rules = compile_rules([Row("account", "*", "x/${account}/*", "pull")]).of(Identity(name))

    assert rules.actions_on(f"x/{name}/y") == {"pull"}
    assert rules.actions_on(f"x/{other}/y") == frozenset()


def test_an_accounts_name_may_stand_twice_and_beside_stars() -> None:
    assert actions_on("alice-x/y/alice", ALICE, Row("account", "*", "${account}-*/${account}", "pull")) == "pull"


def test_the_catalog_looks_where_the_accounts_name_begins() -> None:
    rules = compile_rules([Row("account", "*", "${account}/*", "pull")]).of(ALICE)

    assert rules.ranges("pull") == ranges_of(["alice/*"])


def test_the_log_names_the_rule_as_it_is_written() -> None:
    rules = compile_rules([Row("account", "*", "${account}/*", "pull")]).of(ALICE)

    assert rules.matching("alice/app") == ["everyone signed in may pull ${account}/*"]


def test_an_account_within_a_set_is_no_pattern() -> None:
    with pytest.raises(InvalidPatternError, match="contains"):
        compile_rules([Row("account", "*", "[${account}]/*", "pull")])
