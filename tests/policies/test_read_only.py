"""Read-only mode, and deletion that is switched off."""

from collections.abc import Callable

import pytest
from django.core.management import CommandError, call_command

from distribution.models import Tag
from policies.models import ReadOnly
from tests.api.asking import ask
from tests.caller import Caller, error_codes
from tests.images import Image, put_manifest


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
