"""A table for each kind of policy."""

from policies.models.immutable_tags import ImmutableTags
from policies.models.policy import Policy

__all__ = ["ImmutableTags", "Policy"]
