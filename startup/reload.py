"""SIGHUP imports users and rules from the configuration file, while transfers go on.

gunicorn's own reload replaces the workers and kills transfers after `graceful_timeout`. Here a child process imports
the file, and the workers notice the new permissions version.

    SIGHUP ──> master: starts `loadconfig --reload` ──> SIGCHLD: logs what that command printed

The master has no threads, since it forks workers. So the child writes into files, which the master reads after its
end. gunicorn may reap the child first, so its exit status only adds to the message.
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
from functools import partial
from typing import IO, NamedTuple

from gunicorn.arbiter import Arbiter

logger = logging.getLogger(__name__)

_MAX_LINES = 50


class Reload:
    """Runs one import at a time; requests during an import cause one more."""

    def __init__(self, command: Sequence[str], running: Mapping[str, str], said: Collection[str] = ()) -> None:
        """Take the command, the marks of the settings in effect, and the warnings that were printed already."""
        self._command = command
        self._said = said
        self._running = json.dumps(running).encode()
        self._import: _Import | None = None
        self._is_due_again = False

    def install(self, server: Arbiter) -> None:
        """Make SIGHUP reload; stop the server if its terminal was closed."""
        has_terminal = os.isatty(sys.stdin.fileno())

        def handle_hangup() -> None:
            if has_terminal and not os.isatty(sys.stdin.fileno()):
                server.handle_term()
            self.start()

        def handle_child() -> None:
            self.look()
            Arbiter.handle_chld(server)

        server.handle_hup = handle_hangup  # type: ignore[method-assign]
        # gunicorn calls either: SIGCLD is another name of the signal.
        server.handle_chld = server.handle_cld = handle_child  # type: ignore[method-assign]

    def start(self) -> None:
        """Start an import, or another one after the running import."""
        if self._import is not None:
            self._is_due_again = True
            return
        self._is_due_again = False
        try:
            self._import = _Import(self._command, self._running)
        except OSError as error:
            _log_failure([f"the import could not be started: {error.strerror}"])

    def look(self) -> None:
        """Log the result of an import that has ended."""
        if self._import is None or self._import.process.poll() is None:
            return
        self._said = self._import.log(self._said)
        self._import = None
        if self._is_due_again:
            self.start()

    def stop(self) -> None:
        """Terminate a running import; the database rolls back its transaction."""
        if self._import is not None:
            self._import.process.terminate()


class _Outcome(NamedTuple):
    """The JSON output of `loadconfig --reload`."""

    summary: str
    superseded: str
    changes: list[str]
    warnings: list[str]
    needs_restart: list[str]


class _Import:
    """The child process of an import, and its output files."""

    def __init__(self, command: Sequence[str], running: bytes) -> None:
        with ExitStack() as stack:
            self._output = stack.enter_context(tempfile.TemporaryFile())
            self._errors = stack.enter_context(tempfile.TemporaryFile())
            self.process = subprocess.Popen(  # noqa: S603 - the project's own
                command,
                stdin=subprocess.PIPE,
                stdout=self._output,
                stderr=self._errors,
                # `systemctl kill -s HUP` signals every process of the service.
                preexec_fn=partial(signal.signal, signal.SIGHUP, signal.SIG_IGN),  # noqa: PLW1509 - the master has no threads
            )
            self._files = stack.pop_all()
        # Shorter than a pipe's buffer, so this never blocks.
        assert self.process.stdin is not None  # noqa: S101 - it is a pipe
        with suppress(BrokenPipeError), self.process.stdin as pipe:
            pipe.write(running)

    def log(self, said: Collection[str]) -> Collection[str]:
        """Log the outcome or the errors in one line; return all warnings logged so far.

        Warnings in `said` are not repeated.
        """
        with self._files:
            output, errors = _content(self._output), _content(self._errors)
        try:
            outcome = _Outcome(**json.loads(output))
        except (ValueError, TypeError):
            code = self.process.returncode
            cause = f" (signal {-code}, {signal.Signals(-code).name})" if code < 0 else ""
            _log_failure(errors.splitlines() or ["the import exited without output"], cause)
            return said
        changed, warnings = outcome.needs_restart, [warning for warning in outcome.warnings if warning not in said]
        level = logging.WARNING if changed or warnings or outcome.superseded else logging.INFO
        more = f"; only a restart brings into effect: {', '.join(changed)}" if changed else ""
        extra = {"changes": outcome.changes, "warnings": warnings[:_MAX_LINES], "needs_restart": changed}
        logger.log(level, "configuration reloaded: %s%s", outcome.superseded or outcome.summary, more, extra=extra)
        return frozenset(outcome.warnings)


def _content(file: IO[bytes]) -> str:
    file.seek(0)
    return file.read().decode(errors="replace")


def _log_failure(lines: Sequence[str], cause: str = "") -> None:
    message = "configuration not reloaded, users and rules stay as they were: %s%s"
    # The error is in the last line of a traceback.
    first = lines[-1] if lines[0].startswith("Traceback") else lines[0]
    logger.error(message, first, cause, extra={"problems": lines[-_MAX_LINES:]})
