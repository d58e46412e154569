"""`manage.py syncregistry --from URL`: copy the repositories of another registry into this one."""

import sys
from argparse import ArgumentParser
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

from django.core.management.base import BaseCommand, CommandError

from acl.glob import InvalidPatternError, check_glob
from core import progress as terminal
from core.command_errors import explained
from core.outgoing import addresses
from core.sizes import size_text
from distribution.caching.synchronization import Synchronization
from policies.globs import matcher
from upstreams.client import Upstream
from upstreams.exchange import Reach, UpstreamError

_GLOB = frozenset("*?[")


class Command(BaseCommand):
    """Copy, print what was left out and why, and a summary."""

    # Refuses a database without the migrations of this version, and says what to run.
    requires_migrations_checks = True
    help = (
        "Copy the repositories of another registry: tags, manifests with what they list, and what refers to them. "
        "Digests are verified, what is here is not fetched again, and the source is only read. Exit status 0: "
        "everything is here; 1: something was left out."
    )

    def add_arguments(self, parser: ArgumentParser) -> None:
        """Declare the options; `manage.py` has read --config already."""
        parser.add_argument("--from", dest="url", required=True, metavar="URL", help="As https://old.example.org.")
        parser.add_argument("--username", default="", help="Of an account there; none: anonymous.")
        parser.add_argument("--password-file", type=Path, metavar="FILE", help="The file with its password.")
        parser.add_argument("--ca-file", default="", metavar="FILE", help="Authorities besides those of the system.")
        parser.add_argument(
            "--repository",
            action="append",
            default=[],
            metavar="GLOB",
            help="Only these; repeatable. Names without * ? [ need no catalog.",
        )
        parser.add_argument("--jobs", type=int, default=4, choices=range(1, 33), metavar="N", help="Blobs at once.")
        parser.add_argument(
            "--dry-run", action="store_true", help="Count the tags that are current, and fetch nothing."
        )
        parser.add_argument("--config", metavar="FILE", help="The configuration file to run with.")

    def handle(self, *args: Any, **options: Any) -> None:
        """Copy, print, and exit with 1 when something was left out."""
        upstream = _upstream(options)
        synchronization = Synchronization(upstream, jobs=options["jobs"], is_dry_run=options["dry_run"])
        line = terminal.Progress(synchronization.report.so_far, sys.stderr)
        synchronization.on_step = line.step
        try:
            with explained():
                report = synchronization.run(_names(upstream, options["repository"]))
        except UpstreamError as error:
            raise CommandError(f"{error}; run it again, it continues") from error
        finally:
            line.end()
        for left in report.left_out:
            self.stdout.write(left)
        self.stdout.write(f"{report.so_far()}; {size_text(report.size)} fetched")
        if report.left_out:
            sys.exit(1)


def _upstream(options: dict[str, Any]) -> Upstream:
    url, file = options["url"].rstrip("/"), options["password_file"]
    try:
        # Whoever runs commands here may reach what this machine reaches.
        addresses.check_url(url, allow_http=True, allow_private=True)
    except addresses.RefusedAddressError as error:
        raise CommandError(f"--from {url}: {error}") from error
    if urlsplit(url).path or urlsplit(url).query:
        raise CommandError(f"--from {url}: the URL of a registry has no path; name repositories by --repository.")
    with explained():
        password = file.read_text(encoding="utf-8").rstrip("\r\n") if file else ""
    return Upstream(url, options["username"], password, Reach(options["ca_file"], allow_private=True))


def _names(upstream: Upstream, globs: list[str]) -> Iterator[str]:
    """Yield the names to copy. Raises UpstreamError."""
    try:
        for glob in globs:
            check_glob(glob)
    except InvalidPatternError as error:
        raise CommandError(f"--repository: {error}") from error
    if globs and not any(_GLOB.intersection(glob) for glob in globs):
        yield from dict.fromkeys(globs)
        return
    is_wanted = matcher(" ".join(globs or ["*"]))
    yield from (name for name in upstream.repositories() if is_wanted(name))
