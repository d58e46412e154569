"""Tags that no policy keeps go with a collection; what is changed or kept otherwise meanwhile stays."""

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from typing import Any

import pytest
from django.db import connection, transaction
from django.db.models import QuerySet
from django.db.models.functions import Now
from pytest_django import Settings

from collector.retention import facts, removal
from distribution.models import Manifest, Repository, Tag, TagMove
from policies.models import ImmutableTags, ReadOnly, Retention
from tests.audit.conftest import Written, queue, written
from tests.caller import Caller
from tests.collector.other_thread import in_other_thread
from tests.collector.retention.conftest import DAY, MakePolicy, image, tagged, tags, valid
from tests.collector.runs import collect, forecast, pass_time
from tests.images import Image, digest_of, index, put_manifest
from webhooks.models import Delivery, Webhook

__all__ = ["queue", "written"]


def test_the_last_three_of_six_stay(retention: MakePolicy) -> None:
    retention(keep_last=3)
    tagged(a=6, b=5, c=4, d=3, e=2, f=1)

    report = collect()

    assert tags() == {"d", "e", "f"}
    assert (report.total.tags, report.total.manifests, report.failures) == (3, 0, 0)


def test_an_image_goes_once_its_grace_period_is_over(retention: MakePolicy) -> None:
    retention(keep_last=1, remove_untagged=True)
    tagged(a=2, b=1)
    collect(remove_untagged=False)
    assert Manifest.objects.count() == 2

    pass_time()
    report = collect(remove_untagged=False)

    assert report.total.manifests == 1
    assert Manifest.objects.get().digest == digest_of(b"b")


def test_without_a_policy_nothing_goes(prepared: None) -> None:
    tagged(a=99)

    assert collect().total.tags == 0
    assert tags() == {"a"}


def test_more_tags_than_one_transaction_removes_go(retention: MakePolicy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removal, "TAGS_AT_ONCE", 2)
    monkeypatch.setattr(facts, "BATCH", 3)
    retention(keep_last=1)
    tagged(**{f"t{number}": number for number in range(1, 9)})

    assert collect().total.tags == 7
    assert tags() == {"t1"}


def test_history_audit_and_webhooks_say_who_and_why(retention: MakePolicy, written: Written) -> None:
    policy = retention(keep_last=1)
    Webhook.objects.create(name="h", url="https://example.org", events=["tag.delete"], repositories="*", is_active=True)
    tagged(a=2, b=1)

    collect()

    move = TagMove.objects.get(tag="a")
    assert (move.account, move.old_digest, move.new_digest) == ("retention", digest_of(b"a"), "")
    event = next(event for event in written() if event.kind == "tag_deleted")
    assert (event.account, event.credential, event.repository, event.reference) == (
        *("retention", "retention"),
        *("alice/app", "a"),
    )
    assert event.detail == f"no rule keeps it (policy {policy.pk})"
    assert '"account":"retention"' in Delivery.objects.get().facts


KEPT: dict[str, Callable[[], object]] = {
    "immutable": lambda: valid(ImmutableTags(repositories="alice/*", tags="a")),
    "protected": lambda: valid(ImmutableTags(repositories="alice/*", protected=True)),
    "read-only": lambda: valid(ReadOnly(repositories="alice/*")),
}


@pytest.mark.parametrize("keep", KEPT.values(), ids=KEPT)
def test_what_another_policy_keeps_stays(retention: MakePolicy, keep: Callable[[], object]) -> None:
    retention(keep_last=1, remove_untagged=True, remove_signatures=True)
    tagged(a=2, b=1)
    keep()

    assert forecast() == []
    collect(remove_untagged=False)

    assert tags() == {"a", "b"}


def test_nothing_goes_while_deletion_is_switched_off(retention: MakePolicy, settings: Settings) -> None:
    retention(keep_last=1, remove_untagged=True)
    tagged(a=2, b=1)
    image("alice/app", "untagged", is_unreferenced=True)
    registry = settings.REGISTRY
    settings.REGISTRY = replace(registry, storage=replace(registry.storage, deletion=False))

    collect(remove_untagged=False)

    assert tags() == {"a", "b"}
    assert Manifest.objects.count() == 3


def _tag() -> QuerySet[Tag]:
    return Tag.objects.filter(name="a")


