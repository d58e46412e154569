"""Read-only mode, and deletion that is switched off."""

from collections.abc import Callable
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from distribution import blobs
from distribution.manifests import store
from distribution.models import Blob, Tag
from distribution.uploads import sessions
from policies.models import Policy, Quota, ReadOnly
from tests.api.asking import ask
from tests.caller import Caller, error_codes
from tests.images import Image, digest_of, put_manifest


@pytest.fixture
def image(push: Callable[..., Image]) -> Image:
    return push("alice/app", "v1")


def test_nothing_is_pushed(alice: Caller, image: Image, read_only: ReadOnly) -> None:
    for response in (
        alice.post("/v2/alice/app/blobs/uploads/"),
        alice.post(f"/v2/alice/app/blobs/uploads/?mount={image.config}&from=alice/other"),
        put_manifest(alice, "alice/app", "v1", image.payload),
    ):
        assert (response.status_code, error_codes(response)) == (403, ["DENIED"])
        assert response.json()["errors"][0]["message"] == "alice/app is read-only: until noon"


def test_an_upload_that_has_begun_does_not_end(alice: Caller, image: Image) -> None:
    session = alice.post("/v2/alice/app/blobs/uploads/").headers["Location"]
    policy = ReadOnly.objects.create(repositories="*")
    assert alice.patch(session, b"bytes").status_code == 403

    policy.delete()

    assert alice.patch(session, b"bytes").status_code == 202


def when_the_body_has_been_read(monkeypatch: pytest.MonkeyPatch, module: Any, name: str, policy: Policy) -> None:
    """Save a policy when a request has read its body, and calls a function of `module` with it."""
    function = getattr(module, name)

    def begin(*args: Any, **kwargs: Any) -> Any:
        policy.save()
        return function(*args, **kwargs)

    monkeypatch.setattr(module, name, begin)


def refused_with(response: Any) -> str:
    assert (response.status_code, error_codes(response)) == (403, ["DENIED"])
    return str(response.json()["errors"][0]["message"])


UNTIL_NOON = "alice/app is read-only: until noon"


@pytest.mark.parametrize("is_chunked", [False, True])
def test_a_closing_put_that_began_before_is_refused(
    alice: Caller, image: Image, monkeypatch: pytest.MonkeyPatch, is_chunked: bool
) -> None:
    content = b"a blob that comes slowly"
    session = alice.post("/v2/alice/app/blobs/uploads/").headers["Location"]
    policy = ReadOnly(repositories="alice/*", message="until noon")
    when_the_body_has_been_read(monkeypatch, sessions, "_publish", policy)

    response = alice.put(f"{session}?digest={digest_of(content)}", content, chunked=is_chunked)

    assert refused_with(response) == UNTIL_NOON
    assert not Blob.objects.filter(digest=digest_of(content)).exists()


def test_a_manifest_that_began_to_come_before_is_refused(
    alice: Caller, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    policy = ReadOnly(repositories="alice/*", message="until noon")
    when_the_body_has_been_read(monkeypatch, store, "_put", policy)

    assert refused_with(put_manifest(alice, "alice/app", "v2", image.payload)) == UNTIL_NOON
    assert not Tag.objects.filter(name="v2").exists()


def test_a_mount_that_began_before_is_refused(
    alice: Caller, image: Image, push: Callable[..., Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    other = push("public/app", "v1", b"other")
    policy = ReadOnly(repositories="alice/*", message="until noon")
    when_the_body_has_been_read(monkeypatch, blobs, "_mount", policy)
    path = f"/v2/alice/app/blobs/uploads/?mount={other.layers[0]}&from=public/app"

    response = alice.post(path, scopes=["repository:public/app:pull", "repository:alice/app:pull,push"])

    assert refused_with(response) == UNTIL_NOON


def test_a_quota_that_begins_while_a_body_comes_counts(
    alice: Caller, image: Image, monkeypatch: pytest.MonkeyPatch
) -> None:
    content = b"b" * 4096
    when_the_body_has_been_read(monkeypatch, sessions, "_publish", Quota(repositories="*", max_size=1024))

    response = alice.post(f"/v2/alice/app/blobs/uploads/?digest={digest_of(content)}", content)

    assert "quota exceeded" in refused_with(response)
    assert not Blob.objects.filter(digest=digest_of(content)).exists()


def test_nothing_is_deleted(alice: Caller, image: Image, read_only: ReadOnly) -> None:
    assert alice.delete("/v2/alice/app/manifests/v1").status_code == 403
    assert alice.delete(f"/v2/alice/app/manifests/{image.digest}").status_code == 403
    assert alice.delete(f"/v2/alice/app/blobs/{image.config}").status_code == 403
    for path in ("", "/-/tags/v1", f"/-/manifests/{image.digest}"):
        assert ask(alice, "DELETE", f"repositories/alice/app{path}").status_code == 403
    assert Tag.objects.filter(name="v1").exists()


def test_it_is_pulled_from(alice: Caller, image: Image, read_only: ReadOnly) -> None:
    assert alice.get("/v2/alice/app/manifests/v1").status_code == 200


def test_another_repository_is_pushed_to(alice: Caller, image: Image) -> None:
    ReadOnly.objects.create(repositories="alice/other")

    assert put_manifest(alice, "alice/app", "v2", image.payload).status_code == 201


def test_the_command_switches_it_on_and_off(alice: Caller, image: Image, capsys: pytest.CaptureFixture[str]) -> None:
    call_command("readonly", "on", "--repositories", "alice/*", "--message", "the disk is replaced")
    assert put_manifest(alice, "alice/app", "v1", image.payload).status_code == 403

    call_command("readonly", "off", "--repositories", "alice/*")

    assert put_manifest(alice, "alice/app", "v1", image.payload).status_code == 201
    assert capsys.readouterr().out.splitlines() == [
        "alice/* is read-only: the disk is replaced",
        "Nothing is read-only.",
    ]


def test_off_without_such_a_mode_fails(cast: None) -> None:
    with pytest.raises(CommandError, match="No read-only mode"):
        call_command("readonly", "off")


def test_deletion_is_switched_off(alice: Caller, image: Image, no_deletion: None) -> None:
    for reference in ("v1", image.digest):
        response = alice.delete(f"/v2/alice/app/manifests/{reference}")
        assert (response.status_code, error_codes(response)) == (405, ["UNSUPPORTED"])
    for path in ("", "/-/tags/v1", f"/-/manifests/{image.digest}"):
        response = ask(alice, "DELETE", f"repositories/alice/app{path}")
        assert (response.status_code, "storage.deletion" in response.json()["detail"]) == (405, True)
    assert Tag.objects.exists()


def test_a_tag_moves_while_deletion_is_switched_off(
    alice: Caller, push: Callable[..., Image], no_deletion: None
) -> None:
    push("alice/app", "v1")
    push("alice/app", "v1", b"other")
