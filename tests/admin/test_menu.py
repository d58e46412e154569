"""The menu of the admin."""

import re

import pytest

from tests.admin.browser import Browser, staff


def menu_of(page: str) -> dict[str, str]:
    """Return the links of the menu: title and path."""
    side = page.partition('id="nav-sidebar-apps"')[2].partition("</nav>")[0]
    items = re.findall(r'<a href="([^"]+)" class="[^"]*h-\[38px\].*?<span>([^<]+)</span>', side, re.DOTALL)
    return {title: path for path, title in items}


def test_the_menu_has_a_page_for_every_task(admin: Browser) -> None:
    menu = menu_of(admin.text("/admin/"))

    assert list(menu) == [
        *("Overview", "Repositories", "Tags", "Manifests", "Blobs", "Uploads"),
        *("Accounts", "Groups", "Access rules", "Explain", "Access tokens", "Trusted issuers", "Docker logins"),
        *("Immutable tags", "Quotas", "Proxies", "Read-only mode"),
        *("Collection runs", "Scrub", "Webhooks", "Audit", "My password", "My second factor"),
    ]
    for path in menu.values():
        admin.text(path)


def test_the_menu_shows_only_what_one_may_see(cast: None) -> None:
    menu = menu_of(staff("onlooker", "view_rule").text("/admin/"))

    assert list(menu) == ["Overview", "Access rules", "Explain", "My password", "My second factor"]


@pytest.mark.parametrize(
    ("path", "active"),
    [
        ("/admin/", "Overview"),
        ("/admin/acl/rule/add/", "Access rules"),
        ("/admin/acl/rule/explain/", "Explain"),
        ("/admin/gc/runfinding/", "Collection runs"),
    ],
)
def test_the_menu_marks_the_page_that_is_open(admin: Browser, path: str, active: str) -> None:
    sections = admin.get(path).context["sidebar_navigation"]

    assert [item["title"] for section in sections for item in section["items"] if item["active"]] == [active]


def test_the_name_of_an_account_keeps_its_small_letter(admin: Browser) -> None:
    page = admin.text("/admin/accounts/account/?q=alice")
    path = re.search(r"/admin/accounts/account/\d+/change/", page)
    assert path is not None

    heading = admin.text(path[0]).partition("<h1")[2].partition("</h1>")[0]

    assert "alice" in heading
    assert "Alice" not in heading
