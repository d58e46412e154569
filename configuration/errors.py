"""The problems of a configuration file, each with its place and what is expected there."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Problem:
    """A wrong value: its place, what was found there, and what is expected.

    As a string: `config.yaml:12: acl[1].actions: found "pul", expected a list of …`. A `path` of None means that the
    value came from the environment variable named in `key_path`. `line` counts from 1; 0 means the whole file. `found`
    never contains a secret.
    """

    path: Path | None
    line: int
    key_path: str
    found: str
    expected: str

    def __str__(self) -> str:
        return f"{place(self.path, self.line, self.key_path)}: found {self.found}, expected {self.expected}"


class ConfigurationError(Exception):
    """The configuration can't be used; `problems` are all reasons, in the order of their lines."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        self.problems = tuple(sorted(problems, key=lambda problem: (problem.path is None, problem.line)))
        super().__init__(self.problems)

    def __str__(self) -> str:
        return "\n".join(map(str, self.problems))


def place(path: Path | None, line: int, key_path: str) -> str:
    """Return the place of a value in a message: file, line and key path, as far as they are known.

    The path is relative to the current folder if the file is in it.
    """
    if path is None:
        where = "environment"
    else:
        try:
            where = str(path.relative_to(Path.cwd()))
        except (OSError, ValueError):
            where = str(path)
        where += f":{line}" if line else ""
    return f"{where}: {key_path}" if key_path else where
