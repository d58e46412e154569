"""What the rules of `server.RULES` let each account do, seen by skopeo and over HTTP."""

from pathlib import Path

import pytest

from tests.clients.conftest import LogIn
from tests.clients.layouts import image
from tests.clients.server import Answer, Server


@pytest.fixture
def private_digest(skopeo: LogIn, tmp_path: Path) -> str:
    """Push alice/private:v1 and return its digest."""
    alice = skopeo("alice")
    source = image(tmp_path / "private").reference("v1")
    alice.run("copy", f"--digestfile={tmp_path}/digest", source, alice.docker("alice/private:v1"))
    return (tmp_path / "digest").read_text()


def refusal(answer: Answer, repository: str) -> tuple[int, dict[str, str], bytes]:
    """Return what a client can tell from a refusal, without the name that it asked for itself."""
    headers = {name: value.replace(repository, "<name>") for name, value in answer.headers.items()}
    for name in ("date", "x-request-id"):
        headers.pop(name)
    return answer.status, headers, answer.body.replace(repository.encode(), b"<name>")


@pytest.mark.client("skopeo")
def test_who_may_pull_pulls(skopeo: LogIn, private_digest: str) -> None:
    bob = skopeo("bob")

    assert private_digest in bob.run("inspect", bob.docker("alice/private:v1"))


@pytest.mark.client("skopeo")
def test_who_may_only_pull_cannot_push(skopeo: LogIn, tmp_path: Path) -> None:
    bob = skopeo("bob")

    message = bob.refused("copy", image(tmp_path / "image").reference("v1"), bob.docker("alice/other:v1"))

    assert "authentication required" in message or "denied" in message


@pytest.mark.client("skopeo")
def test_who_may_only_pull_cannot_delete(skopeo: LogIn, private_digest: str) -> None:
    bob = skopeo("bob")
    remote = bob.docker("alice/private:v1")

    bob.refused("delete", remote)

    assert private_digest in bob.run("inspect", remote)


@pytest.mark.client("skopeo")
def test_a_pattern_lets_its_repositories_through(skopeo: LogIn, tmp_path: Path) -> None:
    developer = skopeo("developer")
    remote = developer.docker("myorg/backend-api:v1")

    developer.run("copy", image(tmp_path / "image").reference("v1"), remote)

    assert "v1" in developer.run("list-tags", remote.removesuffix(":v1"))


@pytest.mark.client("skopeo")
def test_a_pattern_lets_no_other_repository_through(skopeo: LogIn, tmp_path: Path) -> None:
    developer = skopeo("developer")
    source = image(tmp_path / "image").reference("v1")

    message = developer.refused("copy", source, developer.docker("myorg/frontend:v1"))

    assert "authentication required" in message or "denied" in message


@pytest.mark.client("skopeo")
def test_what_is_public_needs_no_login(skopeo: LogIn, tmp_path: Path) -> None:
    admin, anonymous = skopeo("admin"), skopeo("anonymous")
    admin.run("copy", image(tmp_path / "image").reference("v1"), admin.docker("public/tool:v1"))

    anonymous.run("copy", anonymous.docker("public/tool:v1"), f"oci:{tmp_path}/pulled:v1")

    assert (tmp_path / "pulled" / "index.json").exists()


@pytest.mark.client("skopeo")
def test_what_is_public_cannot_be_pushed_without_a_login(skopeo: LogIn, tmp_path: Path) -> None:
    anonymous = skopeo("anonymous")
    source = image(tmp_path / "image").reference("v1")

    message = anonymous.refused("copy", source, anonymous.docker("public/tool:v2"))

    assert "authentication required" in message or "denied" in message


@pytest.mark.client("skopeo")
@pytest.mark.parametrize("account", ["charlie", "anonymous"])
def test_a_private_repository_looks_like_a_missing_one_to_skopeo(
    skopeo: LogIn, private_digest: str, account: str
) -> None:
    stranger = skopeo(account)

    private_one = stranger.refused("list-tags", stranger.docker("alice/private"))
    missing_one = stranger.refused("list-tags", stranger.docker("alice/missing"))

    # skopeo begins a line with the time.
    assert private_one.split("level=")[1].replace("private", "missing") == missing_one.split("level=")[1]


@pytest.mark.client("skopeo")
@pytest.mark.parametrize("method", ["GET", "HEAD", "PUT", "DELETE"])
@pytest.mark.parametrize("what", ["manifests/v1", "manifests/{digest}", "blobs/{digest}", "tags/list"])
def test_a_private_repository_answers_like_a_missing_one(
    server: Server, private_digest: str, method: str, what: str
) -> None:
    answers = []
    for repository in ("alice/private", "alice/missing"):
        token = server.token("charlie", f"repository:{repository}:*")
        path = f"/v2/{repository}/{what.format(digest=private_digest)}"
        answer = server.request(method, path, authorization=f"Bearer {token}")
        answers.append(refusal(answer, repository))

    assert answers[0] == answers[1]
    assert answers[0][0] in {401, 405}


@pytest.mark.client("skopeo")
def test_a_blob_is_not_mounted_from_a_repository_that_may_not_be_read(server: Server, private_digest: str) -> None:
    scopes = ("repository:myorg/backend-api:pull,push", "repository:alice/private:pull")
    token = server.token("developer", *scopes)
    path = f"/v2/myorg/backend-api/blobs/uploads/?mount={private_digest}&from=alice/private"

    answer = server.request("POST", path, authorization=f"Bearer {token}", body=b"")

    assert answer.status == 202


@pytest.mark.client("skopeo")
def test_a_tag_that_no_rule_allows_is_named_with_the_rule(skopeo: LogIn, tmp_path: Path) -> None:
    developer, source = skopeo("developer"), image(tmp_path / "image").reference("v1")

    developer.run("copy", source, developer.docker("tagged/app:dev-1"))
    message = developer.refused("copy", source, developer.docker("tagged/app:v1"))

    assert "denied: developer may not push tagged/app:v1: the rule is 'developer may pull, push and delete" in message
    assert "but push and delete only tags dev-*" in message
    developer.run("delete", developer.docker("tagged/app:dev-1"))


@pytest.mark.client("skopeo")
def test_a_denied_tag_is_named_with_the_rule(skopeo: LogIn, tmp_path: Path) -> None:
    alice, source = skopeo("alice"), image(tmp_path / "image").reference("v1")

    alice.run("copy", source, alice.docker("alice/frozen:latest"))
    message = alice.refused("copy", source, alice.docker("alice/frozen:v1"))

    assert "alice may not push alice/frozen:v1: denied by the rule 'alice may not push tags v* of" in message
