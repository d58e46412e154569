"""The section `acl`: each entry is a rule."""

import json
from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence

from acl.models import Rule
from registry_project.configuration import Configuration
from registry_project.configuration.errors import Problem
from registry_project.configuration.values import RuleEntry
from registry_project.importing.target import Target
from registry_project.models import ImportedEntry, Section


class Rules(Target[RuleEntry, Rule]):
    """Rules by subject, pattern and a number among equals. One whose entry left the file is deleted."""

    section = Section.ACL

    def __init__(self, configuration: Configuration) -> None:
        """Take the rules of `configuration`."""
        self.entries = dict(_keyed(configuration.acl or ()))

    def content(self, entry: RuleEntry) -> object:
        """Return actions and comment."""
        return [",".join(entry.actions), entry.comment]

    def rows(self, ids: Iterable[int]) -> Mapping[int, Rule]:
        """Return the rules."""
        return Rule.objects.in_bulk(list(ids))

    def row_content(self, row: Rule) -> object:
        """Return every field."""
        return [row.subject_kind, row.subject, row.name, row.actions, row.comment]

    def label(self, key: str, row: Rule | None) -> str:
        """Say the rule; of a deleted one what its key holds."""
        kind, subject, name, _ = json.loads(key)
        return f"rule {row}" if row is not None else f"rule of {f'{kind} {subject}'.strip()} for {name}"

    def entry_label(self, entry: RuleEntry) -> str:
        """Say the rule."""
        return f"rule {_written(entry, Rule())}"

    def problems(self, pending: Sequence[tuple[str, RuleEntry, ImportedEntry | None]]) -> list[Problem]:
        """Return none: a rule made in the admin is another rule."""
        return []

    def write(self, entry: RuleEntry, row: Rule | None) -> Rule:
        """Write every field of the rule."""
        rule = _written(entry, row or Rule())
        rule.save()
        return rule

    def is_in_effect(self, row: Rule) -> bool:
        """Tell that a rule that exists allows something."""
        return True

    def end(self, record: ImportedEntry, row: Rule | None) -> None:
        """Delete the rule and forget its entry."""
        if row is not None:
            row.delete()
        record.delete()


def _keyed(entries: Iterable[RuleEntry]) -> Iterator[tuple[str, RuleEntry]]:
    seen: Counter[tuple[str, str, str]] = Counter()
    for entry in entries:
        names = (entry.subject_kind, entry.subject, entry.name)
        yield json.dumps([*names, seen[names]], ensure_ascii=False), entry
        seen[names] += 1


def _written(entry: RuleEntry, rule: Rule) -> Rule:
    rule.subject_kind, rule.subject, rule.name = entry.subject_kind, entry.subject, entry.name
    rule.actions, rule.comment = ",".join(entry.actions), entry.comment
    return rule
