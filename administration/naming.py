"""The rules that name an account or a group: rules match names, so nothing deletes them with it."""

from __future__ import annotations

from collections.abc import Iterable
from itertools import islice

from django.db.models import Count, OuterRef, Subquery
from django.db.models.functions import Coalesce

from acl.models import Rule, SubjectKind

LISTED = 20


def rules_naming(kind: SubjectKind, name: str) -> list[Rule]:
    """Return the rules whose subject is exactly this account or group."""
    return list(Rule.objects.filter(subject_kind=kind, subject=name).order_by("name", "pk"))


def rule_count(kind: SubjectKind) -> Coalesce:
    """Return the number of rules that name a row by its field `name`, to annotate with."""
    named = Rule.objects.filter(subject_kind=kind, subject=OuterRef("name")).order_by().values("subject")
    return Coalesce(Subquery(named.annotate(count=Count("pk")).values("count")), 0)


def orphaned(kind: SubjectKind, names: Iterable[str], *, may_view: bool) -> list[str]:
    """Return a sentence for each rule that matches nobody once these accounts or groups are deleted, at most LISTED.

    An account that may not view rules gets their number.
    """
    if not may_view:
        count = Rule.objects.filter(subject_kind=kind, subject__in=list(names)).count()
        return [f"rules that then match nobody: {count}"] if count else []
    sentences = (f"{rule}: this rule then matches nobody" for name in names for rule in rules_naming(kind, name))
    return list(islice(sentences, LISTED))
