"""What clients ask a registry, one question a column of the table in docs/operations.md."""

import json
from base64 import b64encode
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from itertools import count
from urllib.parse import urlencode

from tests.clients.browser import Browser
from tests.clients.server import Answer, basic, password_of
from tests.faults.pusher import SHARED, Artifact, Pusher
from tests.faults.registry import Registry
from tests.images import digest_of

IMAGE = Artifact(b"a layer", (b"that was ", b"there before"))
FORM = {"Content-Type": "application/x-www-form-urlencoded"}


class Clients:
    """Those who ask, with an image, a token and a login from before; `ask` has each of them ask at once."""

    def __init__(self, registry: Registry) -> None:
        """Push an image, and log in for good."""
        self._registry = registry
        self._alice = Pusher(registry, SHARED)
        self._alice.upload_whole(IMAGE.shared)
        self._alice.push(IMAGE)
        kept = self._log_in(grant_type="password", access_type="offline", username="bob", password=password_of("bob"))
        self._refresh_token = json.loads(kept.body)["refresh_token"]
        # Each logs in once: a password that is remembered asks the database less.
        self._strangers = iter(("charlie", "developer", "admin"))
        self._numbers = count()

    def ask(self) -> dict[str, str]:
        """Return the answers by question, all of them asked at once about an image that nobody wanted for days."""
        questions: dict[str, Callable[[], str]] = {
            "GET manifest": lambda: self._pulled("GET", "manifests/v1", IMAGE.payload),
            "HEAD manifest": lambda: self._pulled("HEAD", "manifests/v1", b""),
            "GET blob": lambda: self._pulled("GET", f"blobs/{digest_of(IMAGE.layer)}", IMAGE.layer),
            "tags/list": lambda: str(self._alice.send("GET", "tags/list").status),
            "password": self._password,
            "refresh token": self._refreshed,
            "wrong password": self._wrong_password,
            "admin": self._admin,
            "push": lambda: str(self._alice.send("POST", "blobs/uploads/", b"").status),
            "/health": self._health,
        }
        with ThreadPoolExecutor(len(questions)) as crowd:
            asked = {name: crowd.submit(question) for name, question in questions.items()}
            return {name: answer.result() for name, answer in asked.items()}

    def _pulled(self, method: str, path: str, content: bytes) -> str:
        answer = self._alice.send(method, path)
        assert answer.status != 200 or answer.body == content
        return str(answer.status)

    def _password(self) -> str:
        return str(self._registry.request("GET", "/v2/token", authorization=basic(next(self._strangers))).status)

    def _wrong_password(self) -> str:
        wrong = b64encode(f"alice:guess {next(self._numbers)}".encode()).decode()
        return str(self._registry.request("GET", "/v2/token", authorization=f"Basic {wrong}").status)

    def _refreshed(self) -> str:
        return str(self._log_in(grant_type="refresh_token", refresh_token=self._refresh_token).status)

    def _log_in(self, **fields: str) -> Answer:
        form = urlencode({"service": "Docker Registry", "client_id": "docker"} | fields).encode()
        return self._registry.request("POST", "/v2/token", body=form, more=FORM)

    def _admin(self) -> str:
        """Log in, and open a page."""
        browser = Browser(f"http://{self._registry.host}")
        login = browser.log_in("admin")
        if login.status != 200:
            return str(login.status)
        page = browser.get("/admin/accounts/account/")
        assert b"/admin/logout/" in page.body
        return str(page.status)

    def _health(self) -> str:
        answer = self._registry.request("GET", "/health")
        return f"{answer.status} {json.loads(answer.body)['status']}"
