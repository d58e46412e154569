"""Which tags stay."""

from collections.abc import Iterable
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from acl.glob import compile_glob
from policies.retention.decision import Keep, Moment, TagFacts, Verdict, decide, subject_of

NOW = datetime(2026, 11, 30, tzinfo=UTC)
DAY = timedelta(days=1)
MOMENT = Moment(NOW, pulls_since=NOW - 1000 * DAY, settled_before=NOW - DAY)


def _keep(about: str = "*", names: str = "", **rules: Any) -> Keep:
    matches = compile_glob(names) if names else lambda _: False
    return Keep(compile_glob(about), matches, **{"number": 1} | rules)


def _tag(name: str, pushed: float = 100, pulled: float | None = None, digest: str = "") -> TagFacts:
    """Return a tag that was pushed and pulled so many days ago."""
    pulled_at = None if pulled is None else NOW - pulled * DAY
    return TagFacts(name, digest or f"sha256:{name}", NOW - pushed * DAY, pulled_at)


def _decided(policies: list[Keep], tags: Iterable[TagFacts], present: Iterable[str] = ()) -> dict[str, Verdict]:
    return decide(policies, tags, set(present), MOMENT)


def _kept(policies: list[Keep], tags: Iterable[TagFacts], present: Iterable[str] = ()) -> set[str]:
    return {name for name, verdict in _decided(policies, tags, present).items() if verdict.is_kept}


TAGS = [_tag("a", 1), _tag("b", 20), _tag("c", 40, pulled=3), _tag("d", 50), _tag("latest", 60)]


@pytest.mark.parametrize(
    ("rules", "kept"),
    [
        ({"last_pushed": 2}, "a b"),
        ({"pushed_within": 30 * DAY}, "a b"),
        ({"pulled_within": 7 * DAY}, "c"),
        ({"names": "latest"}, "latest"),
        ({"last_pushed": 1, "pulled_within": 7 * DAY, "names": "l*"}, "a c latest"),
        ({"last_pushed": 0}, ""),
    ],
)
def test_what_no_rule_keeps_goes(rules: dict[str, Any], kept: str) -> None:
    assert _kept([_keep(**rules)], TAGS) == set(kept.split())


def test_a_tag_goes_only_if_every_policy_about_it_lets_it_go() -> None:
    policies = [_keep(last_pushed=1), _keep(names="d"), _keep(about="latest", pushed_within=DAY)]
    assert _kept(policies, TAGS) == {"a", "d"}


def test_a_tag_that_no_policy_is_about_stays() -> None:
    decided = _decided([_keep(about="pr-*", last_pushed=1)], [_tag("pr-1"), _tag("pr-2", 5), _tag("main")])
    assert {name: verdict.reason for name, verdict in decided.items()} == {
        "pr-1": "no rule keeps it (policy 1)",
        "pr-2": "number 1 of the last 1 pushed (policy 1)",
        "main": "no policy is about it",
    }


def test_the_name_decides_between_tags_of_one_moment() -> None:
    assert _kept([_keep(last_pushed=1)], [_tag("a"), _tag("b")]) == {"b"}


def test_the_newest_minor_versions_stay_with_their_short_names() -> None:
    tags = [_tag("1.0.0"), _tag("1.1.0", digest="x"), _tag("1.1", digest="x"), _tag("1", digest="x"), _tag("1.0")]
    assert _kept([_keep(minors=1)], tags) == {"1.1.0", "1.1", "1"}


def test_a_tag_whose_pulls_were_not_recorded_yet_may_have_been_pulled() -> None:
    moment = Moment(NOW, pulls_since=NOW - 5 * DAY, settled_before=NOW)
    tags = [_tag("old", 100), _tag("new", 4), _tag("pulled", 100, pulled=20)]
    decided = decide([_keep(pulled_within=10 * DAY)], tags, set(), moment)
    assert decided["old"] == Verdict(is_kept=True, reason="pulls are recorded since 2026-11-25 only (policy 1)")
    assert not decided["new"].is_kept
    assert not decided["pulled"].is_kept


