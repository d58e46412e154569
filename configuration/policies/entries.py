"""The lists of the section, and their entries as values."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Annotated, Any

from pydantic import BeforeValidator
from typing_extensions import TypedDict

from configuration.element import REFUSED, Items, Members, Refused
from configuration.policies import immutable_tags, quotas, read_only, retention, signatures
from configuration.section import Key, Section


def _list_of(what: str) -> BeforeValidator:
    def check(given: Any) -> Any:
        if given is not REFUSED and not isinstance(given, Items):
            raise Refused(f"a list of {what}, [] for none, or no such key to keep them in the admin only")
        return given

    return BeforeValidator(check)


class PoliciesFile(TypedDict, total=False):
    """What holds for repositories by glob, whoever asks."""

    immutable_tags: Annotated[
        list[Annotated[immutable_tags.ImmutableTags, Section(immutable_tags.check)]],
        _list_of("policies"),
        Key("Tags that never move, and repositories in which nothing is deleted."),
    ]
    quotas: Annotated[
        list[Annotated[quotas.Quotas, Section(quotas.check)]],
        _list_of("quotas"),
        Key("How many bytes and tags repositories may have."),
    ]
    retention: Annotated[
        list[Annotated[retention.Retention, Section(retention.check)]],
        _list_of("policies"),
        Key("Which tags stay."),
    ]
    signatures: Annotated[
        list[Annotated[signatures.Signatures, Section()]],
        _list_of("policies"),
        Key("Repositories whose images need a signature by a trusted key."),
    ]
    read_only: Annotated[
        list[Annotated[read_only.ReadOnly, Section()]],
        _list_of("policies"),
        Key("Repositories to which nothing is pushed."),
    ]


@dataclass(frozen=True, slots=True)
class PolicyEntry:
    """One entry of a list; `values` are those of the columns that it names."""

    values: tuple[tuple[str, Any], ...]
    line: int = 0

    @property
    def repositories(self) -> str:
        return str(dict(self.values)["repositories"])

    @property
    def content(self) -> dict[str, object]:
        """The values as JSON."""
        return {name: value if isinstance(value, str | int) else str(value) for name, value in self.values}


def entries(section: Mapping[str, Any], members: Members) -> dict[str, tuple[PolicyEntry, ...]]:
    """Return the entries of each list that the file has, without duplicates."""
    return {kind: _entries(found, members[kind]) for kind, found in section.items()}


def _entries(found: list[Mapping[str, Any]], items: Items) -> tuple[PolicyEntry, ...]:
    kept: dict[tuple[tuple[str, Any], ...], PolicyEntry] = {}
    for values, element in zip(found, items.elements, strict=True):
        key = tuple(sorted(values.items()))
        first = kept.get(key)
        if first is not None:
            element.warn(f"the same as the policy of line {first.line}, and not needed")
        else:
            kept[key] = PolicyEntry(key, element.line)
    return tuple(kept.values())
