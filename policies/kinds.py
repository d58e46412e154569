"""The kinds of policies, in the order of the menu, the file and the export."""

from policies.models import ImmutableTags, Policy, Quota, ReadOnly, RequiredSignature, Retention

KINDS: tuple[type[Policy], ...] = (ImmutableTags, Quota, Retention, RequiredSignature, ReadOnly)
BY_NAME = {kind.kind: kind for kind in KINDS}
