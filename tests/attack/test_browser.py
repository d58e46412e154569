"""What a browser can be made to do: run what was pushed, believe another host, act for whoever is logged in."""

import json
from base64 import b64encode
from urllib.parse import urljoin, urlsplit

import pytest

from tests.attack.admin_session import AdminSession
from tests.attack.conftest import Ask
from tests.attack.raw import Raw, exchange
from tests.attack.target import LAYER, MANIFEST, Target, scope
from tests.clients.server import basic, password_of
from tests.images import digest_of, manifest

REPOSITORY = "public/app"
PULL = scope(REPOSITORY, "pull")


@pytest.fixture(scope="module")
def admin(target: Target) -> AdminSession:
    """Return a browser in which the administrator is logged in."""
    browser = AdminSession(target.port)
    assert browser.log_in("admin", password_of("admin")).status == 302
    return browser


def policy(answer: Raw) -> set[str]:
    """Return the directives of the Content-Security-Policy."""
    return {part.strip() for part in answer.header("content-security-policy").split(";")}


# ------------------------------------------------------------------ what was pushed


@pytest.mark.parametrize(
    ("path", "accept"),
    [
        (f"/v2/{REPOSITORY}/blobs/{digest_of(LAYER)}", "text/html"),
        (f"/v2/{REPOSITORY}/manifests/v1", "text/html"),
        (f"/v2/{REPOSITORY}/tags/list", "text/html"),
        (f"/v2/{REPOSITORY}/referrers/{digest_of(LAYER)}", "text/html"),
        (f"/v2/{REPOSITORY}/blobs/{digest_of(LAYER)}?response-content-type=text/html", "*/*"),
        (f"/v2/{REPOSITORY}/manifests/%3Cscript%3E", "text/html"),
        ("/v2/%3Cscript%3Ealert(1)%3C/script%3E", "text/html"),
        ("/v2/token?service=%3Cscript%3E", "text/html"),
        ("/v2/token?scope=%3Cscript%3E", "text/html"),
    ],
)
def test_nothing_below_v2_runs_in_a_browser(path: str, accept: str, target: Target, send: Ask) -> None:
    """A layer is whatever somebody pushed: shown as a page it would act on the origin of the admin (stored XSS)."""
    answer = send(f"GET {path}", f"Accept: {accept}", f"Authorization: {target.bearer('', PULL)}")

    assert "html" not in answer.header("content-type")
    assert answer.header("content-type")
    assert answer.header("x-content-type-options") == "nosniff"
    assert policy(answer) >= {"default-src 'none'", "sandbox"}


@pytest.mark.parametrize(
    "name", ["<script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{7*7}}", "{% debug %}"]
)
def test_nothing_that_was_pushed_or_typed_is_markup_in_the_admin(
    name: str, target: Target, admin: AdminSession, send: Ask
) -> None:
    bearer = target.bearer("alice", scope("alice/marked"))
    config = b"{}"
    target.push_blob("alice/marked", config, bearer)
    payload = manifest(config, annotations={name: name, "org.opencontainers.image.title": name}, artifactType=name)
    assert target.put("alice/marked", "v1", payload, bearer).status == 201
    send("GET /v2/token", f"Authorization: Basic {b64encode(f'{name}:{name}'.encode()).decode()}")

    pages = [admin.get(f"/admin/{path}") for path in (
        "", "distribution/repository/", "distribution/manifest/", "distribution/tag/", "acl/rule/", "accounts/account/",
        f"distribution/repository/?q={'%3Cscript%3Ealert(1)%3C/script%3E'}", "accounts/account/?o=%3Cscript%3E",
    )]  # fmt: skip

    assert all(name.encode() not in page.body for page in pages if page.status == 200)
    assert not any(b"<script>alert(1)" in page.body for page in pages)


@pytest.mark.parametrize("path", ["/admin/login/", "/admin/", "/admin/accounts/account/", "/admin/nothing-there/"])
def test_an_admin_page_runs_no_script_of_others_and_is_in_no_frame(path: str, admin: AdminSession) -> None:
    answer = admin.get(path)

    assert answer.header("x-frame-options") == "DENY"
    assert answer.header("x-content-type-options") == "nosniff"
    assert answer.header("content-security-policy")
    assert "frame-ancestors 'none'" in policy(answer)


