"""Anybody can use each page: axe-core finds nothing serious, a phone shows it whole, the keyboard reaches it."""

from collections import defaultdict
from typing import Any

import pytest
from axe_playwright_python.sync_playwright import Axe
from playwright.sync_api import Browser

from tests.browser.chromium import DESKTOP, PHONE, Scheme, Tab, tab
from tests.browser.demo import DemoServer
from tests.browser.pages import ERRORS, PAGES

pytestmark = pytest.mark.client("chromium")

BY_ACCOUNT = defaultdict(list)
for _page in PAGES:
    BY_ACCOUNT[_page.account].append(_page)

_WIDER = "document.documentElement.scrollWidth - document.documentElement.clientWidth"
# Buttons and links that are seen, and that Tab leaves out.
_UNREACHABLE = """
[...document.querySelectorAll("#content :is(a[href], button, input, select, textarea)")]
    .filter(one => one.checkVisibility() && !one.disabled && one.tabIndex < 0).map(one => one.outerHTML.slice(0, 200))
"""
# Parts that scroll sideways by themselves, as a table wider than its frame; preformatted text may.
_SCROLLING = """
[...document.querySelectorAll("#content *, main *")]
    .filter(one => !one.matches("pre, textarea, input, select, option") && one.checkVisibility()
        && ["auto", "scroll"].includes(getComputedStyle(one).overflowX) && one.scrollWidth > one.clientWidth + 1)
    .map(one => `${one.scrollWidth - one.clientWidth} pixels wider than its frame: ${one.outerHTML.slice(0, 100)}`)
"""
_FOCUSED = "document.activeElement.outerHTML.slice(0, 200)"


def serious(found: Any) -> list[str]:
    """Return axe's findings that keep somebody from using the page."""
    return [
        f"{one['id']}: {node['html'][:200]}"
        for one in found.response["violations"]
        if one["impact"] in ("serious", "critical")
        for node in one["nodes"]
    ]


def barriers(opened: Tab) -> list[str]:
    """Return what keeps somebody from using the open page."""
    found: list[str] = serious(Axe().run(opened.page)) + opened.page.evaluate(_UNREACHABLE)
    found += opened.page.evaluate(_SCROLLING)
    wider = opened.page.evaluate(_WIDER)
    return [*found, f"{wider} pixels wider than the window"] if wider else found


WAYS = pytest.mark.parametrize(("scheme", "size"), [("light", DESKTOP), ("dark", PHONE)], ids=["desktop", "phone"])


@WAYS
@pytest.mark.parametrize("account", sorted(BY_ACCOUNT))
def test_each_page_is_for_anybody(
    browser: Browser, demo: DemoServer, account: str, scheme: Scheme, size: tuple[int, int]
) -> None:
    found = {}
    with tab(browser, demo, size, scheme) as opened:
        if account:
            opened.sign_in(account)
        for page in BY_ACCOUNT[account]:
            opened.open(page)
            if complaints := barriers(opened):
                found[page.name] = complaints

    assert found == {}
    assert opened.complaints == []
    own = f"http://{demo.host}/"
    assert [url for url in opened.requested if not url.startswith((own, "data:", "blob:"))] == []


@WAYS
def test_each_page_of_an_error_is_for_anybody(
    browser: Browser, demo: DemoServer, scheme: Scheme, size: tuple[int, int]
) -> None:
    found = {}
    for page in ERRORS:
        with tab(browser, demo, size, scheme) as opened:
            if page.account:
                opened.sign_in(page.account)
            opened.open(page)
            assert opened.page.get_by_role("heading", level=1).inner_text() in ("Not found", "Not allowed")
            if complaints := barriers(opened):
                found[page.name] = complaints

    assert found == {}


@WAYS
def test_a_form_without_its_cookie_says_so_to_anybody(
    browser: Browser, demo: DemoServer, scheme: Scheme, size: tuple[int, int]
) -> None:
    with tab(browser, demo, size, scheme) as opened:
        opened.page.goto("/login")
        opened.page.get_by_label("Name").fill("alice")
        opened.page.get_by_label("Password").fill("alice-password")
        opened.page.context.clear_cookies()
        opened.page.get_by_role("button", name="Sign in").click()

        assert opened.page.get_by_role("heading", level=1).inner_text() == "The form was refused"
        assert barriers(opened) == []


def test_the_keyboard_signs_in_and_opens_a_repository(browser: Browser, demo: DemoServer) -> None:
    with tab(browser, demo) as opened:
        keyboard, page = opened.page.keyboard, opened.page
        page.goto("/login")
        keyboard.type("alice")
        keyboard.press("Tab")
        keyboard.type("alice-password")
        keyboard.press("Enter")
        page.wait_for_url("**/")
        for _ in range(40):
            keyboard.press("Tab")
            if "/repositories/alice/app" in page.evaluate(_FOCUSED):
                break
        keyboard.press("Enter")
        page.wait_for_url("**/repositories/alice/app")

        assert page.get_by_role("heading", level=1).inner_text() == "alice/app"


@pytest.mark.parametrize("size", [DESKTOP, PHONE], ids=["desktop", "phone"])
def test_the_keyboard_shows_and_hides_the_menu_of_the_admin(
    browser: Browser, demo: DemoServer, size: tuple[int, int]
) -> None:
    with tab(browser, demo, size) as opened:
        opened.sign_in("admin")
        opened.page.goto("/admin/acl/rule/")
        entry = opened.page.get_by_role("link", name="Access rules").first
        opened.page.get_by_role("button", name="Show or hide the menu").focus()
        seen = [entry.is_visible()]
        for _ in range(2):
            opened.page.keyboard.press("Enter")
            entry.wait_for(state="hidden" if seen[-1] else "visible", timeout=20_000)
            seen.append(entry.is_visible())

        assert seen == ([False, True, False] if size == PHONE else [True, False, True])
        assert opened.complaints == []
