"""The section `acl`."""

from dataclasses import replace
from typing import Any

from acl.actions import ALL
from acl.glob import PATTERN_MAX_CHARACTERS, InvalidPatternError, compile_glob
from registry_project.configuration.converters import boolean, group_name, text
from registry_project.configuration.element import REFUSED, Element, Refused
from registry_project.configuration.section import Key, Section, Values
from registry_project.configuration.values import RuleEntry, SubjectKind

_SUBJECTS: tuple[SubjectKind, ...] = ("account", "group", "anonymous")
_RULES = "a list of rules, [] for no rules, or no key `acl` to keep them in the admin only"
_ACTIONS = f"a list of {', '.join(ALL)}"
_ACCOUNT = 'the name of an account or a pattern of names: "*" is everyone signed in'
_NAME = 'the name of a repository, in lower case, or a pattern of names as "myorg/*" or "*"'


def rules(element: Element) -> tuple[RuleEntry, ...]:
    """Return every rule once, in the order of the file."""
    entries: dict[RuleEntry, RuleEntry] = {}
    for item in element.items(_RULES):
        entry = item.read(RULE)
        if entry is not REFUSED:
            first = entries.setdefault(replace(entry, line=0, comment=""), entry)
            if first is not entry:
                item.warn(f"the rule of line {first.line} again; this one is not needed")
    return tuple(entries.values())


def actions(element: Element) -> tuple[str, ...]:
    """Return the actions in their one order."""
    # A wrong action is a problem of the list: its place in it says nothing.
    given = [replace(item, key_path=element.key_path).read(_action) for item in element.items(_ACTIONS)]
    if not given:
        raise Refused(_ACTIONS, "an empty list")
    return tuple(action for action in ALL if action in given)


def _action(element: Element) -> str:
    action = element.text(_ACTIONS)
    if action not in ALL:
        raise Refused(_ACTIONS)
    return action


def _pattern(characters: str, expected: str) -> Any:
    convert_text = text(expected, rf"[*?\[\]!{characters}]+", PATTERN_MAX_CHARACTERS)

    def convert(element: Element) -> str:
        pattern = convert_text(element)
        try:
            compile_glob(pattern)
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
        "name": Key(_pattern(r"a-z0-9._/-", _NAME), required=_NAME),
        "actions": Key(actions, required=_ACTIONS),
        "comment": Key(text("a text", r".*")),
    },
    _build,
    _check,
)
