"""A table for each kind of policy."""

from policies.models.immutable_tags import ImmutableTags
from policies.models.policy import Policy
from policies.models.read_only import ReadOnly

__all__ = ["ImmutableTags", "Policy", "ReadOnly"]
