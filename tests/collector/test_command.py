"""`manage.py gc`."""

import io
import json
from collections import Counter
from collections.abc import Callable
from datetime import timedelta
from pathlib import Path

import pytest
from django.core.management import CommandError, call_command

from collector import lease
from collector.models import Job
from distribution.models import Blob, Link, Manifest, Upload
from tests.caller import Caller
from tests.collector.runs import pass_time
from tests.collector.undeletable import break_deletion
from tests.images import Image, push_blob
from tests.project.starting import manage

APP = "alice/app"
Push = Callable[..., Image]


def gc(*arguments: str) -> str:
    """Run the command and return what it printed."""
    output = io.StringIO()
    call_command("gc", *arguments, stdout=output)
    return output.getvalue()


@pytest.fixture
def untagged(push: Push, alice: Caller) -> Image:
    """Have an image without a tag, unused for two days."""
    image = push(APP, "v1", b"x" * 2048)
    alice.delete(f"/v2/{APP}/manifests/v1")
    pass_time()
    return image


def test_gc_keeps_untagged_manifests_by_default(untagged: Image) -> None:
    gc()

    assert Manifest.objects.exists()


def test_gc_removes_untagged_manifests_when_told(untagged: Image) -> None:
    gc("--delete-untagged")

    assert not Manifest.objects.exists()


def test_gc_removes_untagged_manifests_when_configured(untagged: Image, configured: Callable[..., None]) -> None:
    configured(remove_untagged=True)

    gc()

    assert not Manifest.objects.exists()


def test_gc_takes_the_grace_period_of_the_configuration(alice: Caller, configured: Callable[..., None]) -> None:
    push_blob(alice, APP, b"x")
    pass_time()
    configured(grace_period=timedelta(days=7))

    gc()

    assert Link.objects.exists()


def test_gc_takes_the_grace_period_of_the_command_line(alice: Caller) -> None:
    push_blob(alice, APP, b"x")
    pass_time(timedelta(hours=2))

    gc("--grace-period", "1h30m")

    assert not Blob.objects.exists()


def test_gc_refuses_what_is_no_duration() -> None:
    with pytest.raises(CommandError, match='as "24h"'):
        gc("--grace-period", "soon")


def test_gc_prints_a_table_of_what_it_removed(untagged: Image, alice: Caller) -> None:
    push_blob(alice, "alice/young", b"y" * 1024)

    lines = [line.split() for line in gc("--delete-untagged").splitlines()]

    assert lines[0] == ["repository", "manifests", "links", "blobs", "freed", "after", "grace"]
    assert lines[1][:5] == [APP, "1", "2", "2", "4.0"]
    assert lines[2] == ["alice/young", "0", "0", "0", "0", "B", "1.0", "KiB"]
    assert lines[3][:4] == ["total", "1", "2", "2"]


def test_gc_says_what_waits_in_the_trash(alice: Caller) -> None:
    push_blob(alice, APP, b"bytes")
    pass_time()

    said = gc()

    assert "1 object in the trash: a running server deletes each 15 minutes after" in said


def test_a_dry_run_lists_what_would_go_and_changes_nothing(untagged: Image) -> None:
    output = gc("--delete-untagged", "--dry-run")

    assert f"would remove manifest {APP} {untagged.digest}: no tag, index or subject keeps it" in output
    assert f"would remove blob {APP} {untagged.layers[0]}: no repository links it any more" in output
    assert Manifest.objects.exists()


def test_a_dry_run_prints_the_table_of_the_run(untagged: Image, alice: Caller) -> None:
    push_blob(alice, "alice/young", b"young")
    expected, done = gc("--delete-untagged", "--dry-run"), gc("--delete-untagged")

    tables = [
        [line for line in output.splitlines() if line.startswith(("alice", "total"))] for output in (expected, done)
    ]

    assert tables[0] == tables[1]
    assert len(tables[0]) == 3


