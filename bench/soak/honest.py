"""Honest clients: each does a round of requests on one connection, and says of each what may be answered and why."""

import http.client
import json
import random
import time
from collections.abc import Callable, Mapping
from contextlib import closing, suppress
from urllib.parse import urlencode

from bench.soak.ledger import LOST
from bench.soak.world import REPOSITORIES, RESTRICTED, Image, Rights, World
from tests.attack.admin_session import AdminSession
from tests.clients.server import Answer, basic, password_of
from tests.images import digest_of, index, manifest

PATIENCE_SECONDS = 60
PAUSE_SECONDS = 0.4
TAGS = 4
MANIFEST_TYPE = {"Content-Type": "application/vnd.oci.image.manifest.v1+json"}
INDEX_TYPE = {"Content-Type": "application/vnd.oci.image.index.v1+json"}
FORM = {"Content-Type": "application/x-www-form-urlencoded"}
Explain = Callable[[int], str | None]
"""Says why an answer with this status is as it should be; asked once the answer is there."""


def only(reasons: Mapping[int, str]) -> Explain:
    """Return what explains these statuses whenever they come."""
    return reasons.get


NONE = only({})
CUT = only({404: "an earlier answer was lost, so the client doesn't know whether it is still there"})
EMPTY = only({404: "nothing was pushed there yet"})


class RoundOverError(Exception):
    """An answer that is no success ends the round; it has been explained or noted."""


class Client:
    """Does rounds until the soak is over."""

    account = "alice"

    def __init__(self, world: World, name: str) -> None:
        """Have no connection yet."""
        self.world, self.name, self.ledger = world, name, world.ledger
        self.chance: random.Random = world.chance(name)
        self.rounds = self.losses = 0
        self._http = self._new_connection()

    def _new_connection(self) -> http.client.HTTPConnection:
        return http.client.HTTPConnection("127.0.0.1", self.world.server.port, timeout=PATIENCE_SECONDS)

    def act(self) -> None:
        """Do rounds until the soak is over."""
        while not self.world.is_over.is_set():
            self.rounds += 1
            try:
                with closing(self._new_connection()) as self._http:
                    self.round()
            except RoundOverError:
                pass
            else:
                self.ledger.count(f"rounds of {type(self).__name__}")
            self.world.is_over.wait(self.chance.random() * 2 * PAUSE_SECONDS)

    def round(self) -> None:
        """Do something once."""
        raise NotImplementedError

    def send(
        self,
        method: str,
        path: str,
        *,
        authorization: str = "",
        body: bytes | None = None,
        more: Mapping[str, str] | None = None,
        expected: Explain = NONE,
    ) -> Answer:
        """Send a request and return its answer. Raises RoundOverError unless it is 2xx."""
        what, since = f"{method} {kind_of(path)}", time.monotonic()
        headers = ({"Authorization": authorization} if authorization else {}) | dict(more or {})
        try:
            self._http.request(method, path, body, headers)
            response = self._http.getresponse()
            received = {name.lower(): value for name, value in response.getheaders()}
            answer = Answer(response.status, received, response.read())
        except (OSError, http.client.HTTPException) as error:
            self._http.close()
            self.losses += 1
            self.ledger.note(what, LOST, since, NONE, f"{self.name}: {path}: {type(error).__name__} {error}")
            raise RoundOverError from error
        detail = f"{self.name}: {path}: {answer.body[:300]!r}"
        may_retry = "retry-after" in answer.headers
        self.ledger.note(what, answer.status, since, expected, detail, may_retry=may_retry)
        if not 200 <= answer.status < 300:
            raise RoundOverError
        return answer

    def token(self, *scopes: str, expected: Explain = NONE) -> str:
        """Log in, and return the Authorization header for `scopes`."""
        query = urlencode([("service", "Docker Registry"), *(("scope", scope) for scope in scopes)])
        login = basic(self.account) if self.account else ""
        answer = self.send("GET", f"/v2/token?{query}", authorization=login, expected=expected)
        return f"Bearer {json.loads(answer.body)['token']}"

    def check(self, content: bytes, digest: str) -> None:
        """Compare bytes with their digest."""
        if digest_of(content) != digest:
            self.ledger.fault(f"{self.name}: other bytes came for {digest}")


