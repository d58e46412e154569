"""Commands as a person types them at a terminal, with a password where one is asked for."""

import os
import pty
import re
import select
import subprocess
from pathlib import Path

PROMPT = re.compile(rb"assword[^\n]*: ?\Z")
PATIENCE_SECONDS = 120


def type_in(commands: str, password: str, folder: Path, environment: dict[str, str]) -> str:
    """Run `commands` in `folder` until one fails, and return what the terminal showed; fail when one did."""
    terminal, end = pty.openpty()
    try:
        # A terminal of its own (--ctty), since curl asks for passwords there and not on standard input.
        process = subprocess.Popen(
            ["setsid", "--ctty", "--wait", "sh", "-euxc", commands],
            cwd=folder,
            env=_own_environment() | environment,
            stdin=end,
            stdout=end,
            stderr=end,
        )
        os.close(end)
        shown = _answer_prompts(terminal, password).decode(errors="replace")
        assert process.wait(PATIENCE_SECONDS) == 0, shown
    finally:
        os.close(terminal)
    return shown


def _own_environment() -> dict[str, str]:
    """Return the environment less what the tests themselves run with: a person has no such settings."""
    return {name: value for name, value in os.environ.items() if not name.startswith(("REGISTRY_", "DJANGO_"))}


def _answer_prompts(terminal: int, password: str) -> bytes:
    """Read until nobody holds the other end, and return what came."""
    shown, answered = b"", 0
    while select.select([terminal], [], [], PATIENCE_SECONDS)[0]:
        try:
            shown += os.read(terminal, 65536)
        except OSError:  # Linux says so when the last program has closed the terminal
            return shown
        if PROMPT.search(shown, answered):
            answered = len(shown)
            os.write(terminal, f"{password}\n".encode())
    raise AssertionError(f"nothing happens at the terminal:\n{shown.decode(errors='replace')}")
