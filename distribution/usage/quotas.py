"""Quotas: what the repositories of a quota may have, and whether more fits."""

import math
from dataclasses import dataclass, field, replace

from accounts import permissions_version
from core.api.errors import ErrorCode, RegistryError
from core.db.statement import Statement
from core.db.transactions import LostRaceError, release_connection
from core.sizes import size_text
from distribution.protocol.digest import Digest
from distribution.usage import quota_sets
from distribution.usage.quota_sets import QuotaSet, Use
from policies import compiled
from policies.models import Quota

WARNED_FROM = 0.9
_HIDDEN = "!"

_AS_LARGE = Statement("""
SELECT blob.size FROM distribution_link link JOIN distribution_blob blob ON blob.id = link.blob_id
WHERE link.repository_id = (SELECT id FROM distribution_repository WHERE name = %s) AND blob.size >= %s LIMIT 1
""")
_BLOB = Statement("""
SELECT blob.size FROM distribution_link link JOIN distribution_blob blob ON blob.id = link.blob_id
WHERE link.repository_id = (SELECT id FROM distribution_repository WHERE name = %s) AND blob.digest = %s
    AND blob.size >= %s AND NOT blob.is_corrupt
""")


@dataclass(slots=True)
class Room:
    """The quotas of the repository `name` at a permissions version; without any, everything fits.

    A verb calls `lock` first in its transaction, then tells what it has linked, unlinked, tagged and untagged. What is
    not `is_limited` is counted and never refused.
    """

    name: str
    version: str
    sets: tuple[QuotaSet, ...]
    is_limited: bool = True
    _uses: dict[QuotaSet, Use] = field(default_factory=dict)

    @classmethod
    def of(cls, name: str, version: str | None = None) -> "Room":
        """Return the quotas at a permissions version, None: the current one."""
        version = version or permissions_version.current()
        # A hidden repository counts nowhere.
        quotas = () if name.startswith(_HIDDEN) else compiled.of(Quota, name, version)
        return cls(name, version, tuple(QuotaSet(quota, quota.glob_of(name)) for quota in quotas))

    @classmethod
    def without_limits(cls, name: str) -> "Room":
        """Return the quotas in which what is fetched from an upstream counts: that is no push."""
        return replace(cls.of(name), is_limited=False)

    def at(self, version: str) -> "Room":
        """Become the quotas at the version that the transaction has read.

        Raises LostRaceError when one of them is not locked: rows are by now, and the next attempt locks it before them.
        """
        if version != self.version:
            locked = {(one.quota.pk, one.counted) for one in self.sets}
            self.version, self.sets, self._uses = version, Room.of(self.name, version).sets, {}
            if any((one.quota.pk, one.counted) not in locked for one in self.sets):
                raise LostRaceError("a quota was made meanwhile")
        return self

    def lock(self) -> None:
        """Order the transactions that change what the same quotas count, before any row lock."""
        quota_sets.lock(self.sets)

    def is_locked(self) -> bool:
        """Do what `lock` does without waiting for another transaction; if False, the caller has to roll back."""
        return quota_sets.is_locked(self.sets)

    def require_some_bytes(self, size: int, digest: Digest | None = None) -> None:
        """Raise DENIED when an upload of `size` bytes, 0: unknown, can't end in a blob that fits."""
        self.bound(digest).require(max(size, 1))

    def bound(self, digest: Digest | None = None) -> "Bound":
        """Return how large an upload may get; None: nobody knows yet what it becomes."""
        free = {one: most - self.use(one).bytes for one in self.sets if (most := one.quota.max_size) is not None}
        return Bound(self, digest, free)

    def blob_linked(self, pk: int, size: int, *, is_new: bool = False) -> None:
        """Count a link that this transaction has added. Raises DENIED when it does not fit.

        Nothing else links a blob that `is_new`.
        """
        for one in self.sets:
            most = one.quota.max_size
            if not is_new and one.links(pk, except_for=self.name):
                continue
            self._uses[one] = use = one.add(size, 0)
            if self.is_limited and most is not None and use.bytes > most:
                raise self.exceeded(one, use.bytes - size, size)

    def blob_unlinked(self, pk: int, size: int, *, is_last: bool) -> None:
        """Count a link that this transaction has removed; `is_last`: the blob is gone too."""
        for one in self.sets:
            if is_last or not one.links(pk, except_for=self.name):
                one.subtract(size, 0)

    def tags_added(self, number: int) -> None:
        """Count tags that this transaction has added. Raises DENIED when there are too many."""
        for one in self.sets:
            most = one.quota.max_tags
            self._uses[one] = use = one.add(0, number)
            if self.is_limited and most is not None and use.tags > most:
                raise self._refusal(one.quota, f"{used_tags(one.quota, Use(0, use.tags - number))} used")

    def tags_removed(self, number: int) -> None:
        """Count tags that this transaction has removed."""
        for one in self.sets:
            one.subtract(0, number)

    def forget(self) -> None:
        """Let the next push add everything up, after changes that are not told one by one."""
        for one in self.sets:
            one.forget()

    def headers(self) -> dict[str, str]:
        """Return a header Warning from WARNED_FROM on."""
        for one in self.sets:
            quota, use = one.quota, self.use(one)
            if use.bytes >= WARNED_FROM * (quota.max_size or math.inf):
                return _warning(used_bytes(quota, use))
            if use.tags >= WARNED_FROM * (quota.max_tags or math.inf):
                return _warning(used_tags(quota, use))
        return {}

    def exceeded(self, one: QuotaSet, used: int, more: int) -> RegistryError:
        """Return the 403 for `more` bytes, 1 for an unknown number."""
        needs = f"; this needs {size_text(more)}" if more > 1 else ""
        return self._refusal(one.quota, f"{used_bytes(one.quota, Use(used, 0))} used{needs}")

    def _refusal(self, quota: Quota, said: str) -> RegistryError:
        remedy = "delete images (their bytes count until garbage is collected), or ask an administrator"
        message = f"quota exceeded for {self.name}: {said}; {remedy}"
        return RegistryError(ErrorCode.DENIED, {"policy": quota.pk, "sentence": str(quota)}, message=message)

    def use(self, one: QuotaSet) -> Use:
        """Return what is used, as this object has seen it last."""
        if one not in self._uses:
            self._uses[one] = one.use() or one.refreshed()
        return self._uses[one]


