"""Debian's chromium, driven by playwright."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Literal

from playwright.sync_api import Browser, Page, sync_playwright

from tests.browser import pages
from tests.clients.server import Server, password_of

Scheme = Literal["light", "dark"]
PATIENCE_SECONDS = 120
DESKTOP, PHONE = (1280, 900), (390, 844)
# Its sandbox does not start for root.
_OPTIONS = ["--no-sandbox", "--disable-gpu", "--disable-background-networking", "--disable-dev-shm-usage"]


@contextmanager
def chromium() -> Iterator[Browser]:
    """Run the browser during the block."""
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=shutil.which("chromium"), args=_OPTIONS)
        try:
            yield browser
        finally:
            browser.close()


@contextmanager
def tab(browser: Browser, server: Server, size: tuple[int, int] = DESKTOP, scheme: Scheme = "light") -> Iterator["Tab"]:
    """Open a tab with cookies of its own."""
    width, height = size
    context = browser.new_context(
        base_url=f"http://{server.host}", viewport={"width": width, "height": height}, color_scheme=scheme
    )
    # Far above what a page takes: other tests may have the machine.
    context.set_default_timeout(PATIENCE_SECONDS * 1000)
    try:
        yield Tab(context.new_page())
    finally:
        context.close()


class Tab:
    """A page of the browser, and what its console complained about."""

    def __init__(self, page: Page) -> None:
        self.page = page
        self.complaints: list[str] = []
        page.on("console", lambda message: self.complaints.append(message.text) if message.type == "error" else None)
        page.on("pageerror", lambda error: self.complaints.append(str(error)))
        self.requested: list[str] = []
        page.on("request", lambda request: self.requested.append(request.url))

    def sign_in(self, account: str) -> None:
        """Sign in at the pages for everybody, whose session the admin takes too."""
        self.page.goto("/login")
        self.page.get_by_label("Name").fill(account)
        self.page.get_by_label("Password").fill(password_of(account))
        self.page.get_by_role("button", name="Sign in").click()
        # Somebody with a second factor is asked for the code next.
        self.page.wait_for_url(lambda url: not url.endswith("/login"))

    def open(self, shown: pages.Page) -> None:
        """Open a page of the list."""
        self.page.goto(shown.path)
        if shown.link:
            self.page.locator("#content").get_by_role("link", name=shown.link, exact=True).first.click()
            self.page.wait_for_load_state()
