"""Quotas: what the repositories of a quota have, and whether more fits.

The figure is summed from the rows where a quota matches, and nowhere else: within the transaction that adds, under an
advisory lock of the quota, it is exact, and of two pushes at once the second one counts what the first has added.
"""

from dataclasses import dataclass

from accounts import permissions_version
from core.api.errors import ErrorCode, RegistryError
from core.db import transactions
from core.db.statement import Statement
from core.sizes import size_text
from policies import compiled
from policies.models import Quota

WARNED_FROM = 0.9

# Names of hidden repositories begin with "!" (`deletion`): what they have is given back at once.
_NAMES = Statement("SELECT id, name FROM distribution_repository WHERE name >= %s AND name < %s")
_BYTES = Statement("""
SELECT COALESCE(SUM(size), 0) FROM distribution_blob
WHERE id IN (SELECT blob_id FROM distribution_link WHERE repository_id = ANY(%s))
""")
_TAGS = Statement("SELECT count(*) FROM distribution_tag WHERE repository_id = ANY(%s)")


@dataclass(frozen=True, slots=True)
class Room:
    """The quotas of the repository `name`; without any, everything fits."""

    name: str
    quotas: tuple[Quota, ...]

    @classmethod
    def of(cls, name: str, version: str | None = None) -> "Room":
        """Return the quotas at a permissions version, None: the current one."""
        return cls(name, compiled.of(Quota, name, version or permissions_version.current()))

    def lock(self) -> None:
        """Order the transactions that add to the same quota, before any row lock."""
        if self.quotas:
            transactions.take_advisory_locks(*(f"quota {one.pk} {one.glob_of(self.name)}" for one in self.quotas))

    def require_bytes(self, more: int = 0) -> None:
        """Raise DENIED when `more` bytes do not fit; those added in this transaction are counted already."""
        for quota in self.quotas:
            if quota.max_size is None:
                continue
            used = int(_BYTES.value(self._pks(quota)))
            if used + more > quota.max_size:
                raise self._refusal(quota, size_text(used), size_text(quota.max_size), more)

    def require_some_bytes(self, more: int) -> None:
        """Raise DENIED when `more` bytes, of unknown length 0, do not fit, or nothing fits any more."""
        self.require_bytes(max(more, 1))

    def require_tags(self) -> None:
        """Raise DENIED when there are too many tags, those added in this transaction included."""
        for quota in self.quotas:
            if quota.max_tags is not None:
                used = int(_TAGS.value(self._pks(quota)))
                if used > quota.max_tags:
                    raise self._refusal(quota, f"{used - 1}", f"{quota.max_tags} tags", 0)

    def warning(self) -> str:
        """Return the value of a header Warning from WARNED_FROM on, otherwise ""."""
        for quota in self.quotas:
            pks = self._pks(quota)
            if quota.max_size is not None:
                used = int(_BYTES.value(pks))
                if used >= WARNED_FROM * quota.max_size:
                    return f'299 - "quota: {size_text(used)} of {size_text(quota.max_size)} used"'
            if quota.max_tags is not None:
                used = int(_TAGS.value(pks))
                if used >= WARNED_FROM * quota.max_tags:
                    return f'299 - "quota: {used} of {quota.max_tags} tags used"'
        return ""

    def _pks(self, quota: Quota) -> list[int]:
        """Return the primary keys of the repositories that count together with this one."""
        counted = quota.glob_of(self.name)
        # Every valid name sorts between these.
        low, high = counted.removesuffix("/"), f"{counted}~" if counted.endswith("/") else f"{counted} "
        if not counted:
            low, high = '"', "~"
        # Between a namespace and what is below it are other names, as ab-c.
        return [
            pk
            for pk, name in _NAMES.rows(low, high)
            if quota.holds_for(name) and (not counted.endswith("/") or f"{name}/".startswith(counted))
        ]

    def _refusal(self, quota: Quota, used: str, limit: str, more: int) -> RegistryError:
        needs = f"; this needs {size_text(more)}" if more > 1 else ""
        remedy = "delete images (their bytes count until garbage is collected), or ask an administrator"
        message = f"quota exceeded for {self.name}: {used} of {limit} used{needs}; {remedy}"
        return RegistryError(ErrorCode.DENIED, {"policy": quota.pk, "sentence": str(quota)}, message=message)
