"""The repositories that a quota counts together, and the counter of what they have.

    missing or due ──> added up from the rows ──> + what is linked, - what is unlinked, in the same transaction
           ^                                            │
           └── a repository is deleted, the quota has changed, once an hour

Whatever changes a counter holds the advisory lock of its set until COMMIT, so a statement under the lock sees what
every other has added or removed: the counter is exact. It is added up again after a minute at first, since a
transaction that began before the quota existed adds without counting, and then hourly, since an older release may run
beside this one.
"""

from collections.abc import Iterable
from dataclasses import dataclass
from typing import NamedTuple

from acl.name_range import ranges_of
from core.db import transactions
from core.db.statement import Statement
from policies.models import Quota

# Names of hidden repositories begin with "!" (`deletion`): what they have is given back at once.
_FIRST, _BEHIND = '"', "~"
# No name of a repository.
_NONE = "!"
# The first links of a blob tell nearly always.
_LOOKED_AT, _ALL = 100, 2**31

_FIND = Statement("""
SELECT bytes, tags, due_at > statement_timestamp() FROM distribution_quotause
WHERE policy = %s AND counted = %s AND definition = %s
""")
_ADD = Statement("""
UPDATE distribution_quotause SET bytes = bytes + %s, tags = tags + %s
WHERE policy = %s AND counted = %s AND definition = %s AND due_at > statement_timestamp() RETURNING bytes, tags
""")
_STORE = Statement("""
INSERT INTO distribution_quotause (policy, counted, definition, bytes, tags, due_at)
VALUES (%s, %s, %s, %s, %s, statement_timestamp() + interval '60 seconds')
ON CONFLICT (policy, counted) DO UPDATE SET bytes = excluded.bytes, tags = excluded.tags,
    due_at = CASE WHEN distribution_quotause.definition = excluded.definition
        THEN statement_timestamp() + interval '3600 seconds' ELSE excluded.due_at END,
    definition = excluded.definition
""")
_FORGET = Statement("DELETE FROM distribution_quotause WHERE policy = %s AND counted = %s")
_FORGET_DELETED = Statement("DELETE FROM distribution_quotause WHERE policy NOT IN (SELECT id FROM policies_quota)")
_NAMES = Statement("SELECT id, name FROM distribution_repository WHERE name >= %s AND name < %s")
_BYTES = Statement("""
SELECT COALESCE(SUM(size), 0) FROM distribution_blob
WHERE id IN (SELECT blob_id FROM distribution_link WHERE repository_id = ANY(%s))
""")
_TAGS = Statement("SELECT count(*) FROM distribution_tag WHERE repository_id = ANY(%s)")
_LINKING = Statement("""
SELECT repository.name FROM distribution_link link
JOIN distribution_repository repository ON repository.id = link.repository_id
WHERE link.blob_id = %s AND repository.name <> %s AND repository.name >= %s AND repository.name < %s LIMIT %s
""")


class Use(NamedTuple):
    """What the repositories of a set have: bytes of blobs, each once, and tags."""

    bytes: int
    tags: int


@dataclass(frozen=True, slots=True, eq=False)
class QuotaSet:
    """The repositories that `quota` counts together: the one called `counted`, those below `counted` with /, or all."""

    quota: Quota
    counted: str

    def use(self) -> Use | None:
        """Return the counter, None when it has to be added up first."""
        row = _FIND.row(*self._key())
        return Use(row[0], row[1]) if row and row[2] else None

    def shown(self) -> Use:
        """Return the counter for people: without it, what is added up from the rows, and nothing is written."""
        row = _FIND.row(*self._key())
        return Use(row[0], row[1]) if row else self._total()

    def refreshed(self) -> Use:
        """Return the counter in a transaction of its own, added up if it is due."""
        return transactions.run_volatile(self._refreshed)

    def _refreshed(self) -> Use:
        lock([self])
        return self.add(0, 0)

    def add(self, more_bytes: int, more_tags: int) -> Use:
        """Add what this transaction, which holds the lock, has added already, and return the sum."""
        row = _ADD.row(more_bytes, more_tags, *self._key())
        if row is not None:
            return Use(*row)
        use = self._total()
        _FORGET_DELETED.run()
        _STORE.run(*self._key(), *use)
        return use

    def subtract(self, fewer_bytes: int, fewer_tags: int) -> None:
        """Subtract what this transaction, which holds the lock, has removed; without a counter, nothing."""
        _ADD.row(-fewer_bytes, -fewer_tags, *self._key())

    def forget(self) -> None:
        """Let the next push add everything up."""
        _FORGET.run(self.quota.pk, self.counted)

    def links(self, blob_pk: int, *, except_for: str = _NONE) -> bool:
        """Return whether a repository of the set, another than `except_for`, links the blob."""
        if self.counted == except_for:
            return False
        low, high = self._range()
        names = _LINKING.rows(blob_pk, except_for, low, high, _LOOKED_AT)
        if any(self.holds(name) for (name,) in names):
            return True
        if len(names) < _LOOKED_AT:
            return False
        return any(self.holds(name) for (name,) in _LINKING.rows(blob_pk, except_for, low, high, _ALL))

    def holds(self, name: str) -> bool:
        """Return whether the repository called `name` counts in the set."""
        # Between a namespace and what is below it are other names, as ab-c.
        is_inside = not self.counted.endswith("/") or f"{name}/".startswith(self.counted)
        return is_inside and self.quota.holds_for(name)

    def _key(self) -> tuple[int, str, str]:
        quota = self.quota
        return quota.pk, self.counted, f"{quota.each}\n{quota.repositories}\n{quota.except_repositories}"

    def _total(self) -> Use:
        pks = [pk for pk, name in _NAMES.rows(*self._range()) if self.holds(name)]
        return Use(int(_BYTES.value(pks)), int(_TAGS.value(pks)))

    def _range(self) -> tuple[str, str]:
        """Return the bounds of the names that may be in the set: every valid name sorts between `"` and `~`."""
        if self.counted:
            return self.counted.removesuffix("/"), self.counted + ("~" if self.counted.endswith("/") else " ")
        ranges = ranges_of(self.quota.repositories.split())
        return max(_FIRST, ranges[0].low), ranges[-1].high or _BEHIND


def lock(sets: Iterable[QuotaSet]) -> None:
    """Order the transactions that add to the same sets, or remove from them, before any row lock."""
    if names := _lock_names(sets):
        transactions.take_advisory_locks(*names)


def is_locked(sets: Iterable[QuotaSet]) -> bool:
    """Do what `lock` does unless another transaction is in between; then the caller has to roll back."""
    names = _lock_names(sets)
    return not names or transactions.are_advisory_locks_taken(*names)


def _lock_names(sets: Iterable[QuotaSet]) -> set[str]:
    return {f"quota {one.quota.pk} {one.counted}" for one in sets}
