"""Two images side by side."""

import pytest
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from tests.caller import Caller
from tests.images import push_image
from tests.web.image.artifacts import HOSTILE, PAGE, image, index, platform
from tests.web.test_pages import signed_in, text_of


def config(version: str, **more: object) -> dict[str, object]:
    labels = {"version": version, "same": "same"}
    return {"os": "linux", "architecture": "amd64", "config": {"Labels": labels, "User": "1000"} | more}


def test_shared_and_own_layers_have_their_sizes(alice: Caller) -> None:
    image(alice, config("1"), b"x" * 100, b"y" * 10, reference="v1")
    image(alice, config("2"), b"x" * 100, b"z" * 20, b"w" * 30, reference="v2")

    page = text_of(signed_in("alice"), f"{PAGE}v1/compare?with=v2")

    for words in (
        "Shared </strong> 1 layer, 100 B",
        "Only in v1</strong> 1 layer, 10 B",
        "Only in v2</strong> 2 layers, 50 B",
    ):
        assert words in page


def test_what_changed_in_configuration_and_annotations_is_listed(alice: Caller) -> None:
    image(alice, config("1", Cmd=["a"]), b"x", reference="v1", annotations={"built": "monday"})
    image(alice, config("2", Cmd=["b"]), b"x", reference="v2", annotations={"built": "tuesday"})

    page = text_of(signed_in("alice"), f"{PAGE}v1/compare?with=v2")

    for words in ('<th scope="row">version</th>', '<th scope="row">Command</th>', "monday", "tuesday"):
        assert words in page
    for words in ('<th scope="row">same</th>', '<th scope="row">User</th>'):
        assert words not in page


def test_a_secret_that_changed_is_listed_and_masked(alice: Caller) -> None:
    image(alice, config("1", Env=["DB_PASSWORD=hunter2", "User=a"]), b"x", reference="v1")
    image(alice, config("1", Env=["DB_PASSWORD=hunter3", "User=b"]), b"x", reference="v2")

    page = text_of(signed_in("alice"), f"{PAGE}v1/compare?with=v2")

    assert '<th scope="row">DB_PASSWORD</th>' in page
    assert "hunter" not in page
    assert "<h2>Environment</h2>" in page
    assert "<h2>Configuration</h2>" not in page


def test_indexes_are_compared_by_platform(alice: Caller) -> None:
    for version in ("1", "2"):
        entries = [image(alice, config(version), f"{name}{version}".encode()) | platform(name) for name in ("b", "a")]
        index(alice, *entries[:: 1 if version == "1" else -1], reference=f"v{version}")
    same = image(alice, config("3"), b"a1")
    index(alice, same | platform("a"), reference="v3")

    page = text_of(signed_in("alice"), f"{PAGE}v1/compare?with=v3&platform=linux/a")

    assert "Shared </strong> 1 layer, 2 B" in page
    assert 'href="?platform=linux%2Fb&amp;with=v3"' in page


@pytest.mark.parametrize("other", ["v1", "DIGEST", "alice/other:v1", "alice/other@DIGEST"])
def test_the_other_image_is_a_tag_a_digest_or_of_another_repository(alice: Caller, other: str) -> None:
    pushed = push_image(alice, "alice/app", "v1")
    push_image(alice, "alice/other", "v1")

    page = text_of(signed_in("bob"), f"{PAGE}v1/compare?with={other.replace('DIGEST', pushed.digest)}")

    assert "Both are the same manifest" in page


@pytest.mark.parametrize(
    "other", ["v2", "sha256:00", "sha256:", "secret/app:v1", "missing/app:v1", ":", "@", "a@b@c", "%00", "%ff", HOSTILE]
)
def test_what_does_not_exist_and_what_is_private_look_alike(alice: Caller, other: str) -> None:
    push_image(alice, "public/tool", "v1")
    push_image(alice, "alice/app", "v1")
    path = f"/repositories/public/tool/-/v1/compare?with={other.replace('secret', 'alice')}"

    answer = Client().get(path)

    # `%00` is an empty string: the form alone.
    assert answer.status_code == (200 if other == "%00" else 404)
    assert ("that you may pull" in answer.content.decode()) is (other != "%00")
    assert b"<script>alert" not in answer.content


def test_the_form_suggests_tags_and_a_private_repository_has_none(alice: Caller) -> None:
    push_image(alice, "alice/app", "v1")
    push_image(alice, "alice/app", "v2", b"another")

    assert '<option value="v2">' in text_of(signed_in("bob"), f"{PAGE}v1/compare")
    assert '<option value="v2">' in text_of(signed_in("bob"), f"{PAGE}v1")
    assert Client().get(f"{PAGE}v1/compare").status_code == 404


def test_a_hostile_config_is_text(alice: Caller) -> None:
    hostile = {"config": {"Labels": {HOSTILE: HOSTILE, "\ud800": "x"}, "Env": [HOSTILE, 7, "\udfff=1"], "Cmd": {}}}
    image(alice, hostile, b"x", reference="v1", annotations={HOSTILE: HOSTILE})
    image(alice, ["no object"], b"y", reference="v2")

    page = text_of(signed_in("alice"), f"{PAGE}v1/compare?with=v2")

    assert "<script>alert" not in page
    assert "A configuration is missing here." in page


def test_an_empty_index_has_nothing_to_compare(alice: Caller) -> None:
    index(alice, reference="v1")
    push_image(alice, "alice/app", "v2")

    assert "nothing to compare" in text_of(signed_in("alice"), f"{PAGE}v1/compare?with=v2")


def test_a_comparison_takes_as_many_queries_for_many_layers(alice: Caller) -> None:
    for name, count in (("small", 1), ("large", 60)):
        image(alice, {"n": name}, *(b"%d" % n for n in range(count)), reference=name)
    browser = signed_in("alice")
    browser.get(f"{PAGE}small/compare?with=small")

    counts = []
    for name in ("small", "large"):
        with CaptureQueriesContext(connection) as queries:
            assert browser.get(f"{PAGE}{name}/compare?with=small").status_code == 200
        counts.append(len(queries))

    assert counts[0] == counts[1] <= 18
