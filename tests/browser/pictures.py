"""Take the pictures of the documents: `python -m tests.browser.pictures [--all] [FOLDER]`, docs/images by default.

With --all, those of every page in light and dark, on a desktop and a phone: `NAME-light-desktop.png`.
"""

import argparse
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.browser.chromium import DESKTOP, PHONE, Scheme, Tab, chromium, tab
from tests.browser.demo import DemoServer, age, fill
from tests.browser.pages import ERRORS, PAGES, Page
from tests.clients.server import ROOT, started

SIZES = {"desktop": DESKTOP, "phone": PHONE}
KINDS: tuple[tuple[Scheme, str], ...] = (
    ("light", "desktop"),
    ("dark", "desktop"),
    ("light", "phone"),
    ("dark", "phone"),
)
# The pages of which the repository keeps pictures.
KEPT = {
    ("light", "desktop"): {
        *("repositories", "repository", "image-platforms", "comparison", "sbom", "tag-history", "manifest-deletion"),
        *("admin-overview", "admin-explain", "admin-rule", "admin-plan", "admin-audit"),
    },
    ("dark", "desktop"): {"repository", "admin-overview"},
    ("light", "phone"): {"repository"},
    ("dark", "phone"): {"admin-overview"},
}


def take(opened: Tab, page: Page, file: Path) -> None:
    """Take a picture of the whole page, or of what the window shows of the admin, whose buttons stay at its edge."""
    opened.open(page)
    opened.page.screenshot(path=file, full_page=not page.path.startswith("/admin/"))


def main() -> None:
    """Start a registry and take the pictures."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("folder", nargs="?", type=Path, default=ROOT / "docs" / "images")
    parser.add_argument("--all", action="store_true", help="of every page, in every way")
    options = parser.parse_args()
    options.folder.mkdir(parents=True, exist_ok=True)
    with TemporaryDirectory() as folder, started(DemoServer(Path(folder))) as server, chromium() as browser:
        fill(server)
        age(server)
        for scheme, device in KINDS:
            wanted = [page for page in (*PAGES, *ERRORS) if options.all or page.name in KEPT[scheme, device]]
            for account in sorted({page.account for page in wanted}):
                with tab(browser, server, SIZES[device], scheme) as opened:
                    if account:
                        opened.sign_in(account)
                    for page in (page for page in wanted if page.account == account):
                        take(opened, page, options.folder / f"{page.name}-{scheme}-{device}.png")


if __name__ == "__main__":
    main()
