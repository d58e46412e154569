"""Nobody learns of what it may not see, and nobody reaches it by another way."""

import itertools
import json

import pytest

from tests.attack.conftest import Ask
from tests.attack.raw import Raw
from tests.attack.target import LAYER, MANIFEST, MANIFEST_TYPE, METRICS_TOKEN, MISSING, SECRET, Target, scope
from tests.clients.server import basic, password_of
from tests.images import digest_of, manifest

SESSION = "11111111-2222-4333-8444-555555555555"
DIGEST = digest_of(LAYER)
REQUESTS = [
    ("GET", "manifests/v1"),
    ("HEAD", "manifests/v1"),
    ("PUT", "manifests/v1"),
    ("DELETE", "manifests/v1"),
    ("GET", f"manifests/{digest_of(MANIFEST)}"),
    ("DELETE", f"manifests/{digest_of(MANIFEST)}"),
    ("PATCH", "manifests/v1"),
    ("GET", f"blobs/{DIGEST}"),
    ("HEAD", f"blobs/{DIGEST}"),
    ("DELETE", f"blobs/{DIGEST}"),
    ("POST", "blobs/uploads/"),
    ("POST", f"blobs/uploads/?digest={DIGEST}"),
    ("POST", f"blobs/uploads/?mount={DIGEST}&from=public/app"),
    ("GET", f"blobs/uploads/{SESSION}"),
    ("PATCH", f"blobs/uploads/{SESSION}"),
    ("PUT", f"blobs/uploads/{SESSION}?digest={DIGEST}"),
    ("DELETE", f"blobs/uploads/{SESSION}"),
    ("GET", "tags/list"),
    ("GET", f"referrers/{DIGEST}"),
]
OTHERS = frozenset({"date", "x-request-id"})
ACCOUNTS = ["charlie", "", None]


def seen(answer: Raw, repository: str) -> tuple[int, list[tuple[str, str]], bytes]:
    """Return all that a client sees of an answer, but for the time and the name that it asked for."""
    headers = [(name, value.replace(repository, "NAME")) for name, value in answer.headers if name not in OTHERS]
    return answer.status, headers, answer.body.replace(repository.encode(), b"NAME")


@pytest.mark.parametrize("account", ACCOUNTS, ids=["signed in", "as nobody", "without a token"])
@pytest.mark.parametrize(("method", "path"), REQUESTS)
def test_a_private_repository_is_not_told_from_a_missing_one(
    method: str, path: str, account: str | None, target: Target, send: Ask
) -> None:
    def ask(repository: str) -> tuple[int, list[tuple[str, str]], bytes]:
        lines = [] if account is None else [f"Authorization: {target.bearer(account, scope(repository))}"]
        return seen(send(f"{method} /v2/{repository}/{path}", *lines), repository)

    private = ask(SECRET)

    assert private == ask(MISSING)
    assert private[0] == (405 if method == "PATCH" and "manifests" in path else 401)


def test_a_token_for_a_private_repository_is_that_for_a_missing_one(target: Target) -> None:
    answers = [
        json.loads(target.request("GET", f"/v2/token?scope={scope(name)}", authorization=basic("charlie")).body)
        for name in (SECRET, MISSING)
    ]

    assert [answer["scope"] for answer in answers] == ["", ""]
    assert len({len(answer["token"]) for answer in answers}) == 1


@pytest.mark.parametrize("listing", ["/v2/_catalog", "/v2/_catalog?n=1000&last=alice/a", "/v2/_catalog/"])
def test_no_catalog_names_a_private_repository(listing: str, target: Target, send: Ask) -> None:
    for account in ("charlie", ""):
        bearer = target.bearer(account, "registry:catalog:*")

        answer = send(f"GET {listing}", f"Authorization: {bearer}")

        assert SECRET not in answer.body.decode()


# ------------------------------------------------------------------ blobs