@dataclass(slots=True)
class Bound:
    """How large an upload may get, known at its start: a piece that stays below it asks nothing.

    A blob of the repository adds nothing when it is pushed again. While nobody knows what an upload becomes, it may be
    any of them. One of another repository in the set is told from none only when it is linked, by whoever has its
    bytes: the repository may be private.
    """

    room: Room
    digest: Digest | None
    free: dict[QuotaSet, int]

    def require(self, size: int) -> None:
        """Raise DENIED when an upload of `size` bytes can't become a blob that fits."""
        if all(size <= free for free in self.free.values()):
            return
        present = self._present_size(size)
        for one, free in self.free.items():
            if size > free:
                self.free[one] = present
                if size > present:
                    raise self.room.exceeded(one, self.room.use(one).bytes, size)
        release_connection()

    def _present_size(self, size: int) -> int:
        """Return the size of a blob of the repository, of at least `size` bytes, that the upload may become; or 0."""
        if self.digest is None:
            return _AS_LARGE.value(self.room.name, size) or 0
        return _BLOB.value(self.room.name, str(self.digest), size) or 0


def _warning(used: str) -> dict[str, str]:
    return {"Warning": f'299 - "quota: {used} used"'}


def used_bytes(quota: Quota, use: Use) -> str:
    """Return `1.0 GiB of 2.0 GiB`."""
    return f"{size_text(use.bytes)} of {size_text(quota.max_size or 0)}"


def used_tags(quota: Quota, use: Use) -> str:
    """Return `3 of 10 tags`."""
    return f"{use.tags} of {quota.max_tags} tags"