class Pusher(Client):
    """Pushes images under a few tags of its own, in one go or in chunks; deletes one now and then."""

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.repository = self.chance.choice(REPOSITORIES)
        self.account = "developer" if self.repository.startswith("myorg/") else "alice"
        self.own: dict[str, Image] = {}

    def round(self) -> None:
        """Push an image; delete an older one."""
        bearer = self.token(f"repository:{self.repository}:pull,push,delete")
        tag = f"{self.name}-{self.rounds % TAGS}"
        if tag in self.own and self.chance.random() < 0.5:
            self.delete(tag, bearer)
        layer, config = self.chance.randbytes(self.chance.choice([100, 20_000, 300_000])), tag.encode()
        for blob in (config, layer):
            self.upload(blob, bearer)
        payload = manifest(config, layer, annotations={"of": f"{self.name} {self.rounds}"})
        self.put(tag, payload, bearer, {digest_of(blob): blob for blob in (config, layer)})
        if self.rounds % 5 == 0:
            path = f"/v2/{self.repository}/manifests/{self.name}-index"
            self.send("PUT", path, authorization=bearer, body=index(payload), more=INDEX_TYPE)

    def put(self, tag: str, payload: bytes, bearer: str, blobs: dict[str, bytes]) -> None:
        """Move a tag to an image; what it named may be collected from now on."""
        if tag in self.own:
            self.own.pop(tag).is_gone = True
        path = f"/v2/{self.repository}/manifests/{tag}"
        self.send("PUT", path, authorization=bearer, body=payload, more=MANIFEST_TYPE)
        self.own[tag] = image = Image(self.repository, tag, payload, blobs)
        self.world.publish(image)

    def delete(self, tag: str, bearer: str) -> None:
        """Delete a tag."""
        self.own.pop(tag).is_gone = True
        path = f"/v2/{self.repository}/manifests/{tag}"
        self.send("DELETE", path, authorization=bearer, expected=CUT if self.losses else NONE)

    def upload(self, blob: bytes, bearer: str) -> None:
        """Push a blob, as one client or another does."""
        start, digest = f"/v2/{self.repository}/blobs/uploads/", digest_of(blob)
        way = self.chance.choice(["whole", "put", "chunks"])
        if way == "whole":
            self.send("POST", f"{start}?digest={digest}", authorization=bearer, body=blob)
            return
        location = self.send("POST", start, authorization=bearer, body=b"").headers["location"]
        middle = len(blob) // 2 if way == "chunks" else 0
        if middle:
            self.send("PATCH", location, authorization=bearer, body=blob[:middle])
        self.send("PUT", f"{location}?digest={digest}", authorization=bearer, body=blob[middle:])


class Puller(Client):
    """Pulls whole images and compares every byte."""

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self.account = self.chance.choice(["alice", "developer"])

    def round(self) -> None:
        """Pull an image by its digest."""
        image = self.world.some_image(self.chance)
        if image is None:
            return
        bearer = self.token(f"repository:{image.repository}:pull")
        for path, digest in (
            (f"manifests/{digest_of(image.payload)}", digest_of(image.payload)),
            *((f"blobs/{digest}", digest) for digest in image.blobs),
        ):
            expected = gone(image)
            answer = self.send("GET", f"/v2/{image.repository}/{path}", authorization=bearer, expected=expected)
            self.check(answer.body, digest)


def gone(image: Image) -> Explain:
    """Return what explains a 404 once the owner of the image has moved or deleted its tag."""
    return lambda status: "its owner had moved or deleted the tag" if status == 404 and image.is_gone else None


class Mounter(Client):
    """Mounts blobs of one repository into another, and pushes a manifest of them."""

    def round(self) -> None:
        """Mount the blobs of an image, and tag it."""
        image = self.world.some_image(self.chance)
        if image is None or image.repository == "alice/two":
            return
        bearer = self.token("repository:alice/two:pull,push", f"repository:{image.repository}:pull")
        for digest in image.blobs:
            path = f"/v2/alice/two/blobs/uploads/?mount={digest}&from={image.repository}"
            answer = self.send("POST", path, authorization=bearer, body=b"", expected=gone(image))
            if answer.status == 202:
                self.send("DELETE", answer.headers["location"], authorization=bearer)
                if not image.is_gone:
                    self.ledger.fault(f"{self.name}: {digest} could not be mounted from {image.repository}")
                return
        path = f"/v2/alice/two/manifests/{self.name}-{self.rounds % TAGS}"
        self.send("PUT", path, authorization=bearer, body=image.payload, more=MANIFEST_TYPE)


class Lister(Client):
    """Lists tags, repositories and referrers, page after page."""

    def round(self) -> None:
        """List everything once."""
        repository = self.chance.choice(REPOSITORIES)
        bearer = self.token("registry:catalog:*", f"repository:{repository}:pull")
        self.send("GET", "/v2/_catalog?n=2", authorization=bearer)
        self.send("GET", f"/v2/{repository}/tags/list?n=3", authorization=bearer, expected=EMPTY)
        self.send("GET", f"/v2/{repository}/referrers/{digest_of(b'')}", authorization=bearer)


class Quitter(Client):
    """Opens uploads, and cancels or leaves them."""

    def round(self) -> None:
        """Open one, send a part, go away."""
        bearer = self.token("repository:alice/one:pull,push")
        opened = self.send("POST", "/v2/alice/one/blobs/uploads/", authorization=bearer, body=b"")
        location = opened.headers["location"]
        self.send("PATCH", location, authorization=bearer, body=self.chance.randbytes(2000))
        # Left ones would expire after a day, and their rows be taken for a leak.
        self.send("DELETE", location, authorization=bearer)


