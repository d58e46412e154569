"""After any sequence of requests the flags are what their definition says, and every object is named by one row.

held(manifest) = a tag, a parent index, or a subject in the repository; held(link) = a manifest that uses it.
"""

import random
from collections.abc import Callable
from pathlib import Path

import pytest

from distribution.models import Blob, Link, Manifest
from tests.caller import Caller, Response
from tests.distribution.invariants import broken
from tests.distribution.sessions import finish, push_in_chunks, start
from tests.images import descriptor, digest_of, index, manifest, put_manifest

REPOSITORIES = ["alice/one", "alice/two"]
CONTENTS = [b"", b"config", b"first", b"second"]
TAGS = ["v1", "v2"]

IMAGES = [
    manifest(b"config"),
    manifest(b"config", b"first"),
    manifest(b"", b"first", b"second"),
    manifest(b"config", layers=[descriptor(b"second", urls=["https://example.org/layer"])]),
]
INDEXES = [index(IMAGES[0]), index(IMAGES[0], IMAGES[1]), index()]
REFERRERS = [
    manifest(b"config", subject=descriptor(IMAGES[1])),
    index(subject=descriptor(INDEXES[0])),
    index(index(), subject=descriptor(IMAGES[2])),
]
CHAINED = [manifest(b"config", subject=descriptor(REFERRERS[0])), index(REFERRERS[0], subject=descriptor(IMAGES[3]))]
MANIFESTS = [*IMAGES, IMAGES[3], IMAGES[3], *INDEXES, *REFERRERS, *CHAINED]

Step = Callable[[], Response]


class Visitor:
    """Does something at random, as alice."""

    def __init__(self, alice: Caller, seed: int) -> None:
        self._alice = alice
        self._choice = random.Random(seed)
        self._locations: list[str] = []

    def step(self) -> Response:
        """Do one thing, sensible or not."""
        verbs: list[Step] = [self.push, self.push, self.mount, self.put, self.put, self.put, self.put_many]
        verbs += [self.delete_tag, self.delete_manifest, self.delete_blob, self.read, self.upload, self.carry_on]
        verb = self._choice.choice(verbs)
        return verb()

    def push(self) -> Response:
        content = self._choice.choice(CONTENTS)
        return self._alice.post(f"{self._path()}/blobs/uploads/?digest={digest_of(content)}", content)

    def upload(self) -> Response:
        if self._choice.random() < 0.5:
            return push_in_chunks(self._alice, self._choice.choice(REPOSITORIES), b"fir", b"st")
        self._locations.append(start(self._alice, self._choice.choice(REPOSITORIES)))
        return self._alice.get(self._locations[-1])

    def carry_on(self) -> Response:
        if not self._locations:
            return self.upload()
        location, content = self._choice.choice(self._locations[-3:]), self._choice.choice(CONTENTS)
        ways: list[Step] = [
            lambda: self._alice.patch(location, content),
            lambda: finish(self._alice, location, digest_of(content), content),
            lambda: finish(self._alice, location, digest_of(content)),
            lambda: self._alice.delete(location),
        ]
        way = self._choice.choice(ways)
        return way()

    def mount(self) -> Response:
        digest = digest_of(self._choice.choice(CONTENTS))
        scopes = [f"repository:{name}:pull,push,delete" for name in REPOSITORIES]
        source = self._choice.choice(REPOSITORIES)
        return self._alice.post(f"{self._path()}/blobs/uploads/?mount={digest}&from={source}", scopes=scopes)

    def put(self) -> Response:
        payload = self._choice.choice(MANIFESTS)
        reference = self._choice.choice([*TAGS, digest_of(payload)])
        return put_manifest(self._alice, self._choice.choice(REPOSITORIES), reference, payload)

    def put_many(self) -> Response:
        payload = self._choice.choice(MANIFESTS)
        reference = f"{digest_of(payload)}?tag=v1&tag=v2"
        return put_manifest(self._alice, self._choice.choice(REPOSITORIES), reference, payload)

    def delete_tag(self) -> Response:
        return self._alice.delete(f"{self._path()}/manifests/{self._choice.choice(TAGS)}")

    def delete_manifest(self) -> Response:
        return self._alice.delete(f"{self._path()}/manifests/{digest_of(self._choice.choice(MANIFESTS))}")

    def delete_blob(self) -> Response:
        return self._alice.delete(f"{self._path()}/blobs/{digest_of(self._choice.choice(CONTENTS))}")

    def read(self) -> Response:
        return self._alice.head(f"{self._path()}/blobs/{digest_of(self._choice.choice(CONTENTS))}")

    def _path(self) -> str:
        return f"/v2/{self._choice.choice(REPOSITORIES)}"


@pytest.mark.parametrize("seed", range(8))
def test_after_any_sequence_of_requests_everything_holds(disk: Path, alice: Caller, seed: int) -> None:
    visitor = Visitor(alice, seed)

    for _ in range(80):
        response = visitor.step()
        assert response.status_code < 500, response.content
        assert broken(disk) == []


def test_a_sequence_reaches_what_it_is_to_try(disk: Path, alice: Caller) -> None:
    visitor = Visitor(alice, 0)

    statuses = {visitor.step().status_code for _ in range(300)}

    assert {200, 201, 202, 204, 400, 404, 409} <= statuses
    assert Blob.objects.exists()
    assert Link.objects.filter(is_unreferenced=False).exists()
    assert Manifest.objects.filter(is_unreferenced=False).exists()
