"""Names that are none: refused, and nothing of them is left, neither a row nor a file."""

import json

import pytest

from tests.attack.conftest import Ask
from tests.attack.target import CONFIG, LAYER, MANIFEST, Target, scope
from tests.images import digest_of

# As they stand in a request line, percent-encoded or not.
NAMES = [
    "alice%2Fapp", "alice%2fapp", "alice/%2e%2e/secret", "alice/../secret", "alice/./app", "..", "../alice", "%2e%2e",
    "alice//app", "/alice/app", "alice/app/", "alice%00", "alice/app%00", "%00", "alice/app%0A", "alice/app%0D%0A",
    "%0Aalice/app", "alice/app%20", "alice/app%09", "alice/%D9%A1", "alice/%EF%BC%91", "alice/%F0%9D%9F%8F",
    "alice/%C5%BF", "alice/caf%C3%A9", "alice/%C0%AE%C0%AE/secret", "alice/%FF", "alice/%ED%A0%80", "ALICE/app",
    "alice/App", "alice/-app", "alice/app-", "alice/a..b", "alice/a___b", "alice\\app", "alice%5Capp", "alice/app;x=y",
    "alice/app%3Fx", "alice/app%23x", "alice/%25%32%65", "alice:5000/app", "a" * 256, "alice/" + "a" * 250,
    "alice/" + "a/" * 200 + "a", "!deleted", "alice/$(id)", "alice/`id`", "alice/'--", 'alice/"', "alice/*", "~alice",
    "_catalog", "alice/%E2%80%AEppa", "alice/app%E2%80%8B", "http://evil.example/app",
]  # fmt: skip
ENDS = [
    ("POST", "blobs/uploads/"),
    ("PUT", "manifests/v1"),
    ("GET", "tags/list"),
    ("GET", f"blobs/{digest_of(LAYER)}"),
    ("DELETE", f"manifests/{digest_of(MANIFEST)}"),
]
DIGESTS = [
    "sha256:", "sha256:" + "a" * 63, "sha256:" + "a" * 65, "sha256:" + "A" * 64, "SHA256:" + "a" * 64,
    "sha256:" + "%D9%A1" * 64, "sha256:" + "%EF%BC%91" * 64, "sha256:" + "a" * 64 + "%0A", "sha256:" + "a" * 63 + "%00",
    "sha256:..%2F..%2Fetc", "sha256:%2e%2e", "sha256:" + "../" * 20 + "x", "md5:" + "a" * 32, "sha1:" + "a" * 40,
    "sha512:" + "a" * 64, "sha256+x:" + "a" * 64, ":" + "a" * 64, "sha256:" + "g" * 64, "sha256:-" + "a" * 63,
    "sha256:0x" + "a" * 62, "sha256: " + "a" * 63, "sha256:" + "a" * 64 + ":x", "sha256:" + "a" * 5000,
]  # fmt: skip
TAGS = [
    ".hidden", "-x", "..", "%2e%2e", "a" * 129, "v1%0A", "v1%00", "v1%20", "v%D9%A1", "caf%C3%A9", "v1%2Fx", "v1+x",
    "%C2%AA", "v1%0D%0AX-Injected:1", "<script>", "v1%3F", "@", "v1,v2", "%F0%9F%90%B3",
]  # fmt: skip


@pytest.fixture(scope="module")
def authorization(target: Target) -> str:
    """Return a header line with which alice may do everything in alice/app, which holds the blobs of MANIFEST."""
    bearer = target.bearer("alice", scope("alice/app"), scope("alice"))
    for blob in (CONFIG, LAYER):
        target.push_blob("alice/app", blob, bearer)
    return f"Authorization: {bearer}"


@pytest.mark.parametrize("name", NAMES)
def test_what_is_no_name_makes_no_row_and_no_file(name: str, authorization: str, target: Target, send: Ask) -> None:
    before, files = target.stored(), target.files()

    answers = [send(f"{method} /v2/{name.replace(' ', '%20')}/{end}", authorization) for method, end in ENDS]

    assert {answer.status for answer in answers} <= {400, 404}
    assert all(json.loads(answer.body)["errors"] for answer in answers)
    assert (target.stored(), target.files()) == (before, files)


@pytest.mark.parametrize("digest", DIGESTS)
def test_what_is_no_digest_names_nothing(digest: str, authorization: str, target: Target, send: Ask) -> None:
    before, files = target.stored(), target.files()
    written = digest.replace(" ", "%20")

    answers = [
        send(f"{method} /v2/alice/app/{path}{written}", authorization)
        for method, path in (
            ("GET", "blobs/"), ("DELETE", "blobs/"), ("PUT", "manifests/"), ("GET", "referrers/"),
            ("POST", "blobs/uploads/?digest="),
        )
    ]  # fmt: skip

    assert {answer.status for answer in answers} <= {400, 404}
    assert (target.stored(), target.files()) == (before, files)


@pytest.mark.parametrize("tag", TAGS)
def test_what_is_no_tag_is_not_stored(tag: str, authorization: str, target: Target, send: Ask) -> None:
    before = target.stored("tag", "manifest")

    answers = [
        send(f"PUT /v2/alice/app/manifests/{tag}", authorization, body=MANIFEST),
        send(f"PUT /v2/alice/app/manifests/{digest_of(MANIFEST)}?tag={tag}", authorization, body=MANIFEST),
    ]

    assert {answer.status for answer in answers} <= {400, 404}
    assert target.stored("tag", "manifest") == before


SESSIONS = [
    "..", "%2e%2e", "../../keys/registry.key", "..%2f..%2fkeys%2fregistry.key", "x", "0" * 36,
    "00000000-0000-0000-0000-00000000000%00", "' OR 1=1 --", "*",
]  # fmt: skip


@pytest.mark.parametrize("session", SESSIONS)
@pytest.mark.parametrize("method", ["GET", "PATCH", "PUT", "DELETE"])
def test_what_is_no_session_is_unknown(method: str, session: str, authorization: str, send: Ask) -> None:
    path = f"/v2/alice/app/blobs/uploads/{session.replace(' ', '%20')}"

    assert send(f"{method} {path}?digest={digest_of(LAYER)}", authorization).status in {400, 404}


@pytest.mark.parametrize("query", ["n=-1", "n=1e9", "n=%D9%A1", "n=%00", "n=" + "9" * 5000, "last=%00", "last=%FF",
                                   "last=%ED%A0%80", "n=1&n=2", "last=" + "a" * 4000, "n=0x10"])  # fmt: skip
def test_no_query_breaks_a_listing(query: str, target: Target, send: Ask) -> None:
    authorization = f"Authorization: {target.bearer('alice', 'registry:catalog:*', scope('alice/secret'))}"

    for path in ("/v2/_catalog", "/v2/alice/secret/tags/list"):
        assert send(f"GET {path}?{query}", authorization).status in {200, 400}


# whitenoise serves the admin's files: nothing beside them.
@pytest.mark.parametrize("path", ["/static/../../etc/passwd", "/static/%2e%2e/%2e%2e/etc/passwd", "/static//etc/passwd",
                                  "/static/..%2f..%2fetc%2fpasswd", "/static/..\\..\\etc\\passwd",
                                  "/static/admin/../../../manage.py", "/static/%00", "/static/",
                                  "/data/keys/registry.key", "/config.yaml", "/.git/config"])  # fmt: skip
def test_no_file_is_served_but_those_of_the_admin(path: str, send: Ask) -> None:
    answer = send(f"GET {path}")

    assert answer.status in {301, 302, 400, 404}
    assert b"root:" not in answer.body