MEANWHILE: dict[str, Callable[[], object]] = {
    "pushed again": lambda: _tag().update(updated_at=Now()),
    "moved": lambda: _tag().update(manifest=image("alice/app", "other"), updated_at=Now()),
    "moved back at once": lambda: _tag().update(manifest=image("alice/app", "other")),
    "pulled": lambda: _tag().update(pulled_at=Now()),
    "its image pulled": lambda: Manifest.objects.filter(tags__name="a").update(pulled_at=Now()),
    "kept by a policy": lambda: valid(Retention(repositories="alice/*", keep_tags="a")),
    "no longer in a policy": lambda: Retention.objects.update(except_repositories="alice/app"),
    "without policies": lambda: Retention.objects.all().delete(),
    "immutable": lambda: valid(ImmutableTags(repositories="alice/*", tags="a")),
    "protected": lambda: valid(ImmutableTags(repositories="alice/*", protected=True)),
    "read-only": lambda: valid(ReadOnly(repositories="alice/*")),
    "being deleted": lambda: Repository.objects.update(name="!1 alice/app"),
}


@pytest.mark.parametrize("change", MEANWHILE.values(), ids=MEANWHILE)
def test_a_tag_that_changes_after_the_decision_stays(retention: MakePolicy, change: Callable[[], object]) -> None:
    retention(keep_last=1, keep_pulled_within=DAY)
    tagged(a=2, b=1)

    collect(watch=_once(change))

    assert _tag().exists()


@pytest.mark.parametrize("change", [lambda: Retention.objects.update(comment="x"), _tag().delete])
def test_a_change_of_something_else_lets_the_others_go(retention: MakePolicy, change: Callable[[], object]) -> None:
    retention(keep_last=1)
    tagged(a=3, b=2, c=1)

    collect(watch=_once(change))

    assert tags() == {"c"}


LAST_TWO: list[tuple[dict[str, Any], list[str]]] = [
    ({"keep_last": 2}, ["f", "e", "d", "c", "b", "a"]),
    ({"keep_last": 2, "keep_tags": "f e"}, ["f", "e", "d", "c", "b", "a"]),
    ({"keep_minors": 2}, ["1.5.0", "1.4.0", "1.3.0", "1.2.0", "1.1.0", "1.0.0"]),
    ({"keep_minors": 1, "keep_patches": 2}, ["1.0.5", "1.0.4", "1.0.3", "1.0.2", "1.0.1", "1.0.0"]),
]


@pytest.mark.parametrize(("rules", "newest"), LAST_TWO)
@pytest.mark.parametrize("left", [6, 5], ids=["before the first batch", "before the second batch"])
def test_when_the_last_two_are_deleted_meanwhile_the_next_two_stay(
    retention: MakePolicy, monkeypatch: pytest.MonkeyPatch, rules: dict[str, Any], newest: list[str], left: int
) -> None:
    monkeypatch.setattr(removal, "TAGS_AT_ONCE", 1)
    retention(**rules)
    tagged(**{name: ago for ago, name in enumerate(newest, start=1)})

    collect(watch=_once(Tag.objects.filter(name__in=newest[:2]).delete, lambda: Tag.objects.count() == left))

    # Those of the first batch, in byte order, are gone already.
    assert tags() == set(newest[2:4])


