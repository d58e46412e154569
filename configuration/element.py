"""A value of the document together with where it stands, so that every problem can say so."""

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final, Literal

from yaml import MappingNode, Node, ScalarNode, SequenceNode

from configuration.errors import Problem, place

_TAG = "tag:yaml.org,2002:"
TEXT, INTEGER, BOOLEAN, NULL = f"{_TAG}str", f"{_TAG}int", f"{_TAG}bool", f"{_TAG}null"
REFUSED_TAG = "refused"
"""Marks a node whose problem is already reported."""

_KINDS = {
    TEXT: "a text",
    INTEGER: "a number",
    f"{_TAG}float": "a number",
    BOOLEAN: "a boolean",
    NULL: "nothing",
    f"{_TAG}timestamp": "a date",
    f"{_TAG}seq": "a list",
    f"{_TAG}map": "a mapping",
}
_SIMPLE_KEY = re.compile(r"[A-Za-z0-9_-]+")
_SHOWN_CHARACTERS = 60

_DECIMAL = re.compile(r"-?(?:0|[1-9][0-9]{0,17})")

REFUSED: Final[Any] = object()
"""Stands for a value whose problem is reported."""


@dataclass(frozen=True, slots=True)
class Odd:
    """A value as it is `written` that is none of ours: `yes`, a date, 0x10."""

    written: str


class Refused(ValueError):  # noqa: N818 - never leaves this package: it becomes a Problem
    """A value is not what is expected; `found` None: the value as it stands in the file.

    A "text" may be what quotes make of the value; of no "mapping" the kind is shown alone.
    """

    def __init__(self, expected: str, found: str | None = None, kind: Literal["", "text", "mapping"] = "") -> None:
        """Keep what a `Problem` says."""
        super().__init__(expected)
        self.expected, self.found, self.kind = expected, found, kind


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading of one file: what it may consult, and what it collects."""

    path: Path | None
    folder: Path
    environment: Mapping[str, str]
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Element:
    """One node of the document; `path` None: a value of the environment. Secret values are never shown."""

    reading: Reading
    node: Node
    key_path: str
    path: Path | None
    line: int
    is_secret: bool = False

    @property
    def kind(self) -> str:
        """Say what the node is to YAML: "a text", "a list"."""
        return _KINDS.get(self.node.tag, "a value of another type")

    @property
    def is_null(self) -> bool:
        """Say whether nothing stands after the key."""
        return self.node.tag == NULL

    def shown(self) -> str:
        """Return what a message may say about the value."""
        if self.is_null or not isinstance(self.node, ScalarNode):
            return self.kind
        if self.is_secret:
            return f"{self.kind} (not shown)"
        value = str(self.node.value)
        return quoted(value) if self.node.tag == TEXT else f"{printable(value)} ({self.kind})"

    def value(self) -> Any:
        """Return what Python has for a decimal number, true, false or a text; Odd for any other scalar."""
        node = self.node
        if node.tag == REFUSED_TAG:
            return REFUSED
        if isinstance(node, MappingNode):
            return Members(self)
        if isinstance(node, SequenceNode):
            return Items(self)
        if self.is_null or node.tag == TEXT:
            return None if self.is_null else node.value
        if node.tag == BOOLEAN and node.value.lower() in ("true", "false"):
            return node.value.lower() == "true"
        return int(node.value) if node.tag == INTEGER and _DECIMAL.fullmatch(node.value) else Odd(node.value)

    def refuse(self, refused: Refused) -> None:
        """Collect the problem that `refused` says."""
        found = self.kind if refused.kind == "mapping" else refused.found or self.shown()
        if refused.kind == "text" and isinstance(self.node, ScalarNode) and self.node.tag not in (NULL, TEXT):
            found = f"{found.removesuffix(')')}; quotes make it a text)"
        self.report(refused.expected, found)

    def report(self, expected: str, found: str | None = None) -> None:
        """Collect a problem of this element."""
        shown = self.shown() if found is None else found
        self.reading.problems.append(Problem(self.path, self.line, self.key_path, shown, expected))

    def warn(self, sentence: str) -> None:
        """Collect a warning about this element."""
        self.reading.warnings.append(f"{place(self.path, self.line, self.key_path)}: {sentence}")

    def below(self, name: str) -> "Element":
        """Return this element as if it were its own key `name`, to report one that is missing."""
        return replace(self, key_path=joined(self.key_path, name))

    def at(self, node: Node, key_path: str, line: int | None = None) -> "Element":
        """Return the element of `node`; `dataclasses.replace` takes three times as long, for each node of the file."""
        place = line_of(node) if line is None else line
        return Element(self.reading, node, key_path, self.path, place, self.is_secret)


class Members(dict[str, Any]):
    """The values of a mapping, with the element of each; keys that are no text are reported and left out."""

    def __init__(self, element: Element) -> None:
        """Read the mapping of `element`."""
        super().__init__()
        self.element, self.elements = element, dict[str, Element]()
        for key, node in element.node.value:
            if key.tag == REFUSED_TAG:
                continue
            if key.tag != TEXT or not key.value.isprintable():
                expected = "a key that is a text" + (", without control characters" if key.tag == TEXT else "")
                element.at(key, element.key_path).refuse(Refused(expected, kind="text"))
                continue
            line = line_of(node if isinstance(node, ScalarNode) else key)
            member = element.at(node, joined(element.key_path, key.value), line)
            self.elements[key.value], self[key.value] = member, member.value()


class Items(list[Any]):
    """The values of a list, with the element of each."""

    def __init__(self, element: Element) -> None:
        """Read the list of `element`."""
        nodes = enumerate(element.node.value)
        self.element = element
        self.elements = [element.at(node, f"{element.key_path}[{index}]") for index, node in nodes]
        super().__init__(item.value() for item in self.elements)


def line_of(node: Node) -> int:
    """Return the line of `node`, from 1; 0 for one that is not in the file."""
    return node.start_mark.line + 1 if node.start_mark else 0


def joined(key_path: str, key: str) -> str:
    """Return the key path of `key` below `key_path`.

    In `{password:secret}`, with no space, all of it is the key: what follows the colon is not shown.
    """
    if ":" in key:
        key = f"{key.partition(':')[0]}:…"
    if _SIMPLE_KEY.fullmatch(key) is None:
        return f"{key_path}[{quoted(key)}]"
    return f"{key_path}.{key}" if key_path else key


def quoted(text: str) -> str:
    """Return `text` in quotes, on one line, of a length that fits a message."""
    return f'"{printable(text)}"'


def printable(text: str) -> str:
    """Return `text` without what could forge a line of a log: control characters are escaped, the end cut."""
    cut = text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in cut)
