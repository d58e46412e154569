"""The users of docker_auth as accounts, and their labels as groups."""

from pathlib import Path

from configuration.element import Reading
from configuration.values import UserEntry
from provisioning.accounts import is_group_name, name_problem, password_problem
from provisioning.docker_auth.document import Document, User

_READING = Reading(None, Path(), {})


def accounts(document: Document) -> tuple[list[UserEntry], list[str], list[str]]:
    """Return accounts with their groups, the users that are refused with the reasons, and notes."""
    found, refused, notes = [], [], []
    for user in document.users:
        if not user.name:
            if user.password is not None:
                notes.append(
                    f"line {user.line}: the user without a name has a password: nobody is let in without a login"
                )
            continue
        if reason := _reason(user):
            refused.append(f"line {user.line}: the user {user.name!a}: {reason}")
            continue
        groups: list[str] = []
        without: list[str] = []
        for label, values in user.labels:
            for value in values:
                name = group_of(label, value)
                (without if name is None else groups).append(name or f"{label}={value}")
        notes += [f"line {user.line}: no group can be called {name!a}, the label is left out" for name in without]
        password = user.password or ""
        found.append(UserEntry(user.name, password, groups=tuple(dict.fromkeys(groups)), line=user.line))
    return found, refused, notes


def has_anonymous(document: Document) -> bool:
    """Tell whether requests without a login are let in."""
    return any(not user.name and user.password is None for user in document.users)


def group_of(label: str, value: str) -> str | None:
    """Return the group of those with this value of a label; None: no group can have such a name."""
    name = f"{label}={value}"
    return name if is_group_name(name) else None


def _reason(user: User) -> str:
    if user.password is None:
        return "docker_auth takes any password for it: give it a hash, or make what it may do a rule for everybody"
    return name_problem(user.name) or password_problem(user.password)
