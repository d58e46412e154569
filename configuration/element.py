"""A value of the document with its place, which each message about it names."""

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
"""The tag of a node whose problem is reported."""

_KINDS = {
    TEXT: "a string",
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
"""The value of a node whose problem is reported."""


@dataclass(frozen=True, slots=True)
class Odd:
    """A scalar that no key accepts, as it is `written`: `yes`, a date, 0x10."""

    written: str


class Refused(ValueError):  # noqa: N818 - never leaves this package: it becomes a Problem
    """A value is not what is `expected`; `found` describes it, None means as the file has it.

    `kind` is the expected kind. With "text" the message suggests quotes; with "mapping" it shows only the kind of the
    value.
    """

    def __init__(self, expected: str, found: str | None = None, kind: Literal["", "text", "mapping"] = "") -> None:
        super().__init__(expected)
        self.expected, self.found, self.kind = expected, found, kind


@dataclass(frozen=True, slots=True)
class Reading:
    """The context of reading one file, and the problems and warnings collected so far."""

    path: Path | None
    folder: Path
    environment: Mapping[str, str]
    problems: list[Problem] = field(default_factory=list)
    warnings: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Element:
    """A node of the document; a `path` of None means the environment. Secret values are never shown."""

    reading: Reading
    node: Node
    key_path: str
    path: Path | None
    line: int
    is_secret: bool = False

    @property
    def kind(self) -> str:
        """The YAML type of the node, as in "a string" or "a list"."""
        return _KINDS.get(self.node.tag, "a value of another type")

    def shown(self) -> str:
        """Return the value as a message may show it."""
        if self.node.tag == NULL or not isinstance(self.node, ScalarNode):
            return self.kind
        if self.is_secret:
            return f"{self.kind} (not shown)"
        value = str(self.node.value)
        return quoted(value) if self.node.tag == TEXT else f"{printable(value)} ({self.kind})"

    def value(self) -> Any:
        """Return the Python value of a decimal number, boolean or string; Odd for any other scalar."""
        node = self.node
        if node.tag == REFUSED_TAG:
            return REFUSED
        if isinstance(node, MappingNode):
            return Members(self)
        if isinstance(node, SequenceNode):
            return Items(self)
        if node.tag in (NULL, TEXT):
            return node.value if node.tag == TEXT else None
        if node.tag == BOOLEAN and node.value.lower() in ("true", "false"):
            return node.value.lower() == "true"
        return int(node.value) if node.tag == INTEGER and _DECIMAL.fullmatch(node.value) else Odd(node.value)

    def refuse(self, refused: Refused) -> None:
        """Collect the problem of this element that `refused` describes."""
        found = self.kind if refused.kind == "mapping" else refused.found or self.shown()
        if refused.kind == "text" and isinstance(self.node, ScalarNode) and self.node.tag not in (NULL, TEXT):
            found = f"{found.removesuffix(')')}; quotes make it a string)"
        self.report(refused.expected, found)

    def report(self, expected: str, found: str | None = None) -> None:
        """Collect a problem of this element."""
        shown = self.shown() if found is None else found
        self.reading.problems.append(Problem(self.path, self.line, self.key_path, shown, expected))

    def warn(self, sentence: str) -> None:
        """Collect a warning about this element."""
        self.reading.warnings.append(f"{place(self.path, self.line, self.key_path)}: {sentence}")

    def below(self, name: str) -> "Element":
        """Return a stand-in for the missing key `name` of this element, for a message about it."""
        return replace(self, key_path=joined(self.key_path, name))

    def at(self, node: Node, key_path: str, line: int | None = None) -> "Element":
        """Return the element of another node of the document."""
        # Each node needs one, and `dataclasses.replace` takes three times as long.
        place = line_of(node) if line is None else line
        return Element(self.reading, node, key_path, self.path, place, self.is_secret)


class Members(dict[str, Any]):
    """The values of a mapping, with the element of each; keys that are not strings are reported and left out."""

    def __init__(self, element: Element) -> None:
        super().__init__()
        self.element, self.elements = element, dict[str, Element]()
        for key, node in element.node.value:
            if key.tag == REFUSED_TAG:
                continue
            if key.tag != TEXT or not key.value.isprintable():
                expected = "a key that is a string" + (", without control characters" if key.tag == TEXT else "")
                element.at(key, element.key_path).refuse(Refused(expected, kind="text"))
                continue
            line = line_of(node if isinstance(node, ScalarNode) else key)
            member = element.at(node, joined(element.key_path, key.value), line)
            self.elements[key.value], self[key.value] = member, member.value()


class Items(list[Any]):
    """The values of a list, with the element of each."""

    def __init__(self, element: Element) -> None:
        nodes = enumerate(element.node.value)
        self.element = element
        self.elements = [element.at(node, f"{element.key_path}[{index}]") for index, node in nodes]
        super().__init__(item.value() for item in self.elements)


def line_of(node: Node) -> int:
    """Return the line of `node`, from 1; 0 for a node that is not in the file."""
    return node.start_mark.line + 1 if node.start_mark else 0


def joined(key_path: str, key: str) -> str:
    """Return the key path of `key` below `key_path`.

    Of `{password:secret}`, where the space is missing, YAML makes one key: the part after the colon is not shown.
    """
    if ":" in key:
        key = f"{key.partition(':')[0]}:…"
    if _SIMPLE_KEY.fullmatch(key) is None:
        return f"{key_path}[{quoted(key)}]"
    return f"{key_path}.{key}" if key_path else key


def quoted(text: str) -> str:
    """Return `text` in quotes, on one line and cut to the length of a message."""
    return f'"{printable(text)}"'


def printable(text: str) -> str:
    """Return `text` cut, with control characters escaped, so that it can't forge a line of a log."""
    cut = text if len(text) <= _SHOWN_CHARACTERS else f"{text[:_SHOWN_CHARACTERS]}…"
    return "".join(each if each.isprintable() else ascii(each)[1:-1] for each in cut)
