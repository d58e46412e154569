"""A value of the document together with where it stands, so that every problem can say so."""

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

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

REFUSED: Final[Any] = object()
"""Stands for a value whose problem is reported."""


class Refused(Exception):  # noqa: N818 - never leaves this package: `Element.read` turns it into a Problem
    """A value is not what is expected; `found` None: the value as it stands in the file."""

    def __init__(self, expected: str, found: str | None = None) -> None:
        """Keep what a `Problem` says."""
        super().__init__(expected)
        self.expected, self.found = expected, found


@dataclass(frozen=True, slots=True)
class Reading:
    """One reading of one file: what it may consult, and what it collects."""

    path: Path | None
    folder: Path
    environment: Mapping[str, str]
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


Converter = Callable[["Element"], Any]


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

    def _shown_as_text(self) -> str:
        shown = self.shown()
        is_implicit = isinstance(self.node, ScalarNode) and not self.is_null
        return f"{shown.removesuffix(')')}; quotes make it a text)" if is_implicit else shown

    def read(self, convert: Converter) -> Any:
        """Return the value that `convert` makes, or REFUSED once its problem is reported."""
        if self.node.tag == REFUSED_TAG:
            return REFUSED
        try:
            return convert(self)
        except Refused as refused:
            return self.report(refused.expected, refused.found)

    def report(self, expected: str, found: str | None = None) -> Any:
        """Collect a problem of this element; return REFUSED."""
        shown = self.shown() if found is None else found
        self.reading.problems.append(Problem(self.path, self.line, self.key_path, shown, expected))
        return REFUSED

    def warn(self, sentence: str) -> None:
        """Collect a warning about this element."""
        self.reading.warnings.append(f"{place(self.path, self.line, self.key_path)}: {sentence}")

    def text(self, expected: str = "a text") -> str:
        """Return the value as text; `no`, `0123` or a date without quotes are no text. Raises Refused."""
        if self.node.tag != TEXT or not isinstance(self.node, ScalarNode):
            raise Refused(expected, self._shown_as_text())
        text: str = self.node.value
        if not text.isprintable():
            raise Refused(f"{expected}, without control characters")
        return text

    def members(self, expected: str = "a mapping of keys to values") -> dict[str, "Element"]:
        """Return the values of a mapping by key. Raises Refused; reports keys that are no text."""
        if not isinstance(self.node, MappingNode):
            raise Refused(expected, self.kind)
        members = (self._member(key, value) for key, value in self.node.value if key.tag != REFUSED_TAG)
        return {key: member for key, member in members if member is not None}

    def items(self, expected: str = "a list", *, is_numbered: bool = True) -> Iterator["Element"]:
        """Return the items of a list; not numbered, where the place in the list says nothing. Raises Refused."""
        if not isinstance(self.node, SequenceNode):
            raise Refused(expected, self.shown())
        if not is_numbered:
            return (self._at(node, self.key_path) for node in self.node.value)
        return (self._at(node, f"{self.key_path}[{index}]") for index, node in enumerate(self.node.value))

    def _member(self, key: Node, value: Node) -> tuple[str, "Element | None"]:
        name = self._at(key, self.key_path).read(_key)
        if name is REFUSED:
            return "", None
        line = line_of(value if isinstance(value, ScalarNode) else key)
        return name, self._at(value, joined(self.key_path, name), line)

    def _at(self, node: Node, key_path: str, line: int | None = None) -> "Element":
        """Return the element of `node`; `dataclasses.replace` takes three times as long, for each node of the file."""
        place = line_of(node) if line is None else line
        return Element(self.reading, node, key_path, self.path, place, self.is_secret)


def _key(element: Element) -> str:
    return element.text("a key that is a text")


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
