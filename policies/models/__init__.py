"""A table for each kind of policy."""

from policies.models.immutable_tags import ImmutableTags
from policies.models.policy import Policy
from policies.models.quota import Quota
from policies.models.read_only import ReadOnly
from policies.models.required_signature import RequiredSignature
from policies.models.retention import Retention

__all__ = ["ImmutableTags", "Policy", "Quota", "ReadOnly", "RequiredSignature", "Retention"]