class Refresher(Client):
    """Stays logged in by a refresh token, as docker does."""

    def __init__(self, world: World, name: str) -> None:
        super().__init__(world, name)
        self._refresh = ""

    def round(self) -> None:
        """Redeem the token; log in first, the first time."""
        if not self._refresh:
            path = "/v2/token?service=Docker+Registry&offline_token=true&client_id=soak"
            self._refresh = json.loads(self.send("GET", path, authorization=basic(self.account)).body)["refresh_token"]
        fields = {"grant_type": "refresh_token", "service": "Docker Registry", "client_id": "soak"}
        body = urlencode(fields | {"refresh_token": self._refresh, "scope": "repository:alice/one:pull"}).encode()
        answer = self.send("POST", "/v2/token", body=body, more=FORM)
        bearer = f"Bearer {json.loads(answer.body)['token']}"
        self.send("GET", "/v2/alice/one/tags/list", authorization=bearer, expected=EMPTY)


class ApiUser(Client):
    """Uses the JSON API and /health."""

    def round(self) -> None:
        """Ask for each once."""
        for path in ("/api/v1/whoami", "/api/v1/repositories"):
            self.send("GET", path, authorization=basic(self.account))
        self.send("GET", "/health")


class Stranger(Client):
    """Comes without a password, or with a wrong one."""

    account = ""

    def round(self) -> None:
        """Ask for what is public, and for what is not."""
        bearer = self.token("repository:public/large:pull", "repository:alice/one:pull")
        self.send("GET", "/v2/public/large/referrers/" + digest_of(b""), authorization=bearer)
        refused = only({401: "nobody may pull it without a login"})
        with suppress(RoundOverError):
            self.send("GET", "/v2/alice/one/tags/list", authorization=bearer, expected=refused)


class Administrator(Client):
    """Logs in to the admin, looks around, logs out."""

    def round(self) -> None:
        """Open some pages."""
        browser, since = AdminSession(self.world.server.port), time.monotonic()
        pages = ("", "distribution/repository/", "accounts/account/", "acl/rule/")
        moved = only({302: "a form leads to a page"})
        try:
            answers = [("POST admin/login", browser.log_in("admin", password_of("admin")))]
            answers += [("GET admin", browser.get(f"/admin/{page}")) for page in pages]
            answers += [("POST admin/logout", browser.log_out())]
        except (OSError, AssertionError, ValueError) as error:
            self.ledger.note("GET admin", LOST, since, NONE, f"{self.name}: {type(error).__name__} {error}")
            raise RoundOverError from error
        for what, answer in answers:
            expected = moved if what.startswith("POST") else NONE
            may_retry = bool(answer.header("retry-after"))
            self.ledger.note(what, answer.status, since, expected, f"{answer.body[:200]!r}", may_retry=may_retry)


class Restricted(Client):
    """May pull at some times and not at others: what is answered has to be what is allowed at that moment."""

    account = RESTRICTED

    def round(self) -> None:
        """Pull with a token that was asked for just now, and again with the same one."""
        image = self.world.some_image(self.chance)
        if image is None or not image.repository.startswith("alice/"):
            return
        rights = self.world.rights
        bearer = self.token(f"repository:{image.repository}:pull")
        for _ in range(3):
            self.pull(image, bearer, rights)
            self.world.is_over.wait(0.2)

    def pull(self, image: Image, bearer: str, rights_of_token: Rights | None) -> None:
        """Pull the manifest, and compare the answer with the rights, unless they changed meanwhile."""
        before = self.world.rights

        def explain(status: int) -> str | None:
            is_open = before is not None and before.is_granted and before is rights_of_token is self.world.rights
            if status == 401 and not is_open:
                return "its right had been taken away, or came after its token"
            return gone(image)(status)

        path = f"/v2/{image.repository}/manifests/{digest_of(image.payload)}"
        self.send("GET", path, authorization=bearer, expected=explain)
        if before is not None and not before.is_granted and before is self.world.rights:
            self.ledger.fault(f"{self.name}: pulled {path} though the right had been taken away")


def kind_of(path: str) -> str:
    """Return which kind of thing a path names."""
    bare = path.partition("?")[0]
    for part in ("/uploads/", "/blobs/", "/manifests/", "/tags/", "/referrers/"):
        if part in bare:
            return part.strip("/")
    return bare.strip("/").removeprefix("v2/")


CAST: dict[type[Client], int] = {
    Pusher: 3,
    Puller: 3,
    Mounter: 1,
    Lister: 1,
    Quitter: 1,
    Refresher: 1,
    ApiUser: 1,
    Stranger: 1,
    Administrator: 1,
    Restricted: 2,
}
