"""Time pages of a large catalog and of a repository with many tags, against the same pages of small ones.

Run `python -m bench.listing [--rows 100000]`; REGISTRY_DATABASE_URL names a PostgreSQL to measure there. The
database is made for the run: a SQLite file in a temporary folder, or the named one, which must be empty.
"""

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

PAGE = 100
ROUNDS = 200


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    rows = parser.parse_args().rows
    with tempfile.TemporaryDirectory(prefix="registry-bench-") as folder:
        prepare(Path(folder))
        measure(rows)
    return 0


def prepare(folder: Path) -> None:
    """Load Django on a database of this run."""
    configuration = folder / "config.yaml"
    configuration.write_text("storage: {filesystem: {rootdirectory: data}}\n")
    os.environ["CONFIG_PATH"] = str(configuration)
    os.environ["DJANGO_SETTINGS_MODULE"] = "registry_project.settings"
    sys.path.insert(0, str(Path(__file__).resolve().parent.parent))
    import django
    from django.core.management import call_command

    django.setup()
    call_command("migrate", verbosity=0)


def measure(rows: int) -> None:
    """Print the median time of a page at the beginning, in the middle and at the end, small and large."""
    from django.db import connection

    from accounts import epoch
    from accounts.identity import Identity
    from acl import grants
    from acl.models import Rule
    from acl.names import parse_name
    from distribution import repositories, tags
    from distribution.models import Repository, Tag

    Rule.objects.create(subject_kind="account", subject="reader", name="big/*", actions="pull")
    Rule.objects.create(subject_kind="account", subject="small", name="little/*", actions="pull")
    fill(rows, "big")
    fill(PAGE * 3, "little")
    with connection.cursor() as cursor:
        cursor.execute("ANALYZE")
    print(f"{Repository.objects.count()} repositories, {Tag.objects.count()} tags")

    for name, account, size in (("little", "small", PAGE * 3), ("big", "reader", rows)):
        rules = grants.rules_of(Identity(account), epoch.current())
        tagged = parse_name(f"{name}/tagged")
        for place, last in (("first", 0), ("middle", size // 2), ("last", size - PAGE)):
            took = median(partial(repositories.catalog, PAGE, f"{name}/r{last:07}", rules))
            print(f"catalog of {size:>7}, {place:>6} page: {took:7.2f} ms")
            took = median(partial(tags.page, tagged, PAGE, f"t{last:07}"))
            print(f"tags    of {size:>7}, {place:>6} page: {took:7.2f} ms")


def fill(rows: int, name: str) -> None:
    """Make `rows` repositories, and one with `rows` tags."""
    from django.utils import timezone

    from distribution.models import Manifest, Repository, Tag

    now = timezone.now()
    names = [*(f"{name}/r{n:07}" for n in range(rows)), f"{name}/tagged"]
    made = Repository.objects.bulk_create([Repository(name=n, is_listed=True) for n in names], batch_size=5000)
    manifest = Manifest.objects.create(
        repository=made[-1], digest=f"sha256:{name}", payload=b"{}", size=2, used_at=now, is_idle=False
    )
    Tag.objects.bulk_create(
        [Tag(repository=made[-1], name=f"t{n:07}", manifest=manifest, updated_at=now) for n in range(rows)],
        batch_size=5000,
    )


def median(act: Callable[[], object]) -> float:
    """Return the median of ROUNDS times, in milliseconds."""
    times = []
    for _ in range(ROUNDS):
        start = time.perf_counter()
        act()
        times.append((time.perf_counter() - start) * 1000)
    return statistics.median(times)


if __name__ == "__main__":
    sys.exit(main())