@pytest.mark.parametrize(
    "source", [f"&from={SECRET}", f"&from={MISSING}", "", "&from=", "&from=..%2Fsecret", "&from=alice%2Fsecret%00"]
)
def test_a_mount_without_the_right_to_pull_is_an_upload(source: str, target: Target, send: Ask) -> None:
    private = b"a layer that nobody but alice may pull"
    target.push_blob(SECRET, private, target.bearer("alice", scope(SECRET)))
    line = f"Authorization: {target.bearer('charlie', scope('charlie/app'), scope(SECRET, 'pull'))}"

    def mount(digest: str) -> tuple[int, list[str]]:
        answer = send(f"POST /v2/charlie/app/blobs/uploads/?mount={digest}{source}", line)
        return answer.status, sorted(name for name, _ in answer.headers)

    assert mount(digest_of(private)) == mount(digest_of(b"a blob that does not exist"))
    assert mount(digest_of(private))[0] == 202
    assert send(f"GET /v2/charlie/app/blobs/{digest_of(private)}", line).status == 404


def test_a_blob_is_not_read_through_another_repository(target: Target, send: Ask) -> None:
    line = f"Authorization: {target.bearer('charlie', scope('charlie/app'))}"

    for method, path in itertools.product(("GET", "HEAD", "DELETE"), (f"blobs/{DIGEST}", "manifests/v1")):
        assert send(f"{method} /v2/charlie/app/{path}", line).status == 404


def test_a_manifest_does_not_take_over_a_blob_that_its_pusher_never_had(target: Target, send: Ask) -> None:
    """Whoever knows a digest would else pull the layer of another repository through a manifest of its own."""
    bearer = target.bearer("charlie", scope("charlie/app"))
    config = b"a config of charlie's own"
    target.push_blob("charlie/app", config, bearer)

    answer = target.put("charlie/app", "stolen", manifest(config, LAYER), bearer)

    assert answer.status == 400
    assert "MANIFEST_BLOB_UNKNOWN" in answer.body.decode()
    assert send(f"GET /v2/charlie/app/blobs/{DIGEST}", f"Authorization: {bearer}").status == 404


def test_an_index_does_not_reach_into_another_repository(target: Target) -> None:
    bearer = target.bearer("charlie", scope("charlie/app"))
    child = {"mediaType": MANIFEST_TYPE, "digest": digest_of(MANIFEST), "size": len(MANIFEST)}
    media_type = "application/vnd.oci.image.index.v1+json"
    body = json.dumps({"schemaVersion": 2, "mediaType": media_type, "manifests": [child]}).encode()

    assert target.put("charlie/app", "stolen", body, bearer, media_type).status == 400


def test_bytes_are_stored_under_their_own_digest_only(target: Target, send: Ask) -> None:
    """The layer that others share could else be replaced by whoever may push anywhere."""
    line = f"Authorization: {target.bearer('charlie', scope('charlie/app'))}"

    assert send(f"POST /v2/charlie/app/blobs/uploads/?digest={DIGEST}", line, body=b"something else").status == 400
    location = send("POST /v2/charlie/app/blobs/uploads/", line, body=b"").header("location")
    assert send(f"PUT {location}?digest={DIGEST}", line, body=b"something else").status == 400
    location = send("POST /v2/charlie/app/blobs/uploads/", line).header("location")
    assert send(f"PATCH {location}", line, body=b"something ").status == 202
    assert send(f"PUT {location}?digest={DIGEST}", line, body=b"else").status == 400
    assert target.put("charlie/app", digest_of(b"another"), MANIFEST, line.partition(": ")[2]).status == 400
    assert send(f"GET /v2/charlie/app/blobs/{DIGEST}", line).status == 404
    assert send(f"GET /v2/public/app/blobs/{DIGEST}", f"Authorization: {target.bearer('', scope('public/app', 'pull'))}"
                ).body == LAYER  # fmt: skip


# ------------------------------------------------------------------ upload sessions


