"""Run `manage.py` commands without the second that each start takes: `python -m tests.faults.commands`.

A process with everything loaded forks for each line on its standard input, `{"words": […], "failpoints": ""}`,
and answers each with `{"status": 0, "output": ""}`; a status below zero is the signal that ended the command.
"""

import gc
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from typing import IO

from tests.clients.server import ROOT


@dataclass(frozen=True, slots=True)
class Ended:
    """How a command ended, and what it wrote."""

    status: int
    output: str


class Commands:
    """Somebody at a terminal beside the server."""

    def __init__(self, environment: dict[str, str]) -> None:
        """Load everything, with `environment`."""
        command = [sys.executable, "-m", "tests.faults.commands"]
        self._process = subprocess.Popen(
            command, cwd=ROOT, env=environment, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
        )

    def run(self, *words: str, failpoints: str = "") -> Ended:
        """Run `manage.py` with `words`, and with `failpoints` in the environment of that command."""
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        self._process.stdin.write(json.dumps({"words": words, "failpoints": failpoints}) + "\n")
        self._process.stdin.flush()
        return Ended(**json.loads(self._process.stdout.readline()))

    def end(self) -> None:
        """Go away."""
        self._process.communicate()


@contextmanager
def commands_with(environment: dict[str, str]) -> Iterator[Commands]:
    """Run commands with `environment` until the end."""
    commands = Commands(environment)
    try:
        yield commands
    finally:
        commands.end()


def main() -> None:
    """Answer line by line."""
    import django
    from django.core.checks import run_checks

    os.environ["DJANGO_SETTINGS_MODULE"] = "registry_project.settings"
    django.setup()
    # They load all that a command loads: the URLs, the admin, the backend of the database.
    run_checks()
    gc.collect()
    gc.freeze()
    for line in sys.stdin:
        asked = json.loads(line)
        with tempfile.TemporaryFile("w+") as output:
            pid = os.fork()
            if not pid:
                _become(asked["words"], asked["failpoints"], output)
            status = os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
            output.seek(0)
            sys.stdout.write(json.dumps({"status": status, "output": output.read()}) + "\n")
            sys.stdout.flush()


def _become(words: list[str], failpoints: str, output: IO[str]) -> None:
    """Be a command, and never come back."""
    from django.core.management import execute_from_command_line

    from core.failpoints import arm

    status = 70
    try:
        os.dup2(output.fileno(), 1)
        os.dup2(output.fileno(), 2)
        arm(failpoints)
        execute_from_command_line(["manage.py", *words])
        status = 0
    except SystemExit as end:
        status = end.code if isinstance(end.code, int) else int(end.code is not None)
    finally:
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(status)


if __name__ == "__main__":
    main()
