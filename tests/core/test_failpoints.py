"""`REG_FAILPOINTS`: what it may say, and that every failpoint is somewhere."""

import ast
import errno
import multiprocessing
import os
import signal
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.failpoints import NAMES, FailpointError, arm, failpoint
from tests.clients.server import ROOT
from tests.project.starting import manage, start


@pytest.fixture(autouse=True)
def _disarmed() -> Iterator[None]:
    yield
    arm("")


def _placed(file: Path) -> Iterator[str]:
    """Yield what the calls of `failpoint` in a file name."""
    for node in ast.walk(ast.parse(file.read_text())):
        match node:
            case ast.Call(func=ast.Name(id="failpoint"), args=[ast.Constant(value=str(name))]):
                yield name


def test_each_failpoint_of_the_table_is_in_one_module_and_steps_of_s3_have_the_names_of_the_disk() -> None:
    folders = (
        "backup",
        "core",
        "database_copy",
        "distribution",
        "gc",
        "registry_copy",
        "startup",
        "storage_copy",
        "webhooks",
    )
    files = {file for folder in folders for file in ROOT.glob(f"{folder}/**/*.py")}
    of_s3 = set(ROOT.glob("distribution/storage/s3*.py"))

    placed = Counter(name for file in files - of_s3 for name in set(_placed(file)))

    in_s3 = Counter(name for file in of_s3 for name in set(_placed(file)))
    # A file has no such steps.
    multipart = {name for name in NAMES if name.startswith("multipart.")}

    assert placed == Counter(dict.fromkeys(set(NAMES) - multipart, 1))
    assert {name: in_s3[name] for name in multipart} == dict.fromkeys(multipart, 1)
    assert in_s3.keys() - multipart <= set(_placed(ROOT / "distribution/storage/local.py"))


def test_a_failpoint_that_is_not_set_does_nothing() -> None:
    arm("upload.write=error:EIO")
    failpoint("upload.fsync")
    arm("")

    failpoint("upload.write")


def test_a_step_fails_with_the_error_that_is_asked_for() -> None:
    arm("upload.write=error:EIO")

    with pytest.raises(OSError, match="Input/output error") as failure:
        failpoint("upload.write")
    assert failure.value.errno == errno.EIO


def test_a_failpoint_with_a_number_acts_at_that_passing_only() -> None:
    arm("upload.write=error:EIO@2")

    failpoint("upload.write")
    with pytest.raises(OSError, match="Input/output error"):
        failpoint("upload.write")
    failpoint("upload.write")


def test_a_process_sleeps_as_long_as_it_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    slept: list[float] = []
    monkeypatch.setattr(time, "sleep", slept.append)
    arm("collect.before_link_commit=sleep:0.5")

    failpoint("collect.before_link_commit")

    assert slept == [0.5]


def _go_past() -> None:
    arm("upload.after_fsync=kill")
    failpoint("upload.after_fsync")


def test_a_process_is_killed_as_by_kill_9() -> None:
    process = multiprocessing.get_context("fork").Process(target=_go_past)

    process.start()
    process.join(60)

    assert process.exitcode == -signal.SIGKILL


def _stand_still() -> None:
    arm("upload.after_fsync=stop")
    failpoint("upload.after_fsync")


def test_a_process_stands_still_until_it_is_told_to_go_on() -> None:
    process = multiprocessing.get_context("fork").Process(target=_stand_still)

    process.start()
    assert process.pid is not None
    _, status = os.waitpid(process.pid, os.WUNTRACED)
    os.kill(process.pid, signal.SIGCONT)
    process.join(60)

    assert os.WIFSTOPPED(status)
    assert process.exitcode == 0


def test_several_failpoints_are_set_at_once() -> None:
    arm(" upload.write = error:EIO ; upload.fsync=error:ENOSPC; ")

    for name, number in (("upload.write", errno.EIO), ("upload.fsync", errno.ENOSPC)):
        with pytest.raises(OSError, match=r"\[Errno") as failure:
            failpoint(name)
        assert failure.value.errno == number


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("upload.after_fsink=kill", "'upload.after_fsink' is no failpoint; there are upload.before_start, "),
        ("kill", "'kill' is no failpoint"),
        ("upload.write", "'upload.write' asks for none of kill, stop, sleep:SECONDS, error:NAME"),
        ("upload.write=die", "asks for none of kill"),
        ("upload.write=kill:9", "asks for none of kill"),
        ("upload.write=stop:9", "asks for none of kill"),
        ("upload.write=error:EBAD", "asks for none of kill"),
        ("upload.write=sleep:long", "asks for none of kill"),
        ("upload.write=sleep:inf", "asks for none of kill"),
        ("upload.write=sleep:-1", "asks for none of kill"),
        ("upload.write=kill@0", "has '0' after the @ instead of a number"),
        ("upload.write=kill@", "has '' after the @ instead of a number"),
        ("upload.write=kill; upload.wriet=kill", "'upload.wriet' is no failpoint"),
    ],
)
def test_what_no_failpoint_can_do_is_refused(text: str, complaint: str) -> None:
    with pytest.raises(FailpointError, match=r"^REG_FAILPOINTS: ") as refusal:
        arm(text)

    assert complaint in str(refusal.value)


def test_a_server_does_not_start_with_a_failpoint_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("{}\n")

    ended = start(tmp_path, more={"REG_FAILPOINTS": "upload.after_fsink=kill"})

    assert (ended.returncode, ended.stderr.count("\n")) == (1, 1)
    assert ended.stderr.startswith("REG_FAILPOINTS: 'upload.after_fsink' is no failpoint")


def test_no_command_starts_with_a_failpoint_that_is_none(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("{}\n")

    ended = manage(tmp_path, "migrate", more={"REG_FAILPOINTS": "collect=kill"})

    assert (ended.returncode, ended.stdout, ended.stderr.count("\n")) == (1, "", 1)
    assert ended.stderr.startswith("REG_FAILPOINTS: 'collect' is no failpoint")
