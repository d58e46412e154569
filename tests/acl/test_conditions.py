"""Rules that deny, and rules by tag, network and time: compared with a naive model, and what each does alone."""

from dataclasses import replace
from datetime import UTC, datetime, timedelta
from fnmatch import fnmatchcase
from ipaddress import ip_address, ip_network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from accounts.identity import ANONYMOUS, Identity
from acl.actions import CONCRETE
from acl.name_range import covers
from acl.rules import IdentityRules, compile_rules
from acl.until import InvalidUntilError, parse_until, until_text
from tests.acl.test_rules import Row

NOON = datetime(2026, 11, 30, 12, tzinfo=UTC)
NETWORKS = ("10.0.0.0/8", "10.1.0.0/16", "192.0.2.7/32", "2001:db8::/32")


def _row(  # noqa: PLR0917 - what hypothesis draws
    subject: tuple[str, str], name: str, actions: set[str], tags: str, networks: list[str], until: datetime | None
) -> Row:
    kind, about = subject
    # Signed in, `x/*` is `${group}/*`.
    name = "${group}/*" if name == "x/*" and kind != "anonymous" else name
    return Row(kind, about, name, ",".join(sorted(actions)), False, tags, ",".join(networks), until)


def _made_valid(row: Row, *, is_deny: bool, order: int | None) -> Row:
    if order is not None:
        return replace(row, is_deny=is_deny, tags="", actions="*" if is_deny else row.actions, order=order)
    # A rule about pulls alone has no tags, and one that denies a pull neither.
    has_tags = row.actions != "pull" and not (is_deny and "pull" in row.actions)
    return replace(row, is_deny=is_deny, tags=row.tags if has_tags else "")


rows = st.builds(
    lambda row, is_deny, order: _made_valid(row, is_deny=is_deny, order=order),
    st.builds(
        _row,
        st.sampled_from([("anonymous", ""), ("account", "*"), ("account", "a*"), ("group", "x"), ("group", "y")]),
        st.sampled_from(["*", "a/*", "a/b", "x/*", "[ab]/?"]),
        st.sets(st.sampled_from(sorted(CONCRETE)), min_size=1),
        st.sampled_from(["", "", "v*", "v1", "dev"]),
        st.lists(st.sampled_from(NETWORKS), max_size=2, unique=True),
        st.sampled_from([None, None, NOON, NOON + timedelta(hours=1)]),
    ),
    st.booleans(),
    st.sampled_from([None, None, 1, 2, 3]),
)


def model(  # noqa: PLR0917 - as many as decide
    rules: list[Row], who: Identity, address: str, now: datetime, name: str, action: str, tag: str
) -> bool:
    """Decide as slowly as it can be said."""

    def matches(row: Row, *, whatever: bool = False) -> bool:
        subject = {
            "anonymous": True,
            "account": bool(who.name) and fnmatchcase(who.name, row.subject),
            "group": row.subject in who.groups,
        }[row.subject_kind]
        groups = [row.subject] if row.subject_kind == "group" else sorted(who.groups)
        names = [row.name.replace("${group}", group) for group in groups] if "$" in row.name else [row.name]
        inside = [ip_address(address) in ip_network(network) for network in row.networks.split(",") if row.networks]
        return (
            subject
            and (whatever or action in row.actions.split(","))
            and any(fnmatchcase(name, pattern) for pattern in names)
            and (not inside or any(inside))
            and (row.until is None or now < row.until)
            and (not row.tags or action == "pull" or fnmatchcase(tag, row.tags))
        )

    loose = [row for row in rules if row.order is None]
    reached = [row for row in rules if row.order is not None and matches(row, whatever=True)]
    first = [row for row in reached if row.order == min(row.order or 0 for row in reached)]
    return (
        any(matches(row) for row in loose if not row.is_deny)
        or (all(not row.is_deny for row in first) and any(matches(row) for row in first))
    ) and not any(matches(row) for row in loose if row.is_deny)


def rules_for(rules: list[Row], who: Identity, address: str, now: datetime) -> IdentityRules:
    compiled = compile_rules(rules).at(now.timestamp())
    there = Identity(who.name, who.groups, networks=compiled.networks_of(address))
    return compiled.of(there)


