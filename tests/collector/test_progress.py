"""A long run says how far it is, a short one says nothing."""

import io
from functools import partial

import pytest

from collector.report import Counts, Report, so_far
from core import progress
from core.progress import Progress


class Terminal(io.StringIO):
    def isatty(self) -> bool:
        return True


@pytest.fixture
def report() -> Report:
    report = Report()
    report.count(1, Counts(manifests=1, links=3, blobs=2, freed_bytes=1536))
    return report


@pytest.fixture
def at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(progress, "TERMINAL_SECONDS", 0)
    monkeypatch.setattr(progress, "LOG_SECONDS", 0)


def test_a_log_gets_lines(at_once: None, report: Report) -> None:
    stream = io.StringIO()
    shown = Progress(partial(so_far, report), stream)

    shown.step()
    shown.end()

    assert stream.getvalue() == "so far: 1 manifests, 3 links, 2 blobs, 1.5 KiB\n"


def test_a_terminal_gets_one_line_that_is_gone_at_the_end(at_once: None, report: Report) -> None:
    stream = Terminal()
    shown = Progress(partial(so_far, report), stream)

    shown.step()
    shown.end()

    assert stream.getvalue() == "\r\x1b[Kso far: 1 manifests, 3 links, 2 blobs, 1.5 KiB\r\x1b[K"


def test_a_short_run_says_nothing(report: Report) -> None:
    stream = Terminal()
    shown = Progress(partial(so_far, report), stream)

    shown.step()
    shown.end()

    assert stream.getvalue() == ""