@pytest.mark.parametrize("ending", ["", ".sig", ".att", ".sbom"])
def test_a_signature_stays_as_long_as_its_image(ending: str) -> None:
    here, gone = "sha256:" + "1" * 64, "sha256:" + "2" * 64
    tags = [_tag(f"{digest.replace(':', '-')}{ending}") for digest in (here, gone)]
    assert _kept([_keep(last_pushed=5, removes_signatures=True)], tags, [here]) == {tags[0].name}


def test_a_signature_of_an_image_that_is_gone_stays_unless_a_policy_says_otherwise() -> None:
    tag = _tag("sha256-" + "2" * 64 + ".sig")
    removing = _keep(about="pr-*", last_pushed=1, removes_signatures=True, number=2)
    assert _decided([_keep(last_pushed=1)], [tag])[tag.name] == Verdict(True, "no policy removes signatures")
    reason = "belongs to an image that is gone (policy 2)"
    assert _decided([_keep(last_pushed=1), removing], [tag])[tag.name] == Verdict(False, reason)
    assert _kept([_keep(names="*.sig"), removing], [tag]) == {tag.name}


def test_a_reason_names_every_policy_that_lets_a_tag_go() -> None:
    policies = [_keep(last_pushed=1, number=number) for number in (3, 5, 8)]
    assert _decided(policies, [_tag("a", 1), _tag("b")])["b"].reason == "no rule keeps it (policies 3, 5 and 8)"


def test_a_pull_may_have_been_stored_a_minute_before_the_last_one() -> None:
    tags = [_tag("a", pulled=10 + 1 / 1440), _tag("b", pulled=10 + 3 / 1440)]
    assert _kept([_keep(pulled_within=10 * DAY)], tags) == {"a"}


def test_a_signature_that_was_pushed_a_moment_ago_waits_for_its_image() -> None:
    tag = _tag("sha256-" + "2" * 64 + ".sig", pushed=0.5)
    assert _kept([_keep(last_pushed=0, removes_signatures=True)], [tag]) == {tag.name}


def test_a_signature_takes_no_place_of_the_last_pushed() -> None:
    signature = _tag("sha256-" + "1" * 64 + ".sig", pushed=0)
    assert "b" in _kept([_keep(last_pushed=2)], [signature, *TAGS])


@pytest.mark.parametrize("tag", ["sha256-1.sig", "sha256-" + "1" * 64 + ".png", "x" + "1" * 64])
def test_another_tag_is_derived_from_no_digest(tag: str) -> None:
    assert subject_of(tag) is None


_days = st.integers(0, 50)
_rules = st.fixed_dictionaries(
    {},
    optional={
        "last_pushed": st.integers(0, 5),
        "pushed_within": _days.map(lambda days: days * DAY),
        "pulled_within": _days.map(lambda days: days * DAY),
        "minors": st.integers(1, 3),
        "names": st.sampled_from(["v*", "1.?.0", "main"]),
        "about": st.sampled_from(["*", "v*", "1*"]),
    },
)
_names = st.sampled_from(["main", "v1", "v1.0.0", "v1.1.0", "1.0.0", "1.2.0", "1.2", "1", "pr-1", "pr-2"])
_tags = st.lists(
    st.builds(_tag, _names, _days, st.none() | _days, st.sampled_from("xyz")), unique_by=lambda tag: tag.name
)


@settings(suppress_health_check=[HealthCheck.too_slow], deadline=None)
@given(st.lists(_rules, min_size=1, max_size=3), _tags)
def test_another_policy_or_order_of_tags_lets_nothing_more_go(
    rules: list[dict[str, Any]], tags: list[TagFacts]
) -> None:
    """A tag goes only by the word of all policies about it, and the order of the rows decides nothing."""
    policies = [_keep(**one) for one in rules]
    decided = _decided(policies, tags)
    assert decided == _decided(policies, tags[::-1])
    for position, policy in enumerate(policies):
        alone = _decided([policy], tags)
        others = _kept(policies[:position] + policies[position + 1 :], tags) if len(policies) > 1 else set()
        for name, verdict in decided.items():
            if not verdict.is_kept:
                is_about = policy.is_about(name)
                assert not alone[name].is_kept or not is_about
            elif verdict.reason != "no policy is about it":
                assert alone[name].is_kept or name in others
