"""The section `acl`: each entry is a rule."""

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime

from acl.models import Rule
from acl.networks import canonical
from acl.until import until_text
from configuration import Configuration
from configuration.values import RuleEntry
from provisioning.models import ImportedEntry, Section
from provisioning.section_import import SectionImport, batches

Names = tuple[str, str, str]
"""Subject kind, subject, pattern."""


class Rules(SectionImport[RuleEntry, Rule]):
    """Rules by subject, pattern and a number among equals; a removed entry deletes its rule."""

    section = Section.ACL
    rows = Rule.objects.all()
    fields = ("subject_kind", "subject", "name", "actions", "comment", "is_deny", "tags", "networks", "until")

    def __init__(self, configuration: Configuration) -> None:
        super().__init__(dict(self._keyed(configuration.acl or ())))

    def content(self, entry: RuleEntry) -> object:
        conditions = (entry.is_deny, entry.tags, canonical(entry.networks), entry.until)
        return [",".join(entry.actions), entry.comment, *_conditions(*conditions)]

    def row_content(self, row: Rule) -> object:
        return rule_content(row)

    def label(self, key: str, row: Rule | None) -> str:
        kind, subject, name, _ = json.loads(key)
        return f"rule {row}" if row is not None else f"rule of {f'{kind} {subject}'.strip()} for {name}"

    def filled(self, row: Rule | None, entry: RuleEntry) -> Rule:
        rule = row or Rule()
        rule.subject_kind, rule.subject, rule.name = entry.subject_kind, entry.subject, entry.name
        rule.actions, rule.comment = ",".join(entry.actions), entry.comment
        rule.is_deny, rule.tags, rule.networks = entry.is_deny, entry.tags, canonical(entry.networks)
        rule.until = entry.until
        return rule

    def revoke(self, dropped: Sequence[tuple[ImportedEntry, Rule | None]]) -> None:
        for some in batches(dropped):
            Rule.objects.filter(pk__in=[row.pk for _, row in some if row is not None]).delete()
            ImportedEntry.objects.filter(pk__in=[record.pk for record, _ in some]).delete()

    def _keyed(self, entries: Iterable[RuleEntry]) -> Iterator[tuple[str, RuleEntry]]:
        # Numbers of the imported entries, by subject and pattern, then by fingerprint.
        known: dict[Names, dict[str, int]] = {}
        for key, digest in ImportedEntry.objects.filter(section=Section.ACL).values_list("key", "fingerprint"):
            kind, subject, name, number = json.loads(key)
            known.setdefault((kind, subject, name), {})[digest] = number
        alike: dict[Names, list[RuleEntry]] = {}
        for entry in entries:
            alike.setdefault((entry.subject_kind, entry.subject, entry.name), []).append(entry)
        for names, group in alike.items():
            for number, entry in self.numbered(group, known.get(names, {})):
                yield json.dumps([*names, number], ensure_ascii=False), entry


def rule_content(row: Rule) -> object:
    """Return the fields of a rule that an administrator can edit, as JSON values."""
    conditions = _conditions(row.is_deny, row.tags, row.networks, row.until)
    return [row.subject_kind, row.subject, row.name, row.actions, row.comment, *conditions]


def _conditions(is_deny: bool, tags: str, networks: str, until: datetime | None) -> list[object]:
    """Return what a rule has besides, in a mapping; nothing of a rule without, as in ledgers of earlier versions."""
    given = {"deny": is_deny, "tags": tags, "networks": networks, "until": until_text(until) if until else ""}
    found = {name: value for name, value in given.items() if value}
    return [found] if found else []
