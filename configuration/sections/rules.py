"""The section `acl`."""

import re
from typing import Any

from acl.actions import ALL
from acl.glob import ACCOUNT, PATTERN_MAX_CHARACTERS, InvalidPatternError, check_glob
from configuration.converters import boolean, group_name, text
from configuration.element import REFUSED, Element, Refused, quoted
from configuration.section import Key, Section, Values, below
from configuration.values import RuleEntry, SubjectKind

_SUBJECTS: tuple[SubjectKind, ...] = ("account", "group", "anonymous")
_RULES = "a list of rules, [] for no rules, or no key `acl` to keep them in the admin only"
_ACTIONS = f"a list of {', '.join(ALL)}"
_ACCOUNT = 'the name of an account or a pattern of names: "*" is everyone signed in'
_NAME = (
    'the name of a repository, in lower case and without a host, or a pattern of names as "myorg/*", "*" or '
    f'"{ACCOUNT}/*"'
)


def rules(element: Element) -> tuple[RuleEntry, ...]:
    """Return every rule once, in the order of the file."""
    entries: dict[tuple[object, ...], RuleEntry] = {}
    for item in element.items(_RULES):
        entry = item.read(RULE)
        if entry is not REFUSED:
            first = entries.setdefault((entry.subject_kind, entry.subject, entry.name, entry.actions), entry)
            if first is not entry:
                item.warn(f"the rule of line {first.line} again; this one is not needed")
    return tuple(entries.values())


def actions(element: Element) -> tuple[str, ...]:
    """Return the actions in their one order."""
    given = [item.read(_action) for item in element.items(_ACTIONS, is_numbered=False)]
    if not given:
        raise Refused(_ACTIONS, "an empty list")
    return tuple(action for action in ALL if action in given)


def _action(element: Element) -> str:
    action = element.text(_ACTIONS)
    if action not in ALL:
        raise Refused(_ACTIONS)
    return action


def _pattern(characters: str, expected: str, placeholder: str = "(?!)") -> Any:
    convert_text = text(expected, rf"(?:[*?\[\]!{characters}]|{placeholder})+", PATTERN_MAX_CHARACTERS)

    def convert(element: Element) -> str:
        pattern = convert_text(element)
        try:
            check_glob(pattern)
        except InvalidPatternError as error:
            raise Refused(f"{expected} ({error})") from None
        return pattern

    return convert


def _true(element: Element) -> bool:
    if not boolean(element):
        raise Refused("true, or no such key")
    return True


def _check(values: Values, element: Element) -> None:
    given = [subject for subject in _SUBJECTS if subject in values]
    if len(given) != 1:
        found = " and ".join(given) or "none of account, group, anonymous"
        element.report("one of account, group or `anonymous: true`", found)
    if "anonymous" in values and ACCOUNT in str(values.get("name")):
        below(element, "name").report(f"no {ACCOUNT}: anonymous has no account", quoted(values["name"]))


def _build(values: Values, element: Element) -> RuleEntry:
    kind = next(subject for subject in _SUBJECTS if subject in values)
    return RuleEntry(
        subject_kind=kind,
        subject="" if kind == "anonymous" else values[kind],
        name=values["name"],
        actions=values["actions"],
        comment=values.get("comment", ""),
        line=element.line,
    )


RULE = Section(
    {
        "account": Key(_pattern(r"A-Za-z0-9._@+$-", _ACCOUNT)),
        "group": Key(group_name),
        "anonymous": Key(_true),
        "name": Key(_pattern(r"a-z0-9._/-", _NAME, re.escape(ACCOUNT)), required=_NAME),
        "actions": Key(actions, required=_ACTIONS),
        "comment": Key(text("a text", r".*")),
    },
    _build,
    _check,
)
