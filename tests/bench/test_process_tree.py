"""CPU time and memory are those of a process and all that it started."""

import os
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager

from bench import process_tree

# Burns its CPU-seconds, holds its MiB for a moment, says so, and waits to be ended.
BUSY = """
import sys, time
held = b"x" * (int(sys.argv[2]) << 20)
del held
while time.process_time() < float(sys.argv[1]): pass
print("done", flush=True)
sys.stdin.read()
"""
# Has one child that ends, one that goes on, started from a thread.
PARENT = f"""
import subprocess, sys, threading
busy = [sys.executable, "-c", {BUSY!r}, "0.2", "64"]
subprocess.run(busy, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL)
def start():
    child = subprocess.Popen(busy, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    child.stdout.readline()
    print("done", flush=True)
    sys.stdin.read()
    child.communicate()
threading.Thread(target=start).start()
"""


@contextmanager
def running(*arguments: str) -> Iterator[int]:
    """Run Python until it says that it is done, yield its process id, and end it."""
    command = [sys.executable, "-c", *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        process.stdout.readline()
        yield process.pid
        process.stdin.close()


def test_the_time_of_children_counts_whether_they_ended_or_not() -> None:
    with running(PARENT) as pid:
        used = process_tree.cpu_seconds(pid)

        assert used >= 0.4 - 4 / process_tree.TICKS_PER_SECOND


def test_a_child_that_a_thread_started_belongs_to_the_tree() -> None:
    with running(PARENT) as pid:
        found = process_tree.pids(pid)

        assert found[0] == pid
        assert len(found) == 2


def test_a_peak_is_remembered_until_it_is_forgotten() -> None:
    with running(BUSY, "0", "64") as pid:
        before = process_tree.peak_resident(pid)
        process_tree.forget_peak(pid)
        after = process_tree.peak_resident(pid)

        assert before - after > 60 << 20
        assert after > 0


def test_a_process_that_is_gone_used_nothing() -> None:
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()

        assert process_tree.peak_resident(process.pid) == 0
        assert process_tree.cpu_seconds(process.pid) == 0
        assert process.pid != os.getpid()
