"""`manage.py` with its own help, error messages and version check."""

import textwrap
from collections.abc import Callable, Iterable, Iterator
from typing import Any

from django.core.management import BaseCommand, ManagementUtility, get_commands

from core.command_errors import explained
from core.db import database_fault, setup

# Django's commands for operators; the others are for developers.
_OF_USE = ("changepassword", "createsuperuser", "dbshell", "migrate", "shell")
_FOREIGN = ("django", "rest_framework", "unfold")
# Commands that write into the database; they refuse one of a newer version.
_WRITING = frozenset(
    (
        "acceptkeys",
        "backup",
        "changepassword",
        "createsuperuser",
        "deleterepository",
        "fsck",
        "gc",
        "migrate",
        "migratedb",
        "migratestorage",
        "removesecondfactor",
        "rotatekey",
        "runjobs",
    )
)
_VERSION = "Print the version of the registry."


def _recorded(subcommand: str, execute: Callable[..., str | None], *args: Any, **options: Any) -> str | None:
    """Run the command, and write what it has recorded; Django's own `changepassword` records nothing."""
    # Once the settings are known: `check` tells what is wrong with them.
    from audit import recording
    from audit.kinds import Kind

    try:
        output = execute(*args, **options)
        if subcommand == "changepassword":
            about = {"credential": "command", "reference": f"account {options['username']}"}
            recording.record(Kind.PASSWORD, None, **about, detail="password changed")
        return output
    finally:
        recording.flush()


class Commands(ManagementUtility):
    """Django's `manage.py` for the registry."""

    def main_help_text(self, commands_only: bool = False) -> str:
        """Return the list of commands; `commands_only` means names alone, for shell completion."""
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
        """Return the command, which reports errors in one line and refuses to write into a newer database."""
        command = super().fetch_command(subcommand)
        # The command reports the error itself; only `runjobs` goes on and needs the log.
        database_fault.logger.disabled = subcommand != "runjobs"
        execute = command.execute

        def guarded(*args: Any, **options: Any) -> str | None:
            with explained():
                if subcommand in _WRITING:
                    setup.refuse_newer()
                return _recorded(subcommand, execute, *args, **options)

        command.execute = guarded  # type: ignore[method-assign]
        return command

    def _described(self, names: Iterable[str]) -> Iterator[str]:
        for name in sorted(names):
            text = _VERSION if name == "version" else self.fetch_command(name).help
            first_sentence = f"{text.partition('. ')[0].removesuffix('.')}."
            yield f"  {name:<18} {textwrap.shorten(first_sentence, 100, placeholder='…')}"
