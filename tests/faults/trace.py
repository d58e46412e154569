"""What a process asked of the operating system, as strace tells it."""

import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from pathlib import Path

PATIENCE_SECONDS = 60.0
CALLS = ("openat", "write", "pwrite64", "fsync", "fdatasync", "unlink", "sendto")

_WHOLE = re.compile(r"(?P<thread>\d+) +(?P<name>\w+)\((?P<arguments>.*)\) += (?P<result>-?\d+|\?)")
_BEGUN = re.compile(r"(?P<thread>\d+) +(?P<name>\w+)\((?P<arguments>.*) <(?:unfinished|detached) \.\.\.>")
_ENDED = re.compile(r"(?P<thread>\d+) +<\.\.\. (?P<name>\w+) resumed>.*\) += (?P<result>-?\d+|\?)")
_FILE = re.compile(r"\d+<([^>]*)>")


@dataclass(frozen=True, slots=True)
class Call:
    """One call; `begun` and `ended` are lines of the trace, `result` is -1 for one that failed or never ended."""

    thread: str
    name: str
    arguments: str
    begun: int
    ended: int
    result: int = -1

    @property
    def file(self) -> str:
        """The path of the file, folder or socket that it is about; of `openat` and `unlink`, what it names."""
        if self.name in ("openat", "unlink"):
            return self.arguments.split('"')[1]
        found = _FILE.match(self.arguments)
        return found[1] if found else ""

    @property
    def is_answer(self) -> bool:
        """Whether it sends the head of a response."""
        return self.name == "sendto" and '"HTTP/1.1 ' in self.arguments

    @property
    def makes_object(self) -> bool:
        """Whether it makes a new object of the storage."""
        return self.name == "openat" and "/objects/" in self.file and "O_CREAT" in self.arguments

    @property
    def adds_to_object(self) -> bool:
        """Whether it opens an object of the storage to write more to it."""
        return self.name == "openat" and "/objects/" in self.file and "O_WRONLY|O_NOFOLLOW" in self.arguments


def parse(text: str) -> list[Call]:
    """Return the calls of a trace, in the order in which they began."""
    calls: dict[int, Call] = {}
    waiting: dict[str, int] = {}
    for number, line in enumerate(text.splitlines()):
        if found := _BEGUN.match(line):
            waiting[found["thread"]] = number
            calls[number] = Call(found["thread"], found["name"], found["arguments"], number, 10**9)
        elif found := _ENDED.match(line):
            begun = waiting.pop(found["thread"], None)
            if begun is not None:
                calls[begun] = replace(calls[begun], ended=number, result=_result(found["result"]))
        elif found := _WHOLE.match(line):
            result = _result(found["result"])
            calls[number] = Call(found["thread"], found["name"], found["arguments"], number, number, result)
    return [calls[number] for number in sorted(calls)]


def _result(text: str) -> int:
    return -1 if text == "?" else int(text)


def strace(file: Path, *options: str) -> list[str]:
    """Return the command that traces what follows it into `file`."""
    # A whole page of a database is shown.
    return ["strace", "-f", "-yy", "-s", "4096", "-o", str(file), "-e", f"trace={','.join(CALLS)}", *options]


@contextmanager
def traced(process: int, file: Path, *options: str) -> Iterator[None]:
    """Trace all threads of a running process into `file`; `options` are strace's own. Raises AssertionError."""
    command = strace(file, "-p", str(process), *options)
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True) as tracer:
        assert tracer.stderr is not None
        said = tracer.stderr.readline()
        assert "attached" in said, said
        try:
            _wait_until_traced(process)
            yield
        finally:
            tracer.send_signal(signal.SIGINT)
            tracer.communicate()


def _wait_until_traced(process: int) -> None:
    """Return once no thread of the process goes on untraced."""
    deadline = time.monotonic() + PATIENCE_SECONDS
    while any(_tracer(status) == "0" for status in Path(f"/proc/{process}/task").glob("*/status")):
        assert time.monotonic() < deadline, "strace does not see every thread"
        time.sleep(0.01)


def _tracer(status: Path) -> str:
    """Return the process id of who traces a thread; nothing of a thread that has just ended."""
    with suppress(FileNotFoundError, ProcessLookupError):
        return next(line.split()[1] for line in status.read_text().splitlines() if line.startswith("TracerPid:"))
    return ""
