#!/usr/bin/env python3
"""Run a management command: `manage.py help` lists them."""

import gc
import os
import sys
from pathlib import Path

from backup import first_files
from backup.errors import BackupError
from configuration import ConfigurationError
from core.failpoints import FailpointError
from core.private_files import KeyFileError
from registry_project.version import VERSION
from startup.command_line import configuration_named_in, folder_named_in


def main() -> None:
    """Run the command named on the command line, with the configuration file that it names."""
    # At the default of 700 allocations, garbage collection took a fifth of the import of thousands of users.
    gc.set_threshold(100_000, 10, 10)
    # Files that a command creates, such as a database with password hashes, are private.
    os.umask(0o077)
    named = configuration_named_in(sys.argv)
    try:
        folder = folder_named_in(sys.argv) if sys.argv[1:2] == ["restore"] else None
        if folder is None:
            _run(sys.argv, named)
        else:
            _restore(folder, sys.argv, named)
    except (BackupError, ConfigurationError, KeyFileError, FailpointError) as error:
        sys.exit(str(error))


def _restore(folder: Path, argv: list[str], named: str | None) -> None:
    """Restore first what the settings read: without it they take defaults, and make a key of their own."""
    with first_files.restored(folder, named) as made:
        _run(argv, named)
    if made is not None:
        print(f"configuration: restored as {made}; its paths are those of the backup")  # noqa: T201 - a command's answer


def _run(argv: list[str], named: str | None) -> None:
    if named is not None:
        if not os.path.lexists(named):
            sys.exit(f"{named}: no such file, or none that this user may see; name the configuration file")
        os.environ["CONFIG_PATH"] = named
    os.environ.setdefault("DJANGO_SETTINGS_MODULE", "registry_project.settings")
    if argv[1:2] in (["version"], ["--version"]):
        print(VERSION)  # noqa: T201 - the answer
    elif argv[1:2] == ["hashpassword"]:
        _run_without_configuration(argv)
    else:
        from startup.commands import Commands

        Commands(argv).execute()


def _run_without_configuration(argv: list[str]) -> None:
    """Run `hashpassword` without a configuration, which may still lack the hash."""
    from django.conf import settings

    from accounts.management.commands.hashpassword import Command

    settings.configure()
    Command().run_from_argv(argv)


if __name__ == "__main__":
    main()
