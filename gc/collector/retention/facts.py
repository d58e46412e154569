"""What the rows say about tags: what they name, when they were pushed and pulled."""

from collections.abc import Collection, Iterator
from datetime import datetime

from django.db.migrations.recorder import MigrationRecorder
from django.db.models import Max, QuerySet

from distribution.models import Manifest, ManifestChild, Tag
from policies.retention.decision import TagFacts, subject_of

BATCH = 1000

_RECORDS_PULLS = ("distribution", "0009_history_and_use")

Facts = dict[int, TagFacts]
"""By the primary key of the tag."""


def pulls_since(now: datetime) -> datetime:
    """Return since when pulls are recorded: since the migration that made the columns; `now` if it is not known."""
    app, name = _RECORDS_PULLS
    rows = MigrationRecorder.Migration.objects.filter(app=app, name=name)
    return rows.values_list("applied", flat=True).first() or now


def of_repository(pk: int, *, with_pulls: bool) -> Iterator[Facts]:
    """Yield the tags of a repository in byte order, in batches, with no statement open between them."""
    rows, last = Tag.objects.filter(repository=pk).order_by("name"), ""
    is_last = False
    while not is_last:
        found = _read(rows.filter(name__gt=last)[:BATCH], with_pulls=with_pulls)
        is_last = len(found) < BATCH
        last = last if is_last else next(reversed(found.values())).name
        yield found


def of_tags(pks: Collection[int], *, with_pulls: bool) -> Facts:
    """Return the tags with these primary keys that are there."""
    return _read(Tag.objects.filter(pk__in=pks), with_pulls=with_pulls)


def _read(rows: QuerySet[Tag], *, with_pulls: bool) -> Facts:
    columns = ("pk", "name", "manifest_id", "manifest__digest", "updated_at", "pulled_at", "manifest__pulled_at")
    found = list(rows.values_list(*columns))
    of_children = _pulls_of_children({row[2] for row in found}) if with_pulls else {}
    return {
        pk: TagFacts(name, digest, pushed_at, _latest(*pulls, of_children.get(manifest)) if with_pulls else None)
        for pk, name, manifest, digest, pushed_at, *pulls in found
    }


def _pulls_of_children(parents: Collection[int]) -> dict[int, datetime]:
    """Return the last pull of a child of each index: some clients have the index, and pull only its child."""
    rows = ManifestChild.objects.filter(parent__in=parents, child__pulled_at__isnull=False)
    return dict(rows.order_by().values_list("parent_id").annotate(last=Max("child__pulled_at")))


def _latest(*times: datetime | None) -> datetime | None:
    return max((time for time in times if time is not None), default=None)


def present_subjects(repository: int, facts: Collection[TagFacts]) -> frozenset[str]:
    """Return the digests of images that are here, of those whose signatures are among the tags."""
    subjects = list({subject for row in facts if (subject := subject_of(row.name)) is not None})
    rows: QuerySet[Manifest] = Manifest.objects.filter(repository=repository)
    found: set[str] = set()
    for start in range(0, len(subjects), BATCH):
        some = rows.filter(digest__in=subjects[start : start + BATCH])
        found.update(some.values_list("digest", flat=True))
    return frozenset(found)
