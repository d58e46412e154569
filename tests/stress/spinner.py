"""Collect again and again: `python -m tests.stress.spinner GRACE_SECONDS PACE FOLDER`, with CONFIG_PATH.

PACE is "real", as a run goes, or "hurry", without its pauses. A child does it until it is killed, and the next one
goes on at once: it has nothing to load. Each child's process id is a line of the output; what it did so far is a
JSON object in the file of that name in FOLDER, written over and over.
"""

import json
import os
import signal
import sys
import time
from contextlib import suppress
from dataclasses import asdict
from datetime import timedelta
from pathlib import Path

WRITE_SECONDS = 0.1
BREATH_SECONDS = 0.02
RUNS_A_LOOK = 10
# In place of fifteen minutes and a day.
TRASH_DELAY = timedelta(seconds=5)
UPLOAD_EXPIRY = timedelta(seconds=20)


def main() -> None:
    """Load Django, and let one child after the other spin; end when one ended by itself."""
    os.environ["DJANGO_SETTINGS_MODULE"] = "registry_project.settings"
    import django

    django.setup()
    while True:
        child = os.fork()
        if not child:
            # By itself: the parent may be killed before it could.
            sys.stdout.write(f"{os.getpid()}\n")
            sys.stdout.flush()
            spin(timedelta(seconds=float(sys.argv[1])), sys.argv[2], Path(sys.argv[3]) / str(os.getpid()))
        _, status = os.waitpid(child, 0)
        if os.waitstatus_to_exitcode(status) != -signal.SIGKILL:
            sys.exit(1)


def spin(grace: timedelta, pace: str, file: Path) -> None:
    """Collect everything that is due under `grace`; look ahead now and then, as a run and a dry run do."""
    from collector import collection
    from collector.policy import Policy
    from collector.report import Report
    from collector.throttle import StopError, Throttle

    policy, report, written_at, runs = Policy(grace, remove_untagged=True), Report(), 0.0, 0

    def write() -> None:
        nonlocal written_at
        if time.monotonic() - written_at > WRITE_SECONDS:
            written_at = time.monotonic()
            # Whole, or as it was: a kill may come at any moment.
            written = file.with_suffix(".new")
            written.write_text(json.dumps(counts_of(report, runs)))
            written.replace(file)

    class Hurry(Throttle):
        """Makes way for nobody."""

        def pause(self, started_at: float) -> None:
            """Say how far it is."""
            write()

    while True:
        # While a server has renewals that it could not write in time, a run ends; the job tries again as well.
        with suppress(StopError):
            collection.collect(policy, report, Hurry() if pace == "hurry" else Throttle(write))
            runs += 1
        write()
        if runs % RUNS_A_LOOK == 0:
            hasten()
            list(collection.forecast(policy, Report()))
        # Where nothing is due, the processor is for those who make it so.
        time.sleep(BREATH_SECONDS)


def counts_of(report: object, runs: int) -> dict[str, int]:
    """Return what was done so far, by name."""
    from collector.report import Report

    assert isinstance(report, Report)
    total = asdict(report.total)
    names = ("uploads", "objects", "busy", "failures")
    rows = {name: total[name] for name in ("manifests", "links", "blobs")}
    return rows | {name: getattr(report, name) for name in names} | {"runs": runs}


def hasten() -> None:
    """Make trash due after TRASH_DELAY, and uploads after UPLOAD_EXPIRY."""
    from django.db.models.functions import Now

    from distribution.models import Trash, Upload
    from distribution.storage import trash
    from distribution.uploads.sessions import EXPIRY as REAL_EXPIRY

    Trash.objects.filter(delete_after__lt=Now() + trash.DELAY - TRASH_DELAY).update(delete_after=Now())
    old = Upload.objects.filter(active_at__lt=Now() - UPLOAD_EXPIRY, leased_until=None)
    old.update(active_at=Now() - REAL_EXPIRY - UPLOAD_EXPIRY)


if __name__ == "__main__":
    main()
