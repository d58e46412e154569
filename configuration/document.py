"""Parse strict YAML into nodes: one document, no aliases, no tags, no duplicate keys, bounded depth."""

import re
from collections.abc import Callable
from functools import cache
from typing import Any

import yaml
from yaml import MappingNode, Node, ScalarNode
from yaml.composer import Composer
from yaml.events import AliasEvent
from yaml.resolver import Resolver

from configuration.element import REFUSED_TAG, Element, Reading, joined, line_of, quoted
from configuration.errors import ConfigurationError, Problem

MAX_DEPTH = 16
_QUOTES_AFTER_STAR = 'a string in quotes: "*" (a star without quotes begins an alias, which is not accepted)'
_QUOTATION = re.compile(r"""(['"])(?!<|\\.\1).{2,}?\1""")


def compose(reading: Reading, text: str) -> Element:
    """Return the root of the document in `text`; an empty document is an empty mapping.

    Aliases, anchors, tags and duplicate keys are collected as problems of `reading`. Raises ConfigurationError when the
    rest can't be read.
    """
    try:
        node = _node(reading, text)
    except yaml.YAMLError as error:
        line, found, expected = _explained(text, error)
        problem = Problem(reading.path, line, "", found, expected)
        raise ConfigurationError([*reading.problems, problem]) from None
    return root(reading, node)


def _node(reading: Reading, text: str) -> Node | None:
    """Return the root node.

    libyaml, if it is installed, is ten times as fast, but its errors explain less: PyYAML's parser then reads again.
    """
    if yaml.__with_libyaml__:
        known = len(reading.problems)
        try:
            return _quick_loader()(text, reading).get_single_node()
        except yaml.YAMLError:
            del reading.problems[known:]
    return _StrictLoader(text, reading).get_single_node()


def root(reading: Reading, node: Node | None = None) -> Element:
    """Return `node` as the root element; None means an empty mapping, for a configuration without a file."""
    present = node or MappingNode("tag:yaml.org,2002:map", [])
    return Element(reading, present, "", reading.path, line_of(present))


class _TooDeepError(yaml.MarkedYAMLError):
    """The document is nested deeper than MAX_DEPTH."""


class _StrictComposer(Composer):
    """Compose nodes, and collect problems: plain YAML that a configuration must not use."""

    reading: Reading
    trail: list[Node | int | None]

    @property
    def parser(self) -> Any:
        """This object, which is a parser too: a subclass adds one of PyYAML or libyaml."""
        return self

    def compose_node(self, parent: Node | None, index: Node | int | None) -> Node | None:
        """Return the next node; REFUSED_TAG marks one whose problem is reported."""
        if len(self.trail) > MAX_DEPTH:
            raise _TooDeepError(problem_mark=self.parser.peek_event().start_mark)
        self.trail.append(index)
        node = self._compose_checked(parent, index)
        if isinstance(node, MappingNode):
            self._refuse_repeated_keys(node)
        self.trail.pop()
        return node

    def _compose_checked(self, parent: Node | None, index: Node | int | None) -> Node | None:
        event = self.parser.peek_event()
        line = event.start_mark.line + 1
        if isinstance(event, AliasEvent):
            self.parser.get_event()
            self._refuse(line, "an alias", _QUOTES_AFTER_STAR)
            return ScalarNode(REFUSED_TAG, "")
        if event.anchor is not None:
            self._refuse(line, "an anchor", "a value without &; a string that begins with & needs quotes")
        if event.tag is not None:
            self._refuse(line, "a tag", "a value without !; a string that begins with ! needs quotes")
        is_refused, event.anchor = event.anchor is not None or event.tag is not None, None
        node = super().compose_node(parent, index)  # type: ignore[arg-type]
        if node is not None and is_refused:
            node.tag = REFUSED_TAG
        return node

    def _refuse_repeated_keys(self, mapping: MappingNode) -> None:
        first: dict[str, ScalarNode] = {}
        for key, _ in mapping.value:
            if not isinstance(key, ScalarNode) or key.tag == REFUSED_TAG:
                continue
            earlier = first.setdefault(key.value.casefold(), key)
            if earlier is not key:
                self._refuse_repeated(earlier, key)

    def _refuse_repeated(self, earlier: ScalarNode, key: ScalarNode) -> None:
        is_same = earlier.value == key.value
        found = f"the key {quoted(key.value)} again"
        expected = "each key once" if is_same else "keys that differ not only in upper and lower case"
        self.trail.append(key)
        self._refuse(line_of(key), found, f"{expected} (the first is in line {line_of(earlier)})")
        self.trail.pop()
        key.tag = REFUSED_TAG

    def _refuse(self, line: int, found: str, expected: str) -> None:
        key_path = ""
        for step in self.trail:
            if isinstance(step, ScalarNode):
                key_path = joined(key_path, step.value)
            elif isinstance(step, int):
                key_path += f"[{step}]"
        self.reading.problems.append(Problem(self.reading.path, line, key_path, found, expected))


class _StrictLoader(_StrictComposer, yaml.SafeLoader):
    """Read with PyYAML's own parser, whose errors explain what is wrong."""

    def __init__(self, text: str, reading: Reading) -> None:
        yaml.SafeLoader.__init__(self, text)
        self.reading, self.trail = reading, []


@cache
def _quick_loader() -> Callable[[str, Reading], _StrictComposer]:
    """Return the loader with libyaml's parser, which not every build of PyYAML has."""
    from yaml._yaml import CParser

    class QuickLoader(_StrictComposer, CParser, Resolver):
        def __init__(self, text: str, reading: Reading) -> None:
            CParser.__init__(self, text)
            Composer.__init__(self)
            Resolver.__init__(self)
            self.reading, self.trail = reading, []

    return QuickLoader


def _explained(text: str, error: yaml.YAMLError) -> tuple[int, str, str]:
    """Return the line, what was found and what is expected; values are not quoted, since one may be a secret."""
    if isinstance(error, yaml.reader.ReaderError):
        line = text.count("\n", 0, error.position) + 1
        return line, f"the character U+{ord(text[error.position]):04X}", "printable characters"
    if not isinstance(error, yaml.MarkedYAMLError):
        return 0, "no YAML", "YAML"
    mark = error.problem_mark or error.context_mark
    line = mark.line + 1 if mark else 0
    if isinstance(error, _TooDeepError):
        return line, "more levels of nesting", f"at most {MAX_DEPTH}"
    if error.problem == "but found another document":
        return line, "a second document", "one document (no further line of ---)"
    if (error.context or "").startswith("while scanning an alias"):
        return line, "a star without quotes", _QUOTES_AFTER_STAR
    reason = ", ".join(filter(None, (error.context, error.problem)))
    return line, f"no valid YAML ({_QUOTATION.sub('…', reason)})", "YAML"