@given(
    st.lists(rows, max_size=6),
    st.sampled_from([ANONYMOUS, Identity("alice", frozenset({"x"})), Identity("bob", frozenset({"x", "y"}))]),
    st.sampled_from(["10.1.2.3", "10.9.9.9", "192.0.2.7", "192.0.2.8", "2001:db8::1", "::1"]),
    st.sampled_from(["a/b", "a/c", "x/b", "y/b", "b/a"]),
    st.sampled_from(sorted(CONCRETE)),
    st.sampled_from(["v1", "v2", "dev", "latest"]),
    st.sampled_from([NOON, datetime(2026, 11, 30, 12, 30, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)]),
)
def test_random_rules_decide_as_a_naive_model(  # noqa: PLR0917 - as many as decide
    found: list[Row], who: Identity, address: str, name: str, action: str, tag: str, now: datetime
) -> None:
    rules = rules_for(found, who, address, now)

    is_allowed = action in rules.actions_on(name) and (
        action == "pull" or rules.tag_refusal(name, action, [tag]) is None
    )

    assert is_allowed == model(found, who, address, now, name, action, tag)
    if is_allowed:
        assert rules.allows(action)(name)
        assert covers(rules.ranges(action), name)
    if "pull" not in rules.actions_on(name):
        assert not any(one.is_whole for one in rules.ranges("pull") if covers([one], name))
    if action in rules.actions_on_every_tag(name):
        assert all(model(found, who, address, now, name, action, other) for other in ("v1", "dev", "latest"))


def test_a_denial_wins_whatever_the_order() -> None:
    allow, deny = Row("account", "*", "*", "*"), Row("anonymous", "", "secret/*", "push", is_deny=True)

    for order in ([allow, deny], [deny, allow]):
        rules = compile_rules(order).of(Identity("alice"))
        assert rules.actions_on("secret/a") == {"pull", "delete"}
        assert rules.actions_on("open/a") == CONCRETE


def test_the_first_in_order_holds_back_those_behind_it() -> None:
    rows = [
        Row("account", "*", "*", "pull", order=30),
        Row("account", "alice", "a/*", "*", order=10),
        Row("account", "alice", "*", "*", is_deny=True, order=20),
    ]
    compiled = compile_rules(rows)

    alice, bob = compiled.of(Identity("alice")), compiled.of(Identity("bob"))

    assert (alice.actions_on("a/x"), alice.actions_on("b/x")) == (CONCRETE, frozenset())
    assert bob.actions_on("a/x") == {"pull"}
    assert alice.denying("b/x", frozenset({"pull"})) == ["order 20: alice may not pull, push or delete *"]
    assert bob.denying("a/x", frozenset({"push"})) == ["order 30: everyone signed in may pull *, and nothing else"]


def test_rules_of_one_number_count_together_and_beside_those_without() -> None:
    rows = [
        Row("account", "*", "a/*", "pull", order=1),
        Row("account", "*", "*/x", "push", order=1),
        Row("account", "*", "a/*", "delete"),
    ]

    assert compile_rules(rows).of(Identity("alice")).actions_on("a/x") == CONCRETE
    rows.append(Row("account", "*", "a/*", "*", is_deny=True, order=1))
    assert compile_rules(rows).of(Identity("alice")).actions_on("a/x") == {"delete"}


def test_without_an_address_a_rule_with_an_order_and_a_network_holds_back_those_behind_it() -> None:
    rows = [Row("account", "*", "a/*", "pull", networks="10.0.0.0/8", order=1), Row("account", "*", "*", "*", order=2)]
    compiled = compile_rules(rows)

    unknown = compiled.of(Identity("alice", networks=compiled.networks_of("")))

    assert unknown.actions_on("a/x") == frozenset()
    assert unknown.actions_on("b/x") == CONCRETE


