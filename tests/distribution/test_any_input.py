"""No input, however odd, is answered with a 5xx or leaves a row behind."""

from urllib.parse import quote

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from acl.models import Rule
from acl.names import InvalidNameError, parse_name
from distribution.models import Manifest, Repository, Tag, Upload
from tests.caller import Caller
from tests.images import digest_of, push_blob

ANY_TEXT = st.text(st.characters(codec="utf-8"), max_size=40)
NEARLY = st.text("ab0./_-:%AZ \0\n@\u00e9\u0661?#\\", max_size=20)
ODD = ANY_TEXT | NEARLY
NUMBERS = st.text("0123456789-,=/* byts\0\u0661", max_size=30)
HEADER = st.text(st.characters(min_codepoint=1, max_codepoint=255, exclude_characters="\r\n"), max_size=40)

examples = settings(
    deadline=None, max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)


@pytest.fixture
def owner(alice: Caller) -> Caller:
    """Let alice do everything everywhere, so that no refusal of access hides what comes after it."""
    Rule.objects.create(subject_kind="account", subject="alice", name="*", actions="*")
    return alice


def rows() -> list[int]:
    return [model.objects.count() for model in (Repository, Upload, Manifest, Tag)]


def is_name(text: str) -> bool:
    try:
        parse_name(text)
    except InvalidNameError:
        return False
    return True


@examples
@given(
    name=ODD.filter(lambda text: not is_name(text)), method=st.sampled_from(["GET", "HEAD", "PUT", "POST", "DELETE"])
)
def test_a_name_that_is_none(owner: Caller, name: str, method: str) -> None:
    token = owner.token("repository:a/b:*")
    for path in ("manifests/v1", f"blobs/{digest_of(b'')}", "blobs/uploads/", "tags/list"):
        response = owner.send(method, f"/v2/{quote(name)}/{path}", token=token)
        assert 400 <= response.status_code < 500

    assert rows() == [0, 0, 0, 0]


@examples
@given(reference=ODD, method=st.sampled_from(["GET", "HEAD", "PUT", "DELETE"]))
def test_a_reference(owner: Caller, reference: str, method: str) -> None:
    token = owner.token("repository:a/b:*")

    response = owner.send(method, f"/v2/a/b/manifests/{quote(reference, safe='')}", b"{}", token=token)

    assert 400 <= response.status_code < 500
    assert Manifest.objects.count() == Tag.objects.count() == 0


@examples
@given(digest=ODD, method=st.sampled_from(["GET", "HEAD", "DELETE"]))
def test_a_digest(owner: Caller, digest: str, method: str) -> None:
    token = owner.token("repository:a/b:*")
    for path in ("blobs", "referrers"):
        response = owner.send(method, f"/v2/a/b/{path}/{quote(digest, safe='')}", token=token)
        assert 400 <= response.status_code < 500

    assert rows() == [0, 0, 0, 0]


@examples
@given(payload=st.binary(max_size=200) | ODD.map(str.encode), content_type=HEADER)
def test_a_manifest(owner: Caller, payload: bytes, content_type: str) -> None:
    response = owner.put("/v2/a/b/manifests/v1", payload, content_type=content_type)

    assert 400 <= response.status_code < 500
    assert Manifest.objects.count() == Tag.objects.count() == 0


@examples
@given(scope=ODD, service=st.just("Docker Registry") | ODD)
def test_a_scope(owner: Caller, scope: str, service: str) -> None:
    response = owner.ask_token(scope, service=service)

    assert response.status_code in (200, 400)


@examples
@given(header=NUMBERS | HEADER)
def test_a_range(owner: Caller, header: str) -> None:
    digest = push_blob(owner, "a/b", b"0123456789")

    response = owner.get(f"/v2/a/b/blobs/{digest}", headers={"Range": header})

    assert response.status_code in (200, 206, 416)
    b"".join(response.streaming_content) if response.streaming else response.content


@examples
@given(header=NUMBERS | HEADER)
def test_a_content_range(owner: Caller, header: str) -> None:
    session = owner.post("/v2/a/b/blobs/uploads/")["Location"]

    response = owner.patch(session, b"0123456789", headers={"Content-Range": header})

    assert response.status_code in (202, 400, 416)
    assert owner.delete(session).status_code == 204


@examples
@given(n=NUMBERS | ODD, last=ODD)
def test_a_page(owner: Caller, n: str, last: str) -> None:
    Repository.objects.get_or_create(name="a/b")
    for path in ("/v2/_catalog", "/v2/a/b/tags/list", f"/v2/a/b/referrers/{digest_of(b'')}"):
        response = owner.get(f"{path}?n={quote(n)}&last={quote(last)}")
        assert response.status_code in (200, 400)


@examples
@given(query=ODD)
def test_a_query_of_an_upload(owner: Caller, query: str) -> None:
    token = owner.token("repository:a/b:pull,push")
    for key in ("digest", "mount", "digest-algorithm"):
        response = owner.post(f"/v2/a/b/blobs/uploads/?{key}={quote(query)}&from={quote(query)}", token=token)
        assert response.status_code in (202, 400)
