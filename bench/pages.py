"""Measure the pages of a large registry: `python -m bench.pages`. Exit status 1: one takes more than LIMIT_MS of CPU.

On PostgreSQL, whose CPU time counts too: `python -m tests.postgresql python -m bench.pages`.
"""

import argparse
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from bench import bulk, prepare
from bench.bulk import Size
from bench.peers import ACCOUNT, Ours
from bench.rows import Stock
from bench.target import REPOSITORY
from tests.clients.browser import Browser

LIMIT_MS = 150.0


def paths(size: Size) -> dict[str, list[str]]:
    """Return the pages that each account opens."""
    repository = f"/repositories/{REPOSITORY}"
    middle = bulk.tag_name(size.tags // 2)
    return {
        ACCOUNT: [
            "/",
            f"/?after={bulk.repository_name(size.repositories // 2)}",
            "/?q=00042",
            "/?q=no-such-name",
            "/?sort=size",
            "/?sort=pushed",
            "/?sort=pulled",
            "/?prefix=",
            f"/?q=sha256:{'0' * 64}",
            f"/?q=no-such-name@sha256:{'0' * 64}",
            "/?q=no-such-name:v1",
            repository,
            f"{repository}?after={middle}",
            f"{repository}?sort=newest",
            f"{repository}?q=00042",
            f"{repository}?q=no-such-tag",
            f"{repository}/-/{middle}",
            f"{repository}/-/{middle}/compare?with={bulk.tag_name(0)}",
            f"{repository}/-/{middle}/history",
            f"{repository}/-/{middle}/delete",
            "/account",
        ],
        "admin": [
            "/admin/",
            "/admin/distribution/repository/",
            "/admin/distribution/tag/",
            "/admin/distribution/manifest/",
            "/admin/accounts/account/",
            "/admin/acl/rule/",
            "/admin/audit/event/",
            "/admin/gc/run/",
        ],
    }


def measure(server: Ours, size: Size, requests: int) -> bool:
    """Print the CPU time of each page, and return whether all are within LIMIT_MS."""
    is_good = True
    for account, pages in paths(size).items():
        browser = Browser(f"http://127.0.0.1:{server.address[1]}")
        browser.log_in(account) if account == "admin" else _sign_in(browser, account)
        for path in pages:
            answer = browser.get(path)
            before = server.cpu_seconds()
            for _ in range(requests):
                browser.get(path)
            spent = 1000 * (server.cpu_seconds() - before) / requests
            is_good &= spent <= LIMIT_MS and answer.status == 200
            note = "" if answer.status == 200 else f"  status {answer.status}"
            print(f"{path:<70} {spent:>7.1f} ms{note}{'  TOO SLOW' if spent > LIMIT_MS else ''}", flush=True)
    return is_good


def _sign_in(browser: Browser, account: str) -> None:
    browser.submit("/login", {"username": account, "password": f"{account}-password"})


def main(arguments: Sequence[str]) -> int:
    """Measure as the command line says and return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench.pages", description="Measure the pages.")
    parser.add_argument("--repositories", type=int, default=10_000)
    parser.add_argument("--manifests", type=int, default=1_000_000)
    parser.add_argument("--tags", type=int, default=100_000, help="of one repository")
    parser.add_argument("--requests", type=int, default=20, help="of each page (default: 20)")
    options = parser.parse_args(arguments)
    size = Size(options.repositories, options.manifests, options.tags)
    stock = Stock(large_bytes=1 << 20, names=0)
    with tempfile.TemporaryDirectory(prefix="registry-pages-") as folder:
        server = Ours(Path(folder) / "ours")
        try:
            prepare.fill(server, stock, ())
            bulk.fill(server.database_url, size, stock.image.layer.digest)
            print(f"{size.repositories} repositories, {size.manifests} manifests, {size.tags} tags in one of them")
            return 0 if measure(server, size, options.requests) else 1
        finally:
            server.stop()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