def test_an_upload_session_of_somebody_else_is_unknown(target: Target, send: Ask) -> None:
    mine = target.bearer("alice", scope("alice/shared"))
    session = send("POST /v2/alice/shared/blobs/uploads/", f"Authorization: {mine}").header("location")
    assert send(f"PATCH {session}", f"Authorization: {mine}", body=b"alice's").status == 202
    theirs = f"Authorization: {target.bearer('developer', scope('alice/shared', 'pull,push'))}"
    unknown = session.rpartition("/")[0] + "/" + SESSION

    for method, query in (("GET", ""), ("PATCH", ""), ("PUT", f"?digest={digest_of(b'alice')}"), ("DELETE", "")):
        foreign = send(f"{method} {session}{query}", theirs, body=b"x" if method == "PATCH" else b"")
        assert foreign.status == 404
        assert foreign.body == send(f"{method} {unknown}{query}", theirs).body.replace(
            SESSION.encode(), session.rpartition("/")[2].encode()
        )

    assert send(f"GET {session}", f"Authorization: {mine}").header("range") == "0-6"


def test_an_upload_session_is_of_one_repository(target: Target, send: Ask) -> None:
    line = f"Authorization: {target.bearer('alice', scope('alice/shared'), scope('alice/other'))}"
    session = send("POST /v2/alice/shared/blobs/uploads/", line).header("location")

    elsewhere = session.replace("alice/shared", "alice/other")

    assert send(f"PATCH {elsewhere}", line, body=b"x").status == 404
    assert send(f"PUT {elsewhere}?digest={digest_of(b'')}", line).status == 404
    assert send(f"DELETE {elsewhere}", line).status == 404
    assert send(f"DELETE {session}", line).status == 204


def test_a_session_of_nobody_is_not_taken_over_by_an_account(target: Target, send: Ask) -> None:
    line = f"Authorization: {target.bearer('', scope('public/app'))}"

    assert send("POST /v2/public/app/blobs/uploads/", line).status == 401


def test_an_upload_session_is_not_inherited_with_a_name(target: Target, send: Ask) -> None:
    """An account that is deleted and made anew under the same name is somebody else."""
    line = f"Authorization: {target.bearer('developer', scope('alice/shared'))}"
    session = send("POST /v2/alice/shared/blobs/uploads/", line).header("location")
    assert send(f"GET {session}", line).status == 204

    rename = "UPDATE accounts_account SET name = '{}' WHERE name = '{}'"
    for new, old in (("formerly", "developer"), ("developer", "bob")):
        target.execute(rename.format(new, old))
    try:
        heir = target.log_in("developer", password_of("bob"), scope("alice/shared"))
        assert send(f"GET {session}", f"Authorization: {heir}").status == 404
    finally:
        for new, old in (("bob", "developer"), ("developer", "formerly")):
            target.execute(rename.format(new, old))


# ------------------------------------------------------------------ more than was given


@pytest.mark.parametrize("actions", ["*", "pull,push,delete,*", "delete", "pull,push", "admin", "PUSH"])
@pytest.mark.parametrize("kind", ["repository", "repository(plugin)"])
def test_a_token_has_no_more_than_its_account(kind: str, actions: str, target: Target, send: Ask) -> None:
    line = f"Authorization: {target.bearer('bob', f'{kind}:{SECRET}:{actions}')}"

    for method, path in (("POST", "blobs/uploads/"), ("DELETE", "manifests/v1"), ("DELETE", f"blobs/{DIGEST}")):
        assert send(f"{method} /v2/{SECRET}/{path}", line).status == 401


@pytest.mark.parametrize("given", ["", "Bearer", "Bearer ", f"Bearer {METRICS_TOKEN[:-1]}", f"Basic {METRICS_TOKEN}"])
def test_metrics_open_to_nothing_but_their_token(given: str, send: Ask) -> None:
    for line in (f"Authorization: {given}", f"X-Authorization: Bearer {METRICS_TOKEN}"):
        assert send("GET /metrics", line).status == 401
    assert send(f"GET /metrics?access_token={METRICS_TOKEN}").status == 401
    assert send("GET /metrics", f"Authorization: Bearer {METRICS_TOKEN}").status == 200