# ------------------------------------------------------------------ hosts


@pytest.mark.parametrize("header", ["X-Forwarded-Host", "X-Forwarded-Server", "X-Host", "X-Original-Host", "Forwarded",
                                    "X-Original-URL", "X-Rewrite-URL"])  # fmt: skip
def test_no_stranger_names_the_host(header: str, target: Target, send: Ask) -> None:
    value = "host=evil.example;proto=https" if header == "Forwarded" else "evil.example"

    for path in ("/v2/", "/admin/", "/", "/admin/login/", f"/v2/{REPOSITORY}/tags/list"):
        answer = send(f"GET {path}", f"{header}: {value}", "X-Forwarded-Proto: https")
        assert "evil.example" not in str(answer.headers) + answer.body.decode()
        assert "https://127.0.0.1" not in str(answer.headers)


@pytest.mark.parametrize("start", ["POST /v2/alice/app/blobs/uploads/", "PUT /v2/alice/app/manifests/v1"])
def test_a_location_names_no_host(start: str, target: Target, send: Ask) -> None:
    """A client that followed it elsewhere would take its token along (CVE-2020-15157, containerd)."""
    bearer = target.bearer("alice", scope("alice/app"))
    for blob in (LAYER, b'{"architecture":"amd64","os":"linux"}'):
        target.push_blob("alice/app", blob, bearer)
    body = MANIFEST if start.startswith("PUT") else b""

    answer = send(start, f"Authorization: {bearer}", "X-Forwarded-Host: evil.example", body=body)

    assert answer.header("location").startswith("/v2/alice/app/")


def test_a_link_names_no_host(target: Target, send: Ask) -> None:
    line = f"Authorization: {target.bearer('alice', scope('alice/links'))}"
    bearer = line.partition(": ")[2]
    target.push_blob("alice/links", b"{}", bearer)
    for tag in ("a", "b"):
        assert target.put("alice/links", tag, manifest(b"{}"), bearer).status == 201

    assert send("GET /v2/alice/links/tags/list?n=1", line).header("link").startswith("</v2/alice/links/tags/list?")


@pytest.mark.parametrize(
    "host", ['a"b', "a b", "a/b", "a@b", "a?b", "a#b", "a\\b", "a,b", "<script>", "[::1", "a:b", ""]
)
def test_a_host_that_is_none_stands_in_no_challenge(host: str, target: Target) -> None:
    """It would end the quoted realm, and name another one."""
    (answer,) = exchange(target.port, f"GET /v2/ HTTP/1.1\r\nHost: {host}\r\nConnection: close\r\n\r\n".encode())

    assert answer.status == 400
    assert "realm" not in str(answer.headers)


# ------------------------------------------------------------------ sessions


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("GET", "/v2/"),
        ("GET", "/v2/_catalog"),
        ("GET", "/v2/alice/secret/manifests/v1"),
        ("PUT", "/v2/alice/secret/manifests/v1"),
        ("DELETE", "/v2/alice/secret/manifests/v1"),
        ("POST", "/v2/alice/secret/blobs/uploads/"),
    ],
)
def test_a_session_of_the_admin_does_not_open_the_protocol(
    method: str, path: str, admin: AdminSession, send: Ask
) -> None:
    answer = send(f"{method} {path}", admin.cookie_line)

    assert answer.status == 401
    assert not answer.header("set-cookie")


def test_a_session_gets_the_token_of_nobody(admin: AdminSession, send: Ask) -> None:
    answer = send(f"GET /v2/token?scope={scope('alice/secret', 'pull')}", admin.cookie_line)

    assert json.loads(answer.body)["scope"] == ""


def test_no_script_and_no_other_site_has_the_cookie_of_a_session(target: Target) -> None:
    browser = AdminSession(target.port)

    answer = browser.log_in("admin", password_of("admin"))

    (session,) = [
        value for name, value in answer.headers if name == "set-cookie" and value.startswith("registry_login=")
    ]
    attributes = {part.strip().lower() for part in session.split(";")[1:]}
    assert attributes >= {"httponly", "samesite=lax"}


