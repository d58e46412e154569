"""Read the configuration file and the folder from a command line, before Django loads its settings."""

from argparse import ArgumentParser
from pathlib import Path
from typing import NoReturn


def configuration_named_in(argv: list[str]) -> str | None:
    """Return the absolute path of the configuration file in `argv` (as `sys.argv`); None means that it has none.

    It is `FILE` of `loadconfig FILE`, and of `--config FILE` for every command: it configures the whole process, with
    database and storage. An invalid command line counts as none, since the command reports the error.
    """
    if len(argv) < 2:
        return None
    try:
        options, _ = _parser(has_file=argv[1] == "loadconfig").parse_known_args(argv[2:])
    except _UnreadableError:
        return None
    named = getattr(options, "file", None) or options.config
    return str(Path(named).absolute()) if named else None


def folder_named_in(argv: list[str]) -> Path | None:
    """Return the absolute path of the folder for `backup` or `restore` in `argv`; None means that it has none."""
    try:
        options, _ = _parser(has_file=True).parse_known_args(argv[2:])
    except _UnreadableError:
        return None
    return Path(options.file).absolute() if options.file else None


class _UnreadableError(Exception):
    """The command line is invalid."""


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Raise instead of an exit."""
        raise _UnreadableError(message)


def _parser(*, has_file: bool) -> _Parser:
    """Return a parser that knows Django's options with a value, so that a value is not taken for a file."""
    parser = _Parser(add_help=False)
    for name in ("--config", "--settings", "--pythonpath"):
        parser.add_argument(name)
    parser.add_argument("-v", "--verbosity")
    if has_file:
        parser.add_argument("file", nargs="?")
    return parser
