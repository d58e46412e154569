"""`manage.py help`: the registry's own commands first, each with what it does."""

import textwrap
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from django.core.management import BaseCommand, ManagementUtility, get_commands

from core.command_errors import explained
from core.db import database_fault, setup

# Those of Django that an operator needs; the rest is for who develops.
_OF_USE = ("changepassword", "check", "createsuperuser", "dbshell", "migrate", "shell")
_FOREIGN = ("django", "rest_framework", "unfold")
# Those that write in the database, of this version or an older one.
_WRITING = frozenset(
    (
        "backup",
        "changepassword",
        "createsuperuser",
        "deleterepository",
        "fsck",
        "gc",
        "migrate",
        "removesecondfactor",
        "runjobs",
    )
)
_VERSION = "Print the version of the registry."


class Commands(ManagementUtility):
    """Django's `manage.py`, with a help of its own."""

    def main_help_text(self, commands_only: bool = False) -> str:
        """Return the list of commands; `commands_only`: their names, for shells that complete them."""
        if commands_only:
            return super().main_help_text(commands_only=True)
        known = get_commands()
        own = {name for name, app in known.items() if str(app).partition(".")[0] not in _FOREIGN}
        others = sorted(known.keys() - own - set(_OF_USE))
        lines = [f"Type '{self.prog_name} help COMMAND' for more about a command.", ""]
        lines += ["The registry's commands:", *self._described({*own, "version"}), ""]
        lines += ["Useful Django commands:", *self._described(_OF_USE), ""]
        lines += [
            "Other Django commands:",
            textwrap.fill(" ".join(others), 100, initial_indent="  ", subsequent_indent="  "),
        ]
        return "\n".join(lines)

    def fetch_command(self, subcommand: str) -> BaseCommand:
        """Return the command; what it can't do it says in one line."""
        command = super().fetch_command(subcommand)
        # The log would say it before the command does; jobs go on to the next one, and have nothing but the log.
        database_fault.logger.disabled = subcommand != "runjobs"
        command.execute = _guarded(command.execute, is_writing=subcommand in _WRITING)  # type: ignore[method-assign]
        return command

    def _described(self, names: Iterable[str]) -> Iterator[str]:
        for name in sorted(names):
            text = _VERSION if name == "version" else self.fetch_command(name).help
            first_sentence = f"{text.partition('. ')[0].removesuffix('.')}."
            yield f"  {name:<18} {textwrap.shorten(first_sentence, 100, placeholder='…')}"


def _guarded(execute: Callable[..., str | None], *, is_writing: bool) -> Callable[..., str | None]:
    """Return `execute`, done only on a database that this version may write."""

    def guarded(*args: Any, **options: Any) -> str | None:
        with explained():
            if is_writing:
                setup.refuse_newer()
            return execute(*args, **options)

    return guarded
