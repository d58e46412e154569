"""What administrators do in a browser, and what a client then sees."""

import re
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, expect

from tests.browser.chromium import PATIENCE_SECONDS, tab
from tests.browser.demo import DemoServer, Pusher
from tests.clients.layouts import image
from tests.clients.program import Program
from tests.clients.server import password_of

pytestmark = [pytest.mark.client("chromium"), pytest.mark.client("skopeo")]

PASSWORD = "a password of dora"

LogIn = Callable[[str, str], Program]


def test_an_administrator_makes_an_account_and_a_rule_and_a_client_pushes(
    browser: Browser, demo: DemoServer, skopeo: LogIn, tmp_path: Path
) -> None:
    with tab(browser, demo) as opened:
        page = opened.page
        page.goto("/admin/")
        page.get_by_label("Name").fill("admin")
        page.get_by_label("Password").fill(password_of("admin"))
        page.get_by_role("button", name="Log in").click()
        page.get_by_role("heading", name="Health").wait_for()

        page.get_by_role("link", name=re.compile("Accounts$")).click()
        page.locator("a[href='/admin/accounts/account/add/']").click()
        page.locator("#id_name").fill("dora")
        page.locator("#id_password1").fill(PASSWORD)
        page.locator("#id_password2").fill(PASSWORD)
        page.get_by_role("button", name="Save", exact=True).click()
        page.get_by_text("was added successfully").wait_for()
        dora, source = skopeo("dora", PASSWORD), image(tmp_path / "image").reference("v1")
        dora.refused("copy", source, dora.docker("dora/app:v1"))

        page.goto("/admin/acl/rule/add/")
        page.locator("#id_subject").fill("dora")
        page.get_by_role("checkbox", name="pull").check()
        page.get_by_role("checkbox", name="push").check()
        page.locator("#id_name").fill("dora/*")
        expect(page.locator("#rule-preview .sentence")).to_have_text("dora may pull and push dora/*")
        page.get_by_role("button", name="Save", exact=True).click()
        page.get_by_text("was added successfully").wait_for()
        assert opened.complaints == []

    dora.run("copy", source, dora.docker("dora/app:v1"))


def test_a_denial_is_found_explained_and_mended(
    browser: Browser, demo: DemoServer, skopeo: LogIn, tmp_path: Path
) -> None:
    bob, source = skopeo("bob", password_of("bob")), image(tmp_path / "image").reference("v1")
    bob.refused("copy", source, bob.docker("alice/denied:v1"))

    with tab(browser, demo) as opened:
        page = opened.page
        opened.sign_in("admin")
        audit = "/admin/audit/event/?kind__exact=denial&repository__exact=alice/denied"
        deadline = time.monotonic() + PATIENCE_SECONDS
        page.goto(audit)
        # Events are written in batches.
        while page.get_by_text("bob may pull alice/*, but not push").count() == 0:
            assert time.monotonic() < deadline, "the audit has no denial"
            page.goto(audit)
        page.goto("/admin/")
        denials = page.locator("section", has=page.get_by_role("heading", name="Latest denials"))
        assert "alice/denied" in denials.inner_text()
        denials.get_by_role("link", name="All of them").click()
        assert "access refused" in page.locator("#result_list").inner_text()

        page.get_by_role("link", name=re.compile("Explain$")).click()
        page.get_by_label("Account").fill("bob")
        page.get_by_label("Action").select_option("push")
        page.get_by_label("Repository").fill("alice/denied")
        page.get_by_role("button", name="Explain").click()
        explained = page.locator(".rule-preview")
        assert "bob may not push alice/denied" in explained.inner_text()
        assert "bob may pull alice/*, but not push" in explained.inner_text()
        page.get_by_role("link", name="Add a rule that allows it").click()
        assert page.locator("#id_name").input_value() == "alice/denied"
        page.get_by_role("button", name="Save", exact=True).click()
        page.get_by_text("was added successfully").wait_for()
        assert opened.complaints == []

    bob.run("copy", source, bob.docker("alice/denied:v1"))


def test_a_dry_run_is_read_and_applied_without_the_row_that_is_excluded(browser: Browser, demo: DemoServer) -> None:
    pusher = Pusher(demo, "alice", "alice/planned")
    kept, removed = (pusher.image("", version)["digest"] for version in ("kept", "removed"))

    with tab(browser, demo) as opened:
        page = opened.page
        opened.sign_in("admin")
        page.goto("/admin/gc/run/")
        page.get_by_role("link", name="Dry run").click()
        page.locator("#id_remove_untagged").check()
        page.locator("#id_grace_period").fill("0s")
        page.locator("#id_repository").fill("alice/planned")
        page.get_by_role("button", name="Start").click()
        page.get_by_text("The run is requested.").wait_for()
        # The page reloads itself until the run has ended.
        page.get_by_role("link", name="Read the plan").click(timeout=PATIENCE_SECONDS * 1000)
        assert kept[:19] in page.locator("#result_list").inner_text()
        assert removed[:19] in page.locator("#result_list").inner_text()
        row = page.locator("#result_list tr", has=page.locator(f"span[title='{kept}']"))
        row.get_by_role("checkbox").check()
        page.locator("select[name=action]").select_option("exclude_rows")
        page.get_by_role("button", name="Run").click()
        page.get_by_text("excluded, with what they need").wait_for()

        page.get_by_role("link", name="Apply the plan …").click()
        page.locator("#content").locator("[type=submit]").click()
        page.get_by_text("about to be applied").wait_for()
        under_way = page.get_by_text("This page reloads itself until the run has ended.")
        expect(under_way).to_have_count(0, timeout=PATIENCE_SECONDS * 1000)
        assert opened.complaints == []

    assert pusher.pull(kept) == 200
    assert pusher.pull(removed) == 404
