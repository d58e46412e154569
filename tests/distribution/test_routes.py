"""A path leads to the view that the table of patterns names, whether or not another path stood for it."""

from itertools import product
from uuid import UUID

import pytest
from django.urls import get_resolver

from distribution.middleware import Match, match_of
from tests.images import digest_of

SESSIONS = (str(UUID(int=1)), str(UUID(int=0)), str(UUID(int=10**30)).upper())
DIGESTS = (
    digest_of(b"one"),
    digest_of(b"two"),
    f"sha256:{'0' * 64}",
    digest_of(b"one", "sha512"),
    "sha256:" + "G" * 64,
)
LASTS = (*SESSIONS, *DIGESTS, "v1", "", "uploads", "list", f"{SESSIONS[0]}\n", f"{DIGESTS[0]}\n")
NAMES = (
    "app",
    "alice/app",
    "blobs",
    "a/blobs/uploads",
    "a/manifests/v1",
    *DIGESTS[:3],
    f"a/{SESSIONS[1]}",
    "a\nb",
    "a" * 300,
)
KEYWORDS = ("manifests", "blobs", "blobs/uploads", "referrers", "tags", "_catalog", "other", "")


@pytest.mark.parametrize("keyword", KEYWORDS)
def test_every_path_is_resolved_as_the_patterns_say(keyword: str) -> None:
    for name, last in product(NAMES, LASTS):
        path = f"/v2/{name}/{keyword}/{last}"
        found = get_resolver("distribution.urls").resolve(path)
        for _ in range(2):
            assert match_of(path) == Match(found.func, found.kwargs, found.url_name), path


@pytest.mark.parametrize("path", ["/v2", "/v2/", f"/v2/{DIGESTS[0]}", f"/v2/{SESSIONS[0]}", f"/v2/token/{DIGESTS[0]}"])
def test_a_short_path_is_too(path: str) -> None:
    found = get_resolver("distribution.urls").resolve(path)

    assert match_of(path) == Match(found.func, found.kwargs, found.url_name)
