"""Repositories, manifests, tags, blobs and uploads: looked at, never edited."""

import json
from collections.abc import Callable

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from distribution.models import Blob, Manifest, Repository, Tag, Upload
from tests.admin.browser import Browser, staff
from tests.caller import Caller
from tests.images import Image, manifest, push_blob, put_manifest

MODELS = {"repository": Repository, "manifest": Manifest, "tag": Tag, "blob": Blob, "upload": Upload}


def list_of(model: str) -> str:
    return f"/admin/distribution/{model}/"


def first_page_of(model: str) -> str:
    """Return the path of the page of the first row."""
    row = MODELS[model]._default_manager.first()
    assert row is not None
    return f"{list_of(model)}{row.pk}/change/"


@pytest.fixture
def image(push: Callable[..., Image], alice: Caller) -> Image:
    """Push an image, and begin an upload."""
    pushed = push("alice/app", "v1", b"x" * 2048)
    alice.post("/v2/alice/app/blobs/uploads/")
    return pushed


@pytest.mark.parametrize(
    ("model", "shown"),
    [
        ("repository", ["alice/app"]),
        ("tag", ["v1", "alice/app", "oci.image.manifest.v1+json"]),
        ("manifest", ["alice/app", "v1", "oci.image.manifest.v1+json"]),
        ("blob", ["2.0 KiB", "sha256:"]),
        ("upload", ["alice/app", "alice", "0 B"]),
    ],
)
def test_a_list_shows_what_there_is(admin: Browser, image: Image, model: str, shown: list[str]) -> None:
    page = admin.text(list_of(model))

    for text in shown:
        assert text in page


@pytest.mark.parametrize("model", MODELS)
def test_a_page_shows_one_row(admin: Browser, image: Image, model: str) -> None:
    assert "alice" in admin.text(first_page_of(model))


@pytest.mark.parametrize("model", ["manifest", "tag", "blob", "upload"])
def test_nothing_is_added_or_edited(admin: Browser, image: Image, model: str) -> None:
    added = admin.post(f"{list_of(model)}add/", {"name": "mine"})
    changed = admin.post(first_page_of(model), {"name": "mine", "_save": "Save"})

    assert (added.status_code, changed.status_code) == (403, 403)
    assert 'name="_save"' not in admin.text(first_page_of(model))


@pytest.mark.parametrize("model", ["blob", "upload"])
def test_what_has_no_verb_is_not_deleted(admin: Browser, image: Image, model: str) -> None:
    response = admin.post(first_page_of(model).replace("change", "delete"), {"post": "yes"})

    assert response.status_code == 403
    assert "delete_selected" not in admin.text(list_of(model))


@pytest.mark.parametrize("model", MODELS)
def test_staff_without_permission_sees_nothing(cast: None, image: Image, model: str) -> None:
    onlooker = staff("onlooker", "view_rule")

    assert onlooker.get(list_of(model)).status_code == 403
    assert onlooker.get(first_page_of(model)).status_code == 403


@pytest.mark.parametrize(
    ("model", "query", "count"),
    [
        ("repository", "e/ap", 1),
        ("repository", "nothing", 0),
        ("tag", "v1", 1),
        ("tag", "alice/app v1", 1),
        ("tag", "alice/app v2", 0),
        ("manifest", "alice/app", 1),
        ("upload", "alice", 1),
    ],
)
def test_a_list_is_searched(admin: Browser, image: Image, model: str, query: str, count: int) -> None:
    assert admin.get(list_of(model), q=query).context["cl"].result_count == count


def test_content_is_found_by_a_part_of_its_digest(admin: Browser, image: Image) -> None:
    for model, digest in (("manifest", image.digest), ("blob", image.config)):
        found = admin.get(list_of(model), q=digest.partition(":")[2][:12]).context["cl"].result_list

        assert [row.digest for row in found] == [digest]


def test_a_search_with_a_nul_finds_everything_rather_than_failing(admin: Browser, image: Image) -> None:
    assert admin.get(list_of("tag"), q="\0").status_code == 200


@pytest.mark.parametrize(
    ("query", "count"),
    [
        ({"tagged": "yes"}, 1),
        ({"tagged": "no"}, 2),
        ({"in_use": "no"}, 0),
        ({"in_use": "yes"}, 3),
        ({"media_type": "application/vnd.oci.image.index.v1+json"}, 1),
        ({"media_type": "text/html"}, 0),
    ],
)
def test_manifests_are_filtered(admin: Browser, family: Image, query: dict[str, str], count: int) -> None:
    assert admin.get(list_of("manifest"), **query).context["cl"].result_count == count


def test_blobs_are_filtered_by_whether_they_are_sound(admin: Browser, image: Image) -> None:
    Blob.objects.filter(digest=image.config).update(is_corrupt=True)

    counts = [admin.get(list_of("blob"), sound=choice).context["cl"].result_count for choice in ("yes", "no")]

    assert counts == [1, 1]


def test_an_index_leads_to_its_manifests_and_back(admin: Browser, family: Image) -> None:
    parent = Manifest.objects.get(digest=family.digest)
    child = Manifest.objects.filter(parents__parent=parent).first()
    assert child is not None

    assert f"/admin/distribution/manifest/{child.pk}/change/" in admin.text(f"{list_of('manifest')}{parent.pk}/change/")
    assert f"/admin/distribution/manifest/{parent.pk}/change/" in admin.text(f"{list_of('manifest')}{child.pk}/change/")


def test_a_repository_leads_to_its_tags(admin: Browser, image: Image) -> None:
    repository = Repository.objects.get(name="alice/app")
    link = f"{list_of('tag')}?repository__id__exact={repository.pk}"

    assert link in admin.text(list_of("repository"))
    assert admin.get(link).context["cl"].result_count == 1


def test_what_was_pushed_is_shown_and_not_run(admin: Browser, alice: Caller) -> None:
    attack = "</pre><script>alert(1)</script>"
    push_blob(alice, "alice/app", b"{}")
    put_manifest(alice, "alice/app", "v1", manifest(b"{}", annotations={"title": attack, attack: "title"}))

    page = admin.text(first_page_of("manifest"))

    assert "alert(1)" in page
    assert "<script>alert" not in page


def test_the_payload_is_shown_indented(admin: Browser, image: Image) -> None:
    page = admin.text(first_page_of("manifest"))

    shown = json.dumps(json.loads(image.payload), indent=2).replace('"', "&quot;")
    assert shown in page


@pytest.mark.parametrize("model", ["repository", "manifest", "tag", "blob", "upload"])
def test_a_list_costs_the_same_for_more_rows(
    admin: Browser, push: Callable[..., Image], alice: Caller, model: str
) -> None:
    push("alice/app-0", "v1")
    alice.post("/v2/alice/app-0/blobs/uploads/")
    admin.text(list_of(model))
    with CaptureQueriesContext(connection) as few:
        admin.text(list_of(model))
    for number in range(1, 6):
        push(f"alice/app-{number}", "v1", str(number).encode())
        alice.post(f"/v2/alice/app-{number}/blobs/uploads/")

    with CaptureQueriesContext(connection) as many:
        admin.text(list_of(model))

    assert len(many) == len(few)


def test_no_list_reads_the_bytes_of_manifests(admin: Browser, image: Image) -> None:
    with CaptureQueriesContext(connection) as queries:
        admin.text(list_of("manifest"))
        admin.text(list_of("tag"))

    assert not [query["sql"] for query in queries if "payload" in query["sql"]]
