"""A client that repeats what an outage interrupted, as docker and containerd do, and takes no other fault."""

import http.client
import json
import ssl
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from threading import Lock
from urllib.parse import urlencode
from urllib.request import urlopen

from tests.clients.server import Answer, basic
from tests.images import digest_of

GATEWAY_ERRORS = (502, 503, 504)
PATIENCE_SECONDS = 120
PAUSE_SECONDS = 0.2
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"


class Interrupted(Exception):  # noqa: N818 - an event, which is expected
    """The answer to a request is lost, or was that of a proxy."""


class BegunInVain(Exception):  # noqa: N818 - likewise
    """An upload has to begin again."""


class Outages:
    """When requests may fail, and how many did."""

    def __init__(self) -> None:
        self._lock = Lock()
        self._periods: list[list[float]] = []
        self.failures: list[str] = []
        self.begun_anew = 0

    @contextmanager
    def lasting(self) -> Iterator[None]:
        """Excuse the requests that are under way at some time during the block."""
        period = [time.monotonic(), float("inf")]
        self._periods.append(period)
        yield
        period[1] = time.monotonic()

    def excuse(self, failure: str, asked_at: float) -> None:
        """Count a failed request; AssertionError without an outage since it was sent."""
        now = time.monotonic()
        assert any(begin <= now and asked_at <= end for begin, end in self._periods), f"{failure} without an outage"
        with self._lock:
            self.failures.append(failure)

    def begin_anew(self) -> None:
        """Count an upload that began again."""
        with self._lock:
            self.begun_anew += 1


class PersistentClient:
    """Pushes in chunks and pulls, over one connection, with a token for each image."""

    def __init__(self, host: str, tls: ssl.SSLContext, account: str, outages: Outages) -> None:
        self.connection = http.client.HTTPSConnection(host, context=tls, timeout=60)
        self.account, self.outages, self.token = account, outages, ""

    def log_in(self, repository: str) -> str:
        """Take a new token for pushing to and pulling from a repository."""
        scope = urlencode({"service": "Docker Registry", "scope": f"repository:{repository}:pull,push"})
        answer = self.ask("GET", f"/v2/token?{scope}", 200, Authorization=basic(self.account))
        self.token = json.loads(answer.body)["token"]
        return self.token

    def push(self, repository: str, content: bytes, chunk_bytes: int) -> None:
        """Push a blob, if it is not there, in chunks; begin again when an outage left its upload in use."""
        digest = digest_of(content)
        if self.ask("HEAD", f"/v2/{repository}/blobs/{digest}", 200, 404).status == 200:
            return
        while True:
            location = self.ask("POST", f"/v2/{repository}/blobs/uploads/", 202).headers["location"]
            with suppress(BegunInVain):
                location = self._send_chunks(location, content, chunk_bytes)
                self._complete(location, repository, digest)
                return
            self.outages.begin_anew()

    def put_manifest(self, repository: str, tag: str, payload: bytes) -> None:
        """Push a manifest."""
        path = f"/v2/{repository}/manifests/{tag}"
        answer = self.ask("PUT", path, 201, body=payload, **{"Content-Type": MANIFEST_TYPE})
        assert answer.headers["docker-content-digest"] == digest_of(payload)

    def pull(self, repository: str, tag: str) -> bytes:
        """Pull an image, compare every blob with its digest, and return the manifest."""
        payload = self.ask("GET", f"/v2/{repository}/manifests/{tag}", 200).body
        manifest = json.loads(payload)
        for digest in {blob["digest"] for blob in (manifest["config"], *manifest["layers"])}:
            answer = self.ask("GET", f"/v2/{repository}/blobs/{digest}", 200, 307)
            assert digest_of(followed(answer)) == digest
        return payload

    def ask(self, method: str, path: str, *expected: int, body: bytes | None = None, **headers: str) -> Answer:
        """Return an answer with an expected status, and repeat the request while an outage interrupts it."""
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            try:
                return self.ask_once(method, path, *expected, body=body, **headers)
            except Interrupted:
                assert time.monotonic() < deadline, f"{method} {path} does not succeed"
                time.sleep(PAUSE_SECONDS)

    def ask_once(self, method: str, path: str, *expected: int, body: bytes | None = None, **headers: str) -> Answer:
        """Return an answer with an expected status. Raises Interrupted; AssertionError without an outage."""
        asked_at = time.monotonic()
        try:
            self.connection.request(method, path, body, {"Authorization": f"Bearer {self.token}"} | headers)
            response = self.connection.getresponse()
            received = {name.lower(): value for name, value in response.getheaders()}
            answer = Answer(response.status, received, response.read())
        except (OSError, http.client.HTTPException) as error:
            self.connection.close()
            self.outages.excuse(f"{method} {path}: {error!r}", asked_at)
            raise Interrupted from error
        if answer.status in GATEWAY_ERRORS and answer.status not in expected:
            self.outages.excuse(f"{method} {path}: {answer.status} {answer.body!r}", asked_at)
            raise Interrupted
        assert answer.status in expected, f"{method} {path}: {answer.status} {answer.body!r}"
        return answer

    def _send_chunks(self, location: str, content: bytes, chunk_bytes: int) -> str:
        """Send the chunks, after an interruption from the offset that the server tells."""
        offset, is_interrupted = 0, False
        while offset < len(content):
            chunk = content[offset : offset + chunk_bytes]
            end = offset + len(chunk)
            try:
                answer = self._patch(location, chunk, offset, is_interrupted=is_interrupted)
            except Interrupted:
                is_interrupted = True
                answer = self.ask("GET", location, 204)
            location = answer.headers["location"]
            stands_at = offset_of(answer)
            assert offset <= stands_at <= end, f"{location}: {stands_at} is not in {offset} to {end}"
            offset = stands_at
        return location

    def _patch(self, location: str, chunk: bytes, offset: int, *, is_interrupted: bool) -> Answer:
        place = {"Content-Range": f"{offset}-{offset + len(chunk) - 1}", "Content-Type": "application/octet-stream"}
        # The lease of a killed replica lasts some seconds, also after the outage.
        expected = (202, 503) if is_interrupted else (202,)
        deadline = time.monotonic() + PATIENCE_SECONDS
        while True:
            answer = self.ask_once("PATCH", location, *expected, body=chunk, **place)
            if answer.status == 202:
                return answer
            assert time.monotonic() < deadline, answer.body
            time.sleep(int(answer.headers.get("retry-after", "1")))

    def _complete(self, location: str, repository: str, digest: str) -> None:
        try:
            self.ask_once("PUT", f"{location}{'&' if '?' in location else '?'}digest={digest}", 201)
        except Interrupted as interruption:
            if self.ask("HEAD", f"/v2/{repository}/blobs/{digest}", 200, 404).status == 404:
                raise BegunInVain from interruption


def offset_of(answer: Answer) -> int:
    """Return how many bytes an upload has. `0-0` means none: a chunk has more than one byte here."""
    last = int(answer.headers["range"].partition("-")[2])
    return last + 1 if last else 0


def followed(answer: Answer) -> bytes:
    """Return the body, of a redirect that of its target."""
    if answer.status != 307:
        return answer.body
    with urlopen(answer.headers["location"], timeout=60) as target:
        content: bytes = target.read()
        return content