def test_a_push_meanwhile_needs_no_other_decision(retention: MakePolicy, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(removal, "ATTEMPTS", 1)
    retention(keep_last=2)
    tagged(a=4, b=3, c=2, d=1)

    collect(watch=_once(lambda: tagged(e=0)))

    assert tags() == {"c", "d", "e"}


def test_a_signature_stays_whose_image_arrives_after_the_decision(
    retention: MakePolicy, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(removal, "TAGS_AT_ONCE", 1)
    retention(remove_signatures=True)
    # By their names, in the order in which they go.
    gone, late = (f"{digest_of(of).replace(':', '-')}.sig" for of in (b"never", b"1"))
    tagged(**{gone: 9, late: 9})

    collect(watch=_once(lambda: image("alice/app", "1"), lambda: Tag.objects.count() == 1))

    assert tags() == {late}
    Manifest.objects.filter(digest=digest_of(b"1")).delete()
    collect()
    assert tags() == set()


def _once(change: Callable[[], object], is_time: Callable[[], bool] = lambda: True) -> Callable[[], None]:
    """Return a `watch` that makes the change once it is time: at first the tags are read, and none is removed."""
    changes = [change]

    def watch() -> None:
        if changes and is_time():
            changes.pop()()

    return watch


def test_a_broken_repository_does_not_keep_the_others(retention: MakePolicy, monkeypatch: pytest.MonkeyPatch) -> None:
    retention(keep_last=1)
    tagged("alice/a", a=2, b=1)
    tagged("alice/b", a=2, b=1)
    real = facts.of_repository

    def broken(pk: int, **options: Any) -> Any:
        if Repository.objects.get(pk=pk).name == "alice/a":
            raise ValueError("broken")
        return real(pk, **options)

    monkeypatch.setattr(facts, "of_repository", broken)

    assert collect().failures == 1
    assert (tags("alice/a"), tags("alice/b")) == ({"a", "b"}, {"b"})


@contextmanager
def _locked(rows: QuerySet[Any]) -> Iterator[None]:
    """Hold the rows in a transaction of another connection."""

    @contextmanager
    def lock() -> Iterator[None]:
        with transaction.atomic():
            assert list(rows.select_for_update())
            yield

    with in_other_thread(lock()):
        yield


@pytest.mark.django_db(transaction=True)
@pytest.mark.parametrize("model", [Tag, Manifest, Repository])
def test_a_busy_tag_is_left_for_the_next_run(retention: MakePolicy, model: Any) -> None:
    if not connection.features.has_select_for_update_skip_locked:
        pytest.skip("SQLite has one writer at a time: nothing is ever busy")
    retention(keep_last=1)
    tagged(a=2, b=1)
    # Otherwise the run waits for the repository to sum its size.
    Repository.objects.update(size=0)

    with _locked(model._default_manager.all()):
        report = collect()

    assert (report.total.tags, report.busy, report.failures) == (0, 1, 0)
    assert collect().total.tags == 1


@pytest.mark.parametrize(
    ("flags", "gone"),
    [
        ({"remove_untagged": True}, {"untagged", "orphan"}),
        ({"remove_signatures": True}, {"orphan"}),
        ({"remove_untagged": True, "remove_signatures": True}, {"untagged", "orphan"}),
    ],
)
def test_a_policy_removes_untagged_manifests_or_referrers_alone(
    retention: MakePolicy, flags: dict[str, bool], gone: set[str]
) -> None:
    retention("alice/app", **flags)
    for name in ("alice/app", "alice/other"):
        tagged(name, kept=9)
        image(name, "untagged", is_unreferenced=True)
        image(name, "orphan", is_unreferenced=True, subject=digest_of(b"never"))
        image(name, "referrer", subject=digest_of(b"kept"))
    found = forecast(remove_untagged=False)

    collect(remove_untagged=False)

    of_app = Manifest.objects.filter(repository__name="alice/app")
    assert {digest_of(one.encode()) for one in {"kept", "untagged", "orphan", "referrer"} - gone} == set(
        of_app.values_list("digest", flat=True)
    )
    assert {name for _, _, name in found} == {digest_of(one.encode()) for one in gone}
    assert Manifest.objects.filter(repository__name="alice/other").count() == 4


def test_a_manifest_stays_whose_policy_ends_after_it_was_found(retention: MakePolicy) -> None:
    retention(remove_untagged=True)
    for number in range(2):
        image("alice/app", f"untagged {number}", is_unreferenced=True)

    collect(remove_untagged=False, watch=_once(Retention.objects.all().delete, lambda: Manifest.objects.count() == 1))

    assert Manifest.objects.count() == 1


def test_a_repository_that_keeps_untagged_manifests_keeps_them(retention: MakePolicy) -> None:
    retention(remove_untagged=True)
    image("alice/app", "untagged", is_unreferenced=True)
    Repository.objects.update(keeps_untagged=True)

    assert forecast(remove_untagged=False) == []
    assert collect(remove_untagged=False).total.manifests == 0


def test_what_a_kept_index_lists_stays_without_its_tag(
    retention: MakePolicy, alice: Caller, push: Callable[..., Image]
) -> None:
    child = push("alice/app", "child")
    put_manifest(alice, "alice/app", "all", index(child.payload))
    retention(keep_tags="all", remove_untagged=True, remove_signatures=True)

    collect(remove_untagged=False)
    pass_time()
    collect(remove_untagged=False)

    assert tags() == {"all"}
    assert alice.get(f"/v2/alice/app/manifests/{child.digest}").status_code == 200
