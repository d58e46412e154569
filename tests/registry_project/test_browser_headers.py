"""What every answer outside of /v2/ tells a browser to forbid, and that the admin's pages keep to it."""

import hashlib
import re
from pathlib import Path

import pytest
import unfold
from django.test import Client

from accounts.models import Account

THEME = Path(__file__).parents[2] / "registry_project" / "theme"
# unfold 0.91.0 and npm's @alpinejs/csp 3.17.4 (dist/cdn.min.js), whose expressions need no 'unsafe-eval'.
SKELETON_SHA256 = "66af9f0bb45f98ba4e16ba5e5a11f36d87b8e07430d19066d088b29548491c2e"
ALPINE_SHA256 = "0d18d7f8d7910e2e0212f0f056b12f50bebc3abb7d88d2f7c7cb4c336fe4519a"

ANSWERS = {
    "/admin/login/": (200,),
    "/admin/": (302,),
    "/static/unfold/css/styles.css": (200,),
    "/static/there-is-no-such-file.js": (404,),
    "/there-is-no-such-page/": (404,),
    "/api/v1/": (200,),
    "/api/v1/whoami": (401,),
    # Whether the storage is there depends on the tests before.
    "/health": (200, 503),
}
PAGES = [
    "/admin/",
    "/admin/accounts/account/",
    "/admin/accounts/account/add/",
    "/admin/acl/rule/add/",
    "/admin/auth/group/add/",
    "/admin/distribution/repository/",
    "/admin/gc/run/",
    "/admin/gc/run/add/",
    "/admin/second-factor/",
    "/admin/password_change/",
]


@pytest.mark.django_db
@pytest.mark.parametrize(("path", "statuses"), ANSWERS.items())
def test_every_answer_forbids_what_it_does_not_need(path: str, statuses: tuple[int, ...]) -> None:
    answer = Client().get(path)
    answer.close()

    policy = answer["Content-Security-Policy"]
    assert answer.status_code in statuses
    assert "default-src 'none'; script-src 'self'; style-src 'self';" in policy
    assert "frame-ancestors 'none'" in policy
    assert "unsafe" not in policy
    assert answer["X-Content-Type-Options"] == "nosniff"
    assert answer["X-Frame-Options"] == "DENY"
    assert answer["Referrer-Policy"] == "same-origin"
    assert answer["Cross-Origin-Opener-Policy"] == "same-origin"
    assert "camera=()" in answer["Permissions-Policy"]


@pytest.mark.django_db
def test_a_refused_form_and_a_failed_page_do_too(monkeypatch: pytest.MonkeyPatch) -> None:
    client = Client(enforce_csrf_checks=True, raise_request_exception=False)
    refused = client.post("/admin/login/")
    monkeypatch.setattr("accounts.login.site.RegistryAdminSite.has_permission", None)
    failed = client.get("/admin/")

    assert (refused.status_code, failed.status_code) == (403, 500)
    assert b"style=" not in refused.content
    assert "default-src 'none'" in refused["Content-Security-Policy"]
    assert "default-src 'none'" in failed["Content-Security-Policy"]


@pytest.mark.django_db
def test_the_registrys_own_answers_keep_their_own_policy() -> None:
    answer = Client().get("/v2/")

    assert answer["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert "Permissions-Policy" not in answer


@pytest.mark.django_db
def test_no_page_has_a_script_or_a_style_in_it() -> None:
    client = Client()
    client.force_login(Account.objects.create_superuser("root", "the password of root"))

    html = {path: client.get(path).content.decode() for path in PAGES}

    for path, page in html.items():
        assert "alpine.csp.js" in page, path
        assert "unfold/js/alpine/alpine.js" not in page, path
        assert not re.search(r"<style|<script(?![^>]*\bsrc=)|\son[a-z]+=|\sstyle=|javascript:", page), path


@pytest.mark.parametrize(
    ("path", "digest"),
    [
        (Path(unfold.__file__).parent / "templates/unfold/layouts/skeleton.html", SKELETON_SHA256),
        (THEME / "static/theme/alpine.csp.js", ALPINE_SHA256),
    ],
    ids=["unfold's frame, which ours was made from", "Alpine"],
)
def test_what_the_theme_was_made_from_is_what_is_there(path: Path, digest: str) -> None:
    """A newer unfold: make ours again from its own, then name it here."""
    assert hashlib.sha256(path.read_bytes()).hexdigest() == digest
