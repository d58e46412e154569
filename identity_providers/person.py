"""What a provider tells of somebody."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache

from acl.glob import compile_glob, is_literal

# As in the configuration file.
MAX_GROUP_CHARACTERS = 150


@dataclass(frozen=True, slots=True)
class Person:
    """Somebody as the `provider` knows it now.

    `subject` is the provider's key of the person, which no later one gets. `credential_mark` changes with the password.
    `groups` are those to take over. The powers are None where the configuration names no group for them.
    """

    provider: str
    name: str
    subject: str
    credential_mark: str = ""
    groups: tuple[str, ...] = ()
    is_superuser: bool | None = None
    is_staff: bool | None = None


def mirrored(groups: Iterable[str], patterns: tuple[str, ...]) -> tuple[str, ...]:
    """Return the names of groups that match one of the patterns, and that a group here can have, sorted."""
    matchers = [_matcher(pattern) for pattern in patterns]
    return tuple(
        sorted(
            {
                name
                for name in groups
                if any(matches(name) for matches in matchers)
                and 0 < len(name) <= MAX_GROUP_CHARACTERS
                and name.isprintable()
                and name == name.strip()
            }
        )
    )


def is_named(group: str, patterns: tuple[str, ...]) -> bool:
    """Tell whether one of the patterns is this name itself."""
    return any(is_literal(pattern) and pattern == group for pattern in patterns)


@lru_cache(maxsize=100)
def _matcher(pattern: str) -> Callable[[str], bool]:
    return compile_glob(pattern)
