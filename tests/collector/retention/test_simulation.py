"""What a simulation says is what a run at the same moment does."""

import json
from datetime import timedelta
from io import StringIO
from typing import Any

import pytest
from django.core.management import CommandError, call_command
from django.db.models.functions import Now
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from collector import plan
from collector.retention import facts
from core.db import clock
from distribution.models import Manifest, ManifestChild, Repository, Tag, TagMove, remove
from policies.models import ImmutableTags, ReadOnly, Retention
from tests.api.asking import answered, items, promote
from tests.caller import Caller
from tests.collector.retention.conftest import DAY, MakePolicy, image, tagged, tags, valid
from tests.collector.runs import collect, forecast
from tests.collector.test_plan import applied, planned
from tests.images import digest_of

NAMES = ["alice/a", "alice/b", "bob/a"]
IMAGES = ["1", "2", "3", "4"]
_SIGNATURES = [f"{digest_of(of.encode()).replace(':', '-')}.sig" for of in ("1", "gone")]
_days = st.integers(0, 40)
_globs = st.sampled_from(["", "v*", "1.*", "main", "*"])
_rules = {
    "keep_last": st.integers(1, 3),
    "keep_pushed_within": _days.map(lambda days: (days + 1) * DAY),
    "keep_pulled_within": _days.map(lambda days: (days + 1) * DAY),
    "keep_tags": st.sampled_from(["v*", "main", "sha256-*"]),
    "keep_minors": st.integers(1, 2),
}
_policies = st.builds(
    lambda rules, values: values | (rules or {"remove_untagged": True, "tags": "", "except_tags": ""}),
    st.fixed_dictionaries({}, optional=_rules),
    st.fixed_dictionaries(
        {
            "repositories": st.sampled_from(["*", "alice/*", "*/a"]),
            "tags": _globs,
            "except_tags": st.sampled_from(["", "main"]),
            "remove_signatures": st.booleans(),
            "remove_untagged": st.booleans(),
        }
    ),
)
_tag = st.tuples(
    st.sampled_from(NAMES),
    st.sampled_from(["main", "v1", "v1.0.0", "1.0.0", "1.0.1", "1.1.0", "1.1", "pr-1", "pr-2", *_SIGNATURES]),
)
_tags = st.dictionaries(_tag, st.tuples(st.sampled_from(IMAGES), _days, st.none() | _days), max_size=12)
_others = st.sampled_from(
    [
        (),
        ((ImmutableTags, {"repositories": "alice/*", "tags": "v*"}),),
        ((ImmutableTags, {"repositories": "*/a", "protected": True}), (ReadOnly, {"repositories": "alice/b"})),
    ]
)


def _ago(days: float | None) -> Any:
    return None if days is None else Now() - days * DAY


def _grow(found: dict[tuple[str, str], tuple[str, int, int | None]], *, children: bool) -> None:
    """Make the tags, each of one of a few images; an index lists the first, and a referrer of nothing another one."""
    for name in NAMES:
        first, listing = image(name, "1"), image(name, "index")
        if children:
            ManifestChild.objects.create(parent=listing, child=first)
            orphan = image(name, "orphan", subject=digest_of(b"never"), is_unreferenced=True)
            ManifestChild.objects.create(parent=orphan, child=image(name, "part"))
    for (name, tag), (of, pushed, pulled) in found.items():
        row = image(name, of)
        Tag.objects.create(
            repository_id=row.repository_id,
            name=tag,
            manifest=row,
            updated_at=_ago(pushed),
            pulled_at=_ago(pulled),
        )


def _clear() -> None:
    for table in (Tag, ManifestChild, Manifest, Retention, ImmutableTags, ReadOnly, TagMove):
        remove(table._default_manager.all())


def _present() -> set[tuple[str, str, str]]:
    found = {("tag", *row) for row in Tag.objects.values_list("repository__name", "name")}
    return found | {("manifest", *row) for row in Manifest.objects.values_list("repository__name", "digest")}


@settings(
    max_examples=25,
    deadline=None,
    # Examples are small, and to make one smaller takes minutes.
    phases=[Phase.explicit, Phase.reuse, Phase.generate],
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.function_scoped_fixture],
)
@given(
    rules=st.lists(_policies, min_size=1, max_size=3),
    found=_tags,
    others=_others,
    children=st.booleans(),
    remove_untagged=st.booleans(),
    recorded=st.sampled_from([5, 400]),
)
def test_simulated_is_applied(  # noqa: PLR0917 - what hypothesis draws
    prepared: None,
    monkeypatch: pytest.MonkeyPatch,
    rules: list[dict[str, Any]],
    found: dict[tuple[str, str], tuple[str, int, int | None]],
    others: tuple[tuple[Any, dict[str, Any]], ...],
    children: bool,
    remove_untagged: bool,
    recorded: int,
) -> None:
    _clear()
    monkeypatch.setattr(facts, "pulls_since", lambda now: now - recorded * DAY)
    for values in rules:
        valid(Retention(**values))
    for kind, values in others:
        valid(kind(**values))
    _grow(found, children=children)
    before = _present()
    simulated = set(forecast(remove_untagged=remove_untagged))
    said = {(line["repository"], line["tag"]) for line in _said() if not line["stays"]}

    report = collect(remove_untagged=remove_untagged)

    assert before - _present() == simulated
    assert {(name, tag) for kind, name, tag in simulated if kind == "tag"} == said
    assert report.failures == 0
    assert forecast(remove_untagged=remove_untagged) == []
    # Whatever the policies say: what a tag, an index or a subject holds is here.
    for name, of in Tag.objects.values_list("repository__name", "manifest__digest"):
        assert ("manifest", name, of) in _present()
    assert not Manifest.objects.filter(tags__isnull=False, is_unreferenced=True).exists()


