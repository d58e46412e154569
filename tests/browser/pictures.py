"""Take a picture of every page: `python -m tests.browser.pictures [--only NAME,…] [FOLDER]`, docs/images by default.

Each page in light and dark, on a desktop and a phone: `NAME-light-desktop.png`.
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import get_args

from tests.browser.chromium import DESKTOP, PHONE, Scheme, Tab, chromium, tab
from tests.browser.demo import DemoServer, age, fill
from tests.browser.pages import PAGES, Page
from tests.clients.server import ROOT, started

SIZES = {"desktop": DESKTOP, "phone": PHONE}


def take(opened: Tab, page: Page, file: Path) -> None:
    """Take a picture of the whole page, but of the admin's, whose bar of buttons is at the lower edge, what is seen."""
    opened.open(page)
    opened.page.screenshot(path=file, full_page=not page.path.startswith("/admin/"))


def main() -> None:
    """Start a registry and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--only", default="", help="names of pages, with commas between (all)")
    options = parser.parse_args()
    wanted = set(filter(None, options.only.split(",")))
    pages = [page for page in PAGES if not wanted or page.name in wanted]
    options.folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder, started(DemoServer(Path(folder))) as server, chromium() as browser:
        fill(server)
        age(server)
        for account in sorted({page.account for page in pages}):
            for scheme in get_args(Scheme):
                for device, size in SIZES.items():
                    with tab(browser, server, size, scheme) as opened:
                        if account:
                            opened.sign_in(account)
                        for page in (page for page in pages if page.account == account):
                            take(opened, page, options.folder / f"{page.name}-{scheme}-{device}.png")


if __name__ == "__main__":
    main()