def test_tokens_and_passwords_of_accounts_open_no_metrics_and_the_reverse(target: Target, send: Ask) -> None:
    for given in (basic("admin"), target.bearer("admin", scope(SECRET))):
        assert send("GET /metrics", f"Authorization: {given}").status == 401
    assert send(f"GET /v2/{SECRET}/tags/list", f"Authorization: Bearer {METRICS_TOKEN}").status == 401


@pytest.mark.parametrize("name", ["*", "alice/*", "alice/", "alice", "alice/secre?", "ALICE/secret", "alice/secret/"])
def test_a_pattern_in_a_scope_matches_nothing(name: str, target: Target, send: Ask) -> None:
    line = f"Authorization: {target.bearer('alice', f'repository:{name}:pull,push,delete')}"

    assert send(f"GET /v2/{SECRET}/tags/list", line).status == 401


def test_a_token_for_pull_does_not_push_and_one_for_push_does_not_delete(target: Target, send: Ask) -> None:
    pull = f"Authorization: {target.bearer('alice', scope(SECRET, 'pull'))}"
    push = f"Authorization: {target.bearer('alice', scope(SECRET, 'pull,push'))}"

    assert send(f"POST /v2/{SECRET}/blobs/uploads/", pull).status == 401
    assert send(f"PUT /v2/{SECRET}/manifests/v2", pull, body=MANIFEST).status == 401
    for path in ("manifests/v1", f"manifests/{digest_of(MANIFEST)}", f"blobs/{DIGEST}"):
        assert send(f"DELETE /v2/{SECRET}/{path}", push).status == 401
    assert send(f"GET /v2/{SECRET}/manifests/v1", pull).body == MANIFEST


def test_a_token_of_one_repository_opens_no_other(target: Target, send: Ask) -> None:
    line = f"Authorization: {target.bearer('alice', scope('public/app'))}"

    assert send(f"GET /v2/{SECRET}/manifests/v1", line).status == 401
    assert send(f"POST /v2/public/app/blobs/uploads/?mount={digest_of(MANIFEST)}&from={SECRET}", line).status == 202


@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE", "POST", "PATCH"])
def test_a_method_in_a_header_or_the_address_is_not_read(method: str, target: Target, send: Ask) -> None:
    line = f"Authorization: {target.bearer('bob', scope(SECRET))}"

    for header in ("X-HTTP-Method-Override", "X-HTTP-Method", "X-Method-Override"):
        assert send(f"GET /v2/{SECRET}/manifests/v1?_method={method}", line, f"{header}: {method}").body == MANIFEST


@pytest.mark.parametrize(
    "path",
    [
        "/v2/{}/tags/list",
        "/V2/{}/tags/list",
        "/v2//{}/tags/list",
        "//v2/{}/tags/list",
        "/./v2/{}/tags/list",
        "/v2/public/../{}/tags/list",
        "/v2/x/..;/{}/tags/list",
        "/api/v1/repositories/{}",
        "/api/v1/repositories/{}/-/tags",
        "/api/v1/repositories/{}/-/manifests/v1",
        "/admin/distribution/repository/",
    ],
)
def test_no_other_spelling_of_a_path_goes_round_the_right(path: str, send: Ask) -> None:
    answer = send(f"GET {path.format(SECRET)}")

    assert answer.status in {302, 400, 401, 403, 404}
    assert b"v1" not in answer.body.replace(b"/api/v1/", b"")


def test_no_list_for_everybody_has_a_private_name(send: Ask) -> None:
    for query in ("", f"?prefix={SECRET}", "?contains=secret", f"?after={SECRET[:-1]}"):
        answer = send(f"GET /api/v1/repositories{query}")

        assert answer.status == 200
        assert SECRET not in str(json.loads(answer.body)["items"])
