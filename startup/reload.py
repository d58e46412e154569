"""SIGHUP: import users and rules of the configuration file while every transfer goes on.

gunicorn's own way replaces the workers, and kills those that still serve somebody after `graceful_timeout`. Here a
process of its own imports the file, and the workers notice by the permissions version.

    SIGHUP ──> master: starts `loadconfig --reload` ──> SIGCHLD: logs what that one printed

The master has no threads, since it forks workers. So the process writes into files, which are read when it has ended;
gunicorn may collect its exit status before this module asks for it, so the status only explains.
"""

import json
import logging
import os
import signal
import subprocess
import sys
import tempfile
from collections.abc import Collection, Mapping, Sequence
from contextlib import ExitStack, suppress
from typing import IO, NamedTuple

from gunicorn.arbiter import Arbiter

logger = logging.getLogger(__name__)

_MAX_LINES = 50


class Reload:
    """Imports, one at a time; what is asked for meanwhile is one more, after it."""

    def __init__(self, command: Sequence[str], running: Mapping[str, str], said: Collection[str] = ()) -> None:
        """Keep the command to run, the marks of the settings that this server runs with, and the warnings it `said`."""
        self._command = command
        self._said = said
        self._running = json.dumps(running).encode()
        self._import: _Import | None = None
        self._is_due_again = False

    def install(self, server: Arbiter) -> None:
        """Let `server` reload at SIGHUP, and stop when that comes of a terminal that was closed."""
        has_terminal = os.isatty(sys.stdin.fileno())

        def handle_hangup() -> None:
            if has_terminal and not os.isatty(sys.stdin.fileno()):
                server.handle_term()
            self.start()

        def handle_child() -> None:
            self.look()
            Arbiter.handle_chld(server)

        server.handle_hup = handle_hangup  # type: ignore[method-assign]
        # gunicorn calls the one or the other: SIGCLD is another name of the signal.
        server.handle_chld = server.handle_cld = handle_child  # type: ignore[method-assign]

    def start(self) -> None:
        """Import the file, or do so again after the import that is under way."""
        if self._import is not None:
            self._is_due_again = True
            return
        self._is_due_again = False
        try:
            self._import = _Import(self._command, self._running)
        except OSError as error:
            _log_failure([f"the import could not be started: {error.strerror}"])

    def look(self) -> None:
        """Log how the import ended, if it has."""
        if self._import is None or not self._import.is_over():
            return
        self._said = self._import.log(self._said)
        self._import = None
        if self._is_due_again:
            self.start()

    def stop(self) -> None:
        """Tell an import to end; the database takes back what it has not committed."""
        if self._import is not None:
            self._import.stop()


class _Outcome(NamedTuple):
    """What `loadconfig --reload` prints, as JSON."""

    summary: str
    changes: list[str]
    warnings: list[str]
    needs_restart: list[str]


class _Import:
    """A process that imports, and the files that it writes."""

    def __init__(self, command: Sequence[str], running: bytes) -> None:
        with ExitStack() as stack:
            self._told = stack.enter_context(tempfile.TemporaryFile())
            self._complaints = stack.enter_context(tempfile.TemporaryFile())
            self._process = subprocess.Popen(  # noqa: S603 - the project's own
                command,
                stdin=subprocess.PIPE,
                stdout=self._told,
                stderr=self._complaints,
                # `systemctl kill -s HUP` sends it to every process of the service.
                preexec_fn=_ignore_hangup,  # noqa: PLW1509 - the master has no threads
            )
            self._files = stack.pop_all()
        self._give(running)

    def _give(self, running: bytes) -> None:
        """Write the marks, which a pipe takes at once: nobody waits until the process reads them."""
        assert self._process.stdin is not None  # noqa: S101 - it is a pipe
        with suppress(BrokenPipeError), self._process.stdin as pipe:
            pipe.write(running)

    def is_over(self) -> bool:
        return self._process.poll() is not None

    def stop(self) -> None:
        self._process.terminate()

    def log(self, said: Collection[str]) -> Collection[str]:
        """Say in one line how it ended: with an outcome, or with what it complained about.

        Return the warnings that are said by then, of which only those are told that were not `said` before.
        """
        with self._files:
            told, complaints = _content(self._told), _content(self._complaints)
        try:
            outcome = _Outcome(**json.loads(told))
        except (ValueError, TypeError):
            _log_failure(complaints.splitlines() or ["the import exited without output"], self._cause())
            return said
        _log_success(outcome, [warning for warning in outcome.warnings if warning not in said])
        return frozenset(outcome.warnings)

    def _cause(self) -> str:
        code = self._process.returncode
        return f" (signal {-code}, {signal.Signals(-code).name})" if code < 0 else ""


def _content(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def _ignore_hangup() -> None:
    signal.signal(signal.SIGHUP, signal.SIG_IGN)


def _log_success(outcome: _Outcome, warnings: Sequence[str]) -> None:
    changed = outcome.needs_restart
    level = logging.WARNING if changed or warnings else logging.INFO
    more = f"; only a restart brings into effect: {', '.join(changed)}" if changed else ""
    told = {"changes": outcome.changes, "warnings": warnings[:_MAX_LINES], "needs_restart": changed}
    logger.log(level, "configuration reloaded: %s%s", outcome.summary, more, extra=told)


def _log_failure(lines: Sequence[str], cause: str = "") -> None:
    told = "configuration not reloaded, users and rules stay as they were: %s%s"
    # A traceback says at its end what it is.
    first = lines[-1] if lines[0].startswith("Traceback") else lines[0]
    logger.error(told, first, cause, extra={"problems": lines[-_MAX_LINES:]})
