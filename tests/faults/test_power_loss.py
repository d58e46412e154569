"""A power cut takes nothing that a client was told: the order in which the server makes things durable.

row that names the object → bytes → fsync file → fsync folder → COMMIT, fsync → answer
"""

import re
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.faults.pusher import Artifact, Pusher
from tests.faults.registry import Registry
from tests.faults.trace import Call, parse, strace, traced
from tests.images import digest_of

pytestmark = pytest.mark.client("strace")

IMAGE = Artifact(b"a layer that others mount", (b"the power", b" is cut"))
LOG = "-wal"
ELSEWHERE = "PostgreSQL commits in processes of its own"


@pytest.fixture(scope="module")
def trace(registry: Registry, tmp_path_factory: pytest.TempPathFactory) -> str:
    """Push an image, and return what the server asked of the operating system."""
    if registry.vendor != "sqlite":
        pytest.skip(ELSEWHERE)
    alice, file = Pusher(registry, "alice/power"), tmp_path_factory.mktemp("trace") / "trace"
    (worker,) = registry.workers()
    with traced(worker, file):
        alice.push(IMAGE)
    return file.read_text()


def between(calls: list[Call], names: str, file: str, after: int, before: int) -> list[Call]:
    """Return the calls of these names on a file whose path ends so, that began and succeeded between two lines."""
    return [
        call
        for call in calls
        if call.name in names.split("|")
        and call.file.endswith(file)
        and call.result >= 0
        and after < call.begun
        and call.ended < before
    ]


def answer_after(calls: list[Call], line: int) -> int:
    """Return the line at which the next answer is sent."""
    return next(call.begun for call in calls if call.is_answer and call.begun > line)


def missing(calls: list[Call], made: Call, *, is_new: bool = True) -> str:
    """Return which step is not in its place on the way of an object from its opening to the answer; empty: none."""
    answer = answer_after(calls, made.ended)
    after = made.ended
    folder = str(Path(made.file).parent)
    steps = [("write", made.file), ("fsync|fdatasync", made.file)]
    steps += [("fsync", folder)] if is_new else []
    steps += [("fsync|fdatasync", LOG)]
    for names, file in steps:
        found = between(calls, names, file, after, answer)
        if not found:
            return f"{names} of {file}"
        after = found[-1].ended if names == "write" else found[0].ended
    return ""


def late(calls: list[Call]) -> list[Call]:
    """Return the answers that are sent while something that was written to the database's log is not durable."""
    written, found = False, []
    for call in calls:
        if call.name == "pwrite64" and call.file.endswith(LOG):
            written = True
        elif call.name in ("fsync", "fdatasync") and call.file.endswith(LOG):
            written = False
        elif call.is_answer and written:
            found.append(call)
    return found


def test_an_object_is_durable_before_its_row_and_its_row_before_the_answer(trace: str) -> None:
    calls = parse(trace)
    made = [call for call in calls if call.makes_object]

    assert len(made) == len(("layer", "config"))
    assert [missing(calls, each) for each in made] == [""] * len(made)


def test_bytes_that_are_added_to_an_object_are_durable_before_they_count_and_that_before_the_answer(trace: str) -> None:
    calls = parse(trace)
    (opened,) = [call for call in calls if call.adds_to_object]

    assert missing(calls, opened, is_new=False) == ""


def test_the_end_of_an_upload_writes_to_no_object(trace: str) -> None:
    calls = parse(trace)
    (opened,) = [call for call in calls if call.adds_to_object]
    answer = answer_after(calls, opened.ended)

    assert not between(calls, "write|openat", "", answer + 1, answer_after(calls, answer))


def test_an_object_is_named_by_a_durable_row_before_it_is_made(trace: str) -> None:
    calls = parse(trace)
    for made in (call for call in calls if call.makes_object):
        name = Path(made.file).name
        written = next(call for call in calls if call.name == "pwrite64" and name in call.arguments)

        assert between(calls, "fsync|fdatasync", LOG, written.ended, made.begun)


def test_no_answer_is_sent_before_what_was_committed_is_durable(trace: str) -> None:
    calls = parse(trace)
    answers = [call.arguments.split('"')[1][9:12] for call in calls if call.is_answer]

    assert answers == ["200", "201", "202", "202", "202", "201", "201", "201"]
    assert late(calls) == []


def test_an_object_is_gone_for_good_before_its_row(registry: Registry, tmp_path: Path) -> None:
    if registry.vendor != "sqlite":
        pytest.skip(ELSEWHERE)
    alice = Pusher(registry, "alice/gone")
    alice.upload_whole(b"gone")
    alice.expect(202, "DELETE", f"blobs/{digest_of(b'gone')}")
    registry.pass_time()
    ended = registry.manage("gc", under=strace(tmp_path / "trace"))
    calls = parse((tmp_path / "trace").read_text())

    assert ended.returncode == 0, ended.stderr
    removed = [call for call in calls if call.name == "unlink" and "/objects/" in call.file]
    assert removed
    for call in removed:
        written = next(each for each in calls if each.name == "pwrite64" and each.begun > call.ended)
        assert between(calls, "fsync", str(Path(call.file).parent), call.ended, written.begun)


def without(pattern: str) -> Callable[[str], str]:
    """Return what takes a kind of line out of a trace."""
    return lambda trace: "\n".join(line for line in trace.splitlines() if not re.search(pattern, line))


def folder_first(trace: str) -> str:
    """Let the file be synced after its folder."""
    return re.sub(
        r"(?m)^(.* fsync\(\d+<\S+/objects/../\w+>.*)\n((?:.*\n){0,4}?.* fsync\(\d+<\S+/objects/..>.*)$",
        r"\2\n\1",
        trace,
    )


def written_last(trace: str) -> str:
    """Let the last bytes be written after the file was synced."""
    return re.sub(
        r"(?m)^(.* write\(\d+<\S+/objects/../\w+>.*)\n((?:.*\n){0,4}?.* fsync\(\d+<\S+/objects/../\w+>.*)$",
        r"\2\n\1",
        trace,
    )


@pytest.mark.parametrize(
    "mangled",
    [
        without(r" fsync\(\d+<\S+/objects/../\w+>"),
        without(r" fsync\(\d+<\S+/objects/..>"),
        without(r" fdatasync\(\d+<\S+-wal>"),
        folder_first,
        written_last,
    ],
)
def test_a_step_that_is_left_out_or_late_is_seen(trace: str, mangled: Callable[[str], str]) -> None:
    calls = parse(mangled(trace))

    assert any(missing(calls, call) for call in calls if call.makes_object)


@pytest.mark.parametrize(
    "mangled", [without(r" fsync\(\d+<\S+/objects/../\w+>"), without(r" fdatasync\(\d+<\S+-wal>"), written_last]
)
def test_a_step_of_an_addition_that_is_left_out_or_late_is_seen(trace: str, mangled: Callable[[str], str]) -> None:
    calls = parse(mangled(trace))

    assert any(missing(calls, call, is_new=False) for call in calls if call.adds_to_object)


def test_an_answer_that_comes_before_its_commit_is_seen(trace: str) -> None:
    assert late(parse(without(r" fdatasync\(\d+<\S+-wal>")(trace)))
