"""The admin of the real server, on plain HTTP and without a public_url."""

import re
import time

from tests.clients.browser import Browser
from tests.clients.server import Server

ASKED = 24
ASKED_FOR = "SELECT state, started_by FROM gc_run WHERE \"trigger\" = 'admin'"


def rule_page(browser: Browser, account: str) -> str:
    """Return the path of the page of the one rule for `account`."""
    (path,) = set(
        re.findall(r"/admin/acl/rule/\d+/change/", browser.get(f"/admin/acl/rule/?q={account}").body.decode())
    )
    return str(path)


def every_worker_answers(server: Server, token: str) -> set[int]:
    """Return what workers answer to bob, who pulls the tags of the missing alice/app: 404 if he may, else 401.

    Each request has a connection of its own, for whichever worker is the first to take it.
    """
    bearer = f"Bearer {token}"
    answers = [server.request("GET", "/v2/alice/app/tags/list", authorization=bearer) for _ in range(ASKED)]
    return {answer.status for answer in answers}


def test_an_administrator_logs_in(server: Server) -> None:
    browser = Browser(f"http://{server.host}")

    answer = browser.log_in("admin")

    assert b"Log out" in answer.body
    assert not any(cookie.secure for cookie in browser.cookies)


def test_who_is_no_staff_does_not(server: Server) -> None:
    answer = Browser(f"http://{server.host}").log_in("alice")

    assert b"Log out" not in answer.body


def test_the_pages_have_their_styles_and_scripts(server: Server) -> None:
    browser = Browser(f"http://{server.host}")
    browser.log_in("admin")
    pages = ["/admin/", "/admin/accounts/account/", "/admin/acl/rule/add/", "/admin/distribution/tag/"]
    html = "".join(browser.get(page).body.decode() for page in pages)

    files = set(re.findall(r'(?:href|src)="(/static/[^"]+)"', html))

    assert len(files) > 5
    assert {browser.get(file).status for file in files} == {200}


def test_a_run_that_is_asked_for_is_done_beside_the_server(server: Server) -> None:
    browser = Browser(f"http://{server.host}")
    browser.log_in("admin")

    answer = browser.submit("/admin/gc/run/add/", {"is_dry_run": "on", "remove_untagged": "on"})

    assert b"The run is requested" in answer.body
    deadline = time.monotonic() + 90
    while server.rows(ASKED_FOR) != [("done", "admin")] and time.monotonic() < deadline:
        time.sleep(0.2)
    assert server.rows(ASKED_FOR) == [("done", "admin")], server.log_file.read_text()
