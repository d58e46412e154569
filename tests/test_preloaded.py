"""What a forked program finds is what it finds when Python starts it."""

import json
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests import preloaded

# What a program can tell about its start. The libraries alone are there already.
SCRIPT = """
import atexit, gc, json, os, signal, sys, threading
atexit.register(print, "at the end")
mask = os.umask(0)
print(json.dumps({
    "argv": sys.argv, "orig_argv": sys.orig_argv, "path": sys.path, "name": __name__, "file": __file__,
    "folder": os.getcwd(), "environment": dict(os.environ), "parent": os.getppid(),
    "is_leader": os.getsid(0) == os.getpid(),
    "umask": mask, "descriptors": sorted(os.listdir("/proc/self/fd"))[:-1], "threads": threading.active_count(),
    "signals": [str(signal.getsignal(number)) for number in sorted(signal.valid_signals())],
    "collects": gc.isenabled(), "thresholds": gc.get_threshold(), "input": sys.stdin.read(),
    "project": sorted(name for name in sys.modules if name.startswith(("tests", "registry_project", "gunicorn"))),
}))
print("to stderr", file=sys.stderr)
sys.exit(int(sys.argv[1]))
"""


@pytest.mark.parametrize("is_leader", [False, True])
def test_a_forked_program_finds_what_a_started_one_finds(tmp_path: Path, is_leader: bool) -> None:
    (tmp_path / "manage.py").write_text(SCRIPT)
    command = [sys.executable, str(tmp_path / "manage.py"), "3", "a word"]
    environment = os.environ | {"ONLY_HERE": "1"}

    started = subprocess.run(
        command,
        input="typed",
        cwd=tmp_path,
        env=environment,
        start_new_session=is_leader,
        capture_output=True,
        text=True,
        check=False,
    )
    forked = preloaded.run(
        command, text="typed", cwd=tmp_path, env=environment, start_new_session=is_leader, timeout=60
    )

    answer, end = forked.stdout.splitlines()
    assert json.loads(answer) == json.loads(started.stdout.splitlines()[0])
    assert (end, forked.stderr, forked.returncode) == ("at the end", started.stderr, started.returncode)


def test_a_forked_program_is_waited_for_and_told_as_any_child(tmp_path: Path) -> None:
    (tmp_path / "manage.py").write_text("import time; print('ready', flush=True); time.sleep(600)")

    with preloaded.Popen([sys.executable, str(tmp_path / "manage.py")], stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == "ready\n"
        assert process.poll() is None
        process.terminate()

        assert process.wait(60) == -signal.SIGTERM
