"""The configuration file that a command line names; read before Django's settings load."""

from argparse import ArgumentParser
from pathlib import Path
from typing import NoReturn


def configuration_named_in(argv: list[str]) -> str | None:
    """Return the absolute path of the file that `argv` (as `sys.argv`) names, or None.

    The file is that of `loadconfig FILE`, or of `--config FILE` for every command: it is the configuration
    of the whole process, its database and storage too. A command line that is wrong names none, and the
    command itself says what is wrong.
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
    """Return the absolute path of the folder that `argv` names for `backup` or `restore`, or None."""
    try:
        options, _ = _parser(has_file=True).parse_known_args(argv[2:])
    except _UnreadableError:
        return None
    return Path(options.file).absolute() if options.file else None


class _UnreadableError(Exception):
    """The command line is not one that can be read."""


class _Parser(ArgumentParser):
    def error(self, message: str) -> NoReturn:
        """Raise instead of ending the process."""
        raise _UnreadableError(message)


def _parser(*, has_file: bool) -> _Parser:
    """Make a parser that knows Django's options with a value: what follows them is no file."""
    parser = _Parser(add_help=False)
    for name in ("--config", "--settings", "--pythonpath"):
        parser.add_argument(name)
    parser.add_argument("-v", "--verbosity")
    if has_file:
        parser.add_argument("file", nargs="?")
    return parser