def _said(*options: str) -> list[dict[str, Any]]:
    output = StringIO()
    call_command("retention", "--json", *options, stdout=output)
    return [json.loads(line) for line in output.getvalue().splitlines()]


def _printed(*options: str) -> list[str]:
    output = StringIO()
    call_command("retention", *options, stdout=output)
    return output.getvalue().splitlines()


def test_the_command_says_of_each_tag_why(retention: MakePolicy) -> None:
    number = retention(keep_last=1, keep_tags="v*").pk
    tagged(a=2, b=1, v1=9)
    tagged("bob/app", a=9)

    assert _printed("--repository", "alice/*") == [
        f"alice/app:a goes: no rule keeps it (policy {number})",
        f"alice/app:b stays: number 1 of the last 1 pushed (policy {number})",
        f"alice/app:v1 stays: its name is kept (policy {number})",
        "1 tag would go, 2 tags would stay",
    ]
    assert _printed("--gone")[:-1] == [f"alice/app:a goes: no rule keeps it (policy {number})"]
    assert tags() == {"a", "b", "v1"}


def test_the_command_says_why_nothing_goes(retention: MakePolicy) -> None:
    retention(keep_last=1)
    tagged(a=2, b=1)
    number = valid(ReadOnly(repositories="alice/*")).pk

    assert _printed()[0] == f"alice/app:a stays: the repository is read-only (read-only mode {number})"


def test_the_command_says_that_nothing_holds(retention: MakePolicy) -> None:
    assert _printed() == ["There is no retention policy."]

    retention("bob/*", keep_last=1)

    assert _printed() == ["No tags: no retention policy holds for them."]
    with pytest.raises(CommandError, match="has no"):
        _printed("--repository", "a[")


def test_a_dry_run_lists_tags_in_the_api_and_in_gc(retention: MakePolicy, root: Caller) -> None:
    number = retention(keep_last=1).pk
    tagged(a=2, b=1)

    run = planned()

    assert answered(root, f"collection/runs/{run.pk}")["tags"] == 1
    (found,) = items(root, f"collection/runs/{run.pk}/findings?kind=tag")
    assert (found["repository"], found["name"]) == ("alice/app", "a")
    assert found["reason"] == f"no rule keeps it (policy {number})"
    output = StringIO()
    call_command("gc", "--dry-run", stdout=output)
    assert f"would remove tag alice/app a: no rule keeps it (policy {number})" in output.getvalue()
    assert "1 tag would be removed by retention" in output.getvalue()
    assert tags() == {"a", "b"}


@pytest.fixture
def root(cast: None, alice: Caller) -> Caller:
    return promote(alice)


def test_a_plan_removes_the_tags_that_it_lists_and_does_not_exclude(retention: MakePolicy) -> None:
    retention(keep_last=1)
    tagged(a=4, b=3, c=2, d=1)
    run = planned()
    plan.exclude(run, run.findings.filter(name="a"))
    assert plan.Summary.of(run).removal == "2 tags"
    Tag.objects.filter(name="b").update(updated_at=Now() + timedelta(milliseconds=1))
    tagged(e=-0.1)

    assert applied(run).tags == 1

    assert tags() == {"a", "b", "d", "e"}


def test_pulls_are_recorded_since_their_column_is_there(db: None, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.undo()
    now = clock.now()

    assert now - DAY < facts.pulls_since(now) <= now
    monkeypatch.setattr(facts, "_RECORDS_PULLS", ("distribution", "9999"))
    assert facts.pulls_since(now) == now


@pytest.mark.parametrize("pulled", ["tag", "image", "child"])
def test_a_tag_counts_as_pulled_by_tag_digest_or_child(retention: MakePolicy, pulled: str) -> None:
    """Clusters pull by digest, and one that has an index pulls the child alone."""
    retention(keep_pulled_within=7 * DAY)
    tagged(a=50, b=50)
    row = Manifest.objects.get(tags__name="a")
    child = image("alice/app", "child")
    ManifestChild.objects.create(parent=row, child=child)
    rows: dict[str, Any] = {
        "tag": Tag.objects.filter(name="a"),
        "image": Manifest.objects.filter(pk=row.pk),
        "child": Manifest.objects.filter(pk=child.pk),
    }
    rows[pulled].update(pulled_at=Now() - 3 * DAY)

    collect()

    assert tags() == {"a"}


def test_a_deleted_repository_is_left_alone(retention: MakePolicy) -> None:
    retention("*", keep_last=1)
    tagged(a=2, b=1)
    Repository.objects.update(name="!1 alice/app")

    assert _said() == []
    assert [found for found in forecast() if found[0] == "tag"] == []
