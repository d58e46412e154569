"""The file as docker_auth reads it: users, entries of `acl`, and other sections by name.

Its YAML library takes a missing value for none, and a number or true for a string as it is written.
"""

from collections.abc import Iterator
from dataclasses import dataclass, field

import yaml
from yaml import MappingNode, Node, ScalarNode, SequenceNode

MAX_BYTES = 10 * 2**20
_NULL = "tag:yaml.org,2002:null"
_MATCH = ("account", "type", "name", "ip", "service", "labels")


class DocumentError(Exception):
    """The file can't be read; the message has the line."""


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry of `acl`; None in `match` is any value. `number` counts from 1."""

    number: int
    line: int
    actions: tuple[str, ...]
    comment: str = ""
    account: str | None = None
    type: str | None = None
    name: str | None = None
    ip: str | None = None
    service: str | None = None
    labels: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class User:
    """A user; without a password any is accepted. The empty name is for requests without a login."""

    line: int
    name: str
    password: str | None
    labels: tuple[tuple[str, tuple[str, ...]], ...]


@dataclass(slots=True)
class Document:
    """The file; `problems` are pairs of a line and what is wrong there, with which docker_auth does not start."""

    users: list[User] = field(default_factory=list)
    entries: list[Entry] = field(default_factory=list)
    others: dict[str, int] = field(default_factory=dict)
    """Lines of the sections beside `users` and `acl`, by name."""
    problems: list[tuple[int, str]] = field(default_factory=list)


def read(content: bytes) -> Document:
    """Return the file. Raises DocumentError."""
    if len(content) > MAX_BYTES:
        raise DocumentError(f"it has more than {MAX_BYTES} bytes")
    try:
        root = yaml.compose(content.decode(), yaml.SafeLoader)
    except UnicodeDecodeError as error:
        raise DocumentError("it is not UTF-8") from error
    except yaml.MarkedYAMLError as error:
        place = f"line {error.problem_mark.line + 1}: " if error.problem_mark else ""
        raise DocumentError(f"{place}{error.problem or 'no YAML'}") from error
    except (yaml.YAMLError, RecursionError) as error:
        raise DocumentError(f"it is no YAML: {type(error).__name__}") from error
    if not isinstance(root, MappingNode):
        raise DocumentError("it is no mapping with users and acl")
    document = Document()
    for name, line, node in _members(document, root):
        if name == "users":
            document.users += _users(document, node)
        elif name == "acl":
            document.entries += _entries(document, node)
        else:
            document.others[name] = line
    return document


def _members(document: Document, node: Node | None) -> Iterator[tuple[str, int, Node]]:
    """Yield the members of a mapping, None and null are an empty one; report anything else, and a repeated key."""
    if node is None or node.tag == _NULL:
        return
    if not isinstance(node, MappingNode):
        document.problems.append((_line(node), "a mapping is expected here"))
        return
    seen = set()
    for key, value in node.value:
        name = key.value if isinstance(key, ScalarNode) else ""
        if not isinstance(key, ScalarNode) or key.tag == "tag:yaml.org,2002:merge":
            document.problems.append((_line(key), "a key that is no string: write the members themselves"))
        elif name in seen:
            document.problems.append((_line(key), f"{name!a} is there twice: leave one of them"))
        else:
            seen.add(name)
            yield name, _line(key), value


def _users(document: Document, node: Node) -> Iterator[User]:
    for name, line, about in _members(document, node):
        password: str | None = None
        labels: list[tuple[str, tuple[str, ...]]] = []
        if about.tag == _NULL:
            # Without {} the server knows no such user.
            continue
        for key, at, value in _members(document, about):
            if key == "password":
                password = _text(document, value)
            elif key == "labels":
                labels = [(label, _texts(document, values)) for label, _, values in _members(document, value)]
            else:
                document.problems.append((at, f"{key!a} is no key of a user: password or labels"))
        yield User(line, name, password, tuple(labels))


def _entries(document: Document, node: Node) -> Iterator[Entry]:
    if node.tag == _NULL:
        return
    if not isinstance(node, SequenceNode):
        document.problems.append((_line(node), "acl is no list of entries"))
        return
    for number, item in enumerate(node.value, 1):
        members = {name: (at, value) for name, at, value in _members(document, item)}
        line = _line(item)
        missing = [name for name in ("match", "actions") if name not in members or members[name][1].tag == _NULL]
        unknown = sorted(members.keys() - {"match", "actions", "comment"})
        if missing or unknown:
            wrong = f"no {missing[0]}" if missing else f"an unknown key {unknown[0]!a}"
            document.problems.append((line, f"an entry of acl with {wrong}: it has match, actions and comment"))
            continue
        comment = _text(document, members["comment"][1]) if "comment" in members else None
        found: dict[str, str | None] = {}
        labels: list[tuple[str, str]] = []
        for name, at, value in _members(document, members["match"][1]):
            if name not in _MATCH:
                document.problems.append((at, f"{name!a} is no key of match: {', '.join(_MATCH)}"))
            elif name == "labels":
                pairs = ((label, _text(document, pattern)) for label, _, pattern in _members(document, value))
                labels = [(label, pattern or "") for label, pattern in pairs]
            else:
                found[name] = _text(document, value)
        actions = _texts(document, members["actions"][1])
        yield Entry(number, line, actions, comment or "", **found, labels=tuple(labels))


def _text(document: Document, node: Node) -> str | None:
    """Return the string of a scalar, None for null."""
    if not isinstance(node, ScalarNode):
        document.problems.append((_line(node), "a string is expected here"))
        return None
    return None if node.tag == _NULL else str(node.value)


def _texts(document: Document, node: Node) -> tuple[str, ...]:
    if node.tag == _NULL:
        return ()
    if not isinstance(node, SequenceNode):
        document.problems.append((_line(node), "a list of strings is expected here"))
        return ()
    return tuple(_text(document, item) or "" for item in node.value)


def _line(node: Node) -> int:
    return int(node.start_mark.line) + 1