def test_a_login_takes_no_session_that_somebody_else_chose(target: Target) -> None:
    browser = AdminSession(target.port)
    browser.cookies["registry_login"] = chosen = "a" * 32

    browser.log_in("admin", password_of("admin"))

    assert browser.cookies["registry_login"] != chosen


@pytest.mark.parametrize(
    ("path", "fields"),
    [
        ("/admin/accounts/account/add/", {"name": "mallory", "password1": "p", "password2": "p"}),
        ("/admin/acl/rule/add/", {"subject_kind": "anonymous", "name": "*", "actions": "*"}),
        ("/admin/logout/", {}),
        ("/admin/password_change/", {"old_password": "admin-password", "new_password1": "x", "new_password2": "x"}),
    ],
)
def test_another_site_acts_for_nobody(path: str, fields: dict[str, str], target: Target, admin: AdminSession) -> None:
    """Cross-site request forgery: with cookies and without the token, or with one of the attacker's own."""
    before = target.rows("SELECT (SELECT count(*) FROM accounts_account) + (SELECT count(*) FROM acl_rule)")

    answers = [
        admin.post(path, fields),
        admin.post(path, fields | {"csrfmiddlewaretoken": "a" * 64}, "Origin: http://evil.example"),
        admin.post(path, fields, "Origin: null"),
    ]

    assert {answer.status for answer in answers} == {403}
    assert admin.get("/admin/").status == 200
    assert target.rows("SELECT (SELECT count(*) FROM accounts_account) + (SELECT count(*) FROM acl_rule)") == before


@pytest.mark.parametrize("after", ["//evil.example", "https://evil.example", "/\\evil.example", "javascript:alert(1)",
                                   "http:evil.example", "%09//evil.example", "/%5Cevil.example"])  # fmt: skip
def test_a_login_leads_to_no_other_site(after: str, target: Target) -> None:
    answer = AdminSession(target.port).log_in("admin", password_of("admin"), after)

    assert answer.status == 302
    # As browsers read it, to whom a backslash is a slash.
    leads_to = urljoin("http://127.0.0.1/admin/login/", answer.header("location").replace("\\", "/"))
    assert urlsplit(leads_to).netloc == "127.0.0.1"


@pytest.mark.parametrize("path", ["/v2/", "/v2/token", "/api/v1/whoami", "/admin/login/", "/health"])
def test_no_other_origin_reads_an_answer(path: str, send: Ask) -> None:
    login = f"Authorization: {basic('bob')}"
    for method in ("GET", "OPTIONS"):
        answer = send(f"{method} {path}", "Origin: http://evil.example", "Access-Control-Request-Method: GET", login)
        assert not [name for name, _ in answer.headers if name.startswith("access-control-")]


def test_staff_who_are_no_superusers_are_not_made_so_by_a_form(target: Target) -> None:
    browser = AdminSession(target.port)

    assert browser.log_in("bob", password_of("bob")).status == 200
    assert browser.get("/admin/").status == 302


@pytest.mark.parametrize("lookup", ["password__startswith=b", "password__regex=.*", "groups__user__password__gte=a",
                                    "q=password__startswith%3Db", "_popup=1&password__contains=2b"])  # fmt: skip
def test_no_filter_of_a_list_reads_a_hidden_column(lookup: str, admin: AdminSession) -> None:
    """An answer that differs tells the hash letter by letter (CVE-2010-4534, django.contrib.admin)."""
    answer = admin.get(f"/admin/accounts/account/?{lookup}")

    assert answer.status in {200, 302, 400}
    assert b"$2b$" not in answer.body
    assert answer.status != 200 or lookup.startswith("q=")


@pytest.mark.parametrize("lookup", ["token_hash__startswith=a", "credential_hash__startswith=a", "token_hash__gt=0"])
def test_no_filter_of_the_logins_reads_a_hash(lookup: str, admin: AdminSession) -> None:
    assert admin.get(f"/admin/tokens/refreshtoken/?{lookup}").status in {302, 400}