def test_without_an_address_a_network_allows_nothing_and_denies() -> None:
    allow = Row("account", "*", "a/*", "pull", networks="10.0.0.0/8")
    deny = Row("account", "*", "b/*", "pull", networks="10.0.0.0/8", is_deny=True)
    rules = compile_rules([allow, Row("account", "*", "b/*", "pull"), deny])

    unknown = rules.of(Identity("alice", networks=rules.networks_of("")))

    assert not unknown.actions_on("a/x")
    assert not unknown.actions_on("b/x")


@pytest.mark.parametrize(
    ("address", "networks"),
    [
        ("10.1.2.3", {"10.0.0.0/8"}),
        ("::ffff:10.1.2.3", {"10.0.0.0/8"}),
        ("11.0.0.1", set()),
        ("2001:db8::1", {"2001:db8::/32"}),
        ("\u0661\u0660.1.2.3", None),
        ("10.1.2.3, 11.0.0.1", None),
        ("", None),
    ],
)
def test_which_networks_have_an_address(address: str, networks: set[str] | None) -> None:
    rules = compile_rules([Row("account", "*", "*", "pull", networks="10.0.0.0/8,2001:db8::/32")])

    assert rules.networks_of(address) == networks


@pytest.mark.parametrize("group", ["", "X", "x y", "*", "[x]", "${account}", "\u0445"])
def test_a_group_that_is_no_name_matches_nothing(group: str) -> None:
    rules = compile_rules([Row("account", "*", "${group}/*", "pull")]).of(Identity("alice", frozenset({group})))

    assert not any(rules.actions_on(name) for name in ("x/a", "/a", "a/a", "alice/a", "y/a"))


def test_somebody_has_a_thousand_groups() -> None:
    groups = frozenset(f"team-{number}" for number in range(1000))
    rules = compile_rules([Row("account", "*", "${group}/${account}/*", "pull")]).of(Identity("alice", groups))

    assert rules.actions_on("team-999/alice/app") == {"pull"}
    assert rules.actions_on("team-1000/alice/app") == frozenset()
    assert rules.actions_on("team-999/bob/app") == frozenset()
    assert len(rules.ranges("pull")) == 1000


def test_in_a_rule_for_a_group_it_is_that_group() -> None:
    both = Identity("alice", frozenset({"x", "y"}))
    rules = compile_rules([Row("group", "x", "${group}/*", "pull")]).of(both)

    assert rules.actions_on("x/a") == {"pull"}
    assert not rules.actions_on("y/a")


@pytest.mark.parametrize(
    ("text", "instant", "shown"),
    [
        ("2026-12-31", "2027-01-01T00:00:00+00:00", "2026-12-31"),
        ("2026-12-31T18:00", "2026-12-31T18:00:00+00:00", "2026-12-31T18:00Z"),
        ("2026-12-31 18:00:30", "2026-12-31T18:00:30+00:00", "2026-12-31T18:00:30Z"),
        ("2026-12-31T18:00+05:30", "2026-12-31T12:30:00+00:00", "2026-12-31T12:30Z"),
        ("2027-01-01T00:00Z", "2027-01-01T00:00:00+00:00", "2026-12-31"),
    ],
)
def test_when_a_rule_ends(text: str, instant: str, shown: str) -> None:
    until = parse_until(text)

    assert until.isoformat() == instant
    assert until_text(until) == shown
    assert parse_until(shown) == until


@pytest.mark.parametrize(
    "text",
    [
        "",
        "soon",
        "2026-13-01",
        "2026-02-30",
        "0000-01-01",
        "9999-12-31",
        "0001-01-01T00:00+01:00",
        "\u0662026-12-31",
        "2026-12-31\n",
        "2026-12-31T25:00",
    ],
)
def test_what_is_no_end(text: str) -> None:
    with pytest.raises(InvalidUntilError):
        parse_until(text)


def test_a_workload_without_an_account_is_denied_what_everyone_signed_in_is() -> None:
    workload = Identity("ci.example.com:app", frozenset({"ci"}))
    rules = [Row("group", "ci", "*", "pull"), Row("account", "*", "a/*", "pull", True)]

    compiled = compile_rules(rules).of(workload)

    assert not workload.has_account
    assert (compiled.actions_on("b/app"), compiled.actions_on("a/app")) == (frozenset({"pull"}), frozenset())