def test_gc_with_a_broken_row_exits_with_1(alice: Caller) -> None:
    push_blob(alice, APP, b"x")
    pass_time()
    break_deletion("distribution_link", Link.objects.get().pk)

    with pytest.raises(SystemExit, match="1"):
        gc()


def test_gc_runs_with_the_configuration_that_it_names(tmp_path: Path) -> None:
    config = tmp_path / "elsewhere.yaml"
    config.write_text("storage: {filesystem: {rootdirectory: store}}")
    (tmp_path / "store/objects/00").mkdir(parents=True)
    manage(tmp_path, "migrate", "--verbosity=0", more={"CONFIG_PATH": str(config)})

    done = manage(tmp_path, "gc", "--config", str(config))

    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("repository")


def test_gc_beside_another_run_says_who_runs_and_exits_with_3(db: None) -> None:
    with lease.acquire(Job.COLLECTION), pytest.raises(CommandError, match=r"in progress: .+, process \d+") as refusal:
        gc()

    assert refusal.value.returncode == 3


def test_a_dry_run_beside_another_run_is_fine(db: None) -> None:
    with lease.acquire(Job.COLLECTION):
        assert "total" in gc("--dry-run")


def test_gc_is_confined_to_the_repositories_named(alice: Caller) -> None:
    for name in ("alice/app", "alice/application", "alice/other"):
        push_blob(alice, name, name.encode())
        alice.post(f"/v2/{name}/blobs/uploads/")
    pass_time()
    expected = gc("--dry-run", "--repository", "alice/app*")

    done = gc("--repository", "alice/app*")

    assert list(Link.objects.values_list("repository__name", flat=True)) == ["alice/other"]
    assert list(Upload.objects.values_list("repository__name", flat=True)) == ["alice/other"]
    assert "alice/other" not in expected + done


def test_gc_refuses_what_is_no_pattern() -> None:
    with pytest.raises(CommandError, match="--repository"):
        gc("--repository", "[")


def test_gc_ends_in_time_and_the_next_run_goes_on(alice: Caller) -> None:
    for content in (b"one", b"two"):
        push_blob(alice, APP, content)
    pass_time()

    output = gc("--max-seconds", "0")

    assert "The run was stopped (out of time)" in output
    assert Link.objects.count() == 1


def test_a_dry_run_ends_in_time_and_says_that_not_all_is_listed(untagged: Image) -> None:
    output = gc("--dry-run", "--delete-untagged", "--max-seconds", "0")

    assert "stopped (out of time): not all is listed" in output
    assert "would remove blob" not in output


@pytest.mark.parametrize("seconds", ["nan", "inf", "-inf", "-1", "1e999", "soon", ""])
def test_gc_refuses_what_is_no_number_of_seconds(seconds: str) -> None:
    with pytest.raises(CommandError, match=f'--max-seconds: "{seconds}" is no number of seconds'):
        gc(f"--max-seconds={seconds}")


def test_gc_refuses_a_wrong_option_with_exit_status_2(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text("storage: {filesystem: {rootdirectory: store}}")

    done = manage(tmp_path, "gc", "--max-seconds", "nan", more={"CONFIG_PATH": str(tmp_path / "config.yaml")})

    assert done.returncode == 2
    assert done.stderr.endswith('--max-seconds: "nan" is no number of seconds, as 600 or 0.5\n')


def test_gc_prints_json_when_asked_to(untagged: Image) -> None:
    *findings, last = [json.loads(line) for line in gc("--delete-untagged", "--dry-run", "--json").splitlines()]

    kinds = [finding["would_remove"]["kind"] for finding in findings]
    assert Counter(kinds) == {"manifest": 1, "link": 2, "blob": 2}
    assert findings[0]["would_remove"]["name"] == untagged.digest
    assert (last["dry_run"], last["repositories"][0]["repository"], last["total"]["blobs"]) == (True, APP, 2)
