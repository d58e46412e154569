"""What one run may remove."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import timedelta

from django.conf import settings


@dataclass(frozen=True, slots=True)
class Policy:
    """How long what nothing holds is kept, and whether an untagged manifest is such a thing."""

    grace_period: timedelta
    remove_untagged: bool

    @classmethod
    def configured(cls) -> Policy:
        """Return what the section `garbage_collector` of the configuration says."""
        section = settings.REGISTRY.garbage_collector
        return cls(section.grace_period, section.remove_untagged)

    def but(self, *, grace_period: timedelta | None = None, remove_untagged: bool | None = None) -> Policy:
        """Return the policy with what is not None changed."""
        changes = {"grace_period": grace_period, "remove_untagged": remove_untagged}
        return replace(self, **{name: value for name, value in changes.items() if value is not None})  # type: ignore[arg-type]
