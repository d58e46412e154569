"""Log lines for a descriptor that has room, or none, or no reader any more."""

import fcntl
import json
import os
import socket
import threading
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path

import pytest

from core.stderr import LineWriter

# The one writer of a process is never closed.
pytestmark = pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")

LINE = "x" * 1000
# More lines than a pipe or a socket of Linux takes.
MANY = 2000


@contextmanager
def pipe() -> Iterator[tuple[int, int]]:
    """Return both ends of a pipe, that to be read without waiting."""
    reader, writer = os.pipe()
    os.set_blocking(reader, False)
    with ExitStack() as stack:
        stack.callback(os.close, writer)
        stack.callback(os.close, reader)
        yield reader, writer


@contextmanager
def sockets() -> Iterator[tuple[int, int]]:
    """Return both ends of a stream, as systemd gives one to a service."""
    near, far = socket.socketpair()
    far.setblocking(False)
    with near, far:
        yield far.fileno(), near.fileno()


def lines(reader: int) -> list[str]:
    """Return what can be read without waiting."""
    data = bytearray()
    while True:
        try:
            piece = os.read(reader, 1 << 20)
        except BlockingIOError:
            return data.decode().splitlines()
        if not piece:
            return data.decode().splitlines()
        data += piece


@pytest.mark.parametrize("ends", [pipe, sockets])
def test_lines_are_written_whole_and_in_order(ends: type) -> None:
    with ends() as (reader, descriptor):
        writer = LineWriter(descriptor)
        for number in range(10):
            writer.write(f"line {number} \udc80")

        assert lines(reader) == [f"line {number} \\udc80" for number in range(10)]


@pytest.mark.parametrize("ends", [pipe, sockets])
def test_a_reader_that_stands_still_stops_nobody_and_is_told_what_is_missing(ends: type) -> None:
    with ends() as (reader, descriptor):
        writer = LineWriter(descriptor, patience_seconds=0.01)
        for _ in range(MANY):
            writer.write(LINE)
        written = lines(reader)
        writer.write("again")
        notice, again = [line for line in lines(reader) if line]

        assert again == "again"
        missing = json.loads(notice)
        assert missing["lines"] + written.count(LINE) == MANY
        assert (missing["level"], missing["logger"]) == ("warning", "core.stderr")


def test_a_reader_that_is_slow_misses_nothing() -> None:
    with pipe() as (reader, descriptor):
        writer = LineWriter(descriptor, patience_seconds=60)
        found: list[str] = []
        os.set_blocking(reader, True)

        def read() -> None:
            with open(reader, closefd=False) as file:
                found.extend(line.rstrip() for _, line in zip(range(MANY), file, strict=False))

        thread = threading.Thread(target=read)
        thread.start()
        for _ in range(MANY):
            writer.write(LINE)
        thread.join()

        assert found == [LINE] * MANY


def test_a_line_longer_than_the_pipe_is_cut_and_the_next_one_begins_anew() -> None:
    with pipe() as (reader, descriptor):
        writer = LineWriter(descriptor, patience_seconds=0.01)
        writer.write("y" * (1 << 20))
        (cut,) = lines(reader)
        writer.write("next")

        assert set(cut) == {"y"}
        assert lines(reader)[-1] == "next"


def test_a_reader_that_is_gone_stops_nobody() -> None:
    reader, descriptor = os.pipe()
    writer = LineWriter(descriptor)
    os.close(reader)

    writer.write(LINE)

    os.close(descriptor)


def test_a_descriptor_that_is_closed_stops_nobody() -> None:
    reader, descriptor = os.pipe()
    os.close(reader)
    os.close(descriptor)

    LineWriter(descriptor).write(LINE)


def test_a_file_is_written_where_others_write_it(tmp_path: Path) -> None:
    file = tmp_path / "log"
    # As a shell's `2>` opens it: not for appending, and with one position for all who have it.
    descriptor = os.open(file, os.O_WRONLY | os.O_CREAT)
    writer = LineWriter(descriptor)

    writer.write("first")
    os.write(descriptor, b"somebody else\n")
    writer.write("last")

    os.close(descriptor)
    assert file.read_text() == "first\nsomebody else\nlast\n"


def test_the_descriptor_goes_on_to_wait_for_those_who_share_it() -> None:
    with pipe() as (_, descriptor):
        LineWriter(descriptor).write(LINE)

        assert not fcntl.fcntl(descriptor, fcntl.F_GETFL) & os.O_NONBLOCK


def test_a_pipe_that_may_not_be_opened_again_stops_nobody_either(monkeypatch: pytest.MonkeyPatch) -> None:
    with pipe() as (reader, descriptor):
        monkeypatch.setattr(os, "open", _refused)
        writer = LineWriter(descriptor, patience_seconds=0.01)
        for _ in range(MANY):
            writer.write(LINE)

        assert 0 < lines(reader).count(LINE) < MANY


def _refused(*_: object) -> int:
    raise PermissionError
