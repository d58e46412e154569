"""What is wrong with a configuration file, said so that it can be mended."""

from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True, slots=True)
class Problem:
    """One thing to mend: where it stands, what was found there, what is expected.

    `path` None: the value came from the environment variable named in `key_path`. `line` counts from 1;
    0 is the file as a whole. `found` never holds a secret.
    """

    path: Path | None
    line: int
    key_path: str
    found: str
    expected: str

    def __str__(self) -> str:
        """Return one line, as `config.yaml:12: acl[1].actions: found "pul", expected a list of …`."""
        return f"{place(self.path, self.line, self.key_path)}: found {self.found}, expected {self.expected}"


class ConfigurationError(Exception):
    """A configuration that can't be used; `problems` holds every reason at once."""

    def __init__(self, problems: Iterable[Problem]) -> None:
        """Keep `problems` in the order of their lines."""
        self.problems = tuple(sorted(problems, key=lambda problem: (problem.path is None, problem.line)))
        super().__init__(self.problems)

    def __str__(self) -> str:
        """Return one line per problem."""
        return "\n".join(map(str, self.problems))


def place(path: Path | None, line: int, key_path: str) -> str:
    """Return where something stands: file, line and key path, as far as they are known."""
    where = "environment" if path is None else _shown(path) + (f":{line}" if line else "")
    return f"{where}: {key_path}" if key_path else where


def _shown(path: Path) -> str:
    """Return `path` as somebody in the current folder would type it."""
    try:
        return str(path.relative_to(Path.cwd()))
    except (OSError, ValueError):
        return str(path)
