"""Secrets that stand nowhere in clear: a server is used, misused and broken, and then everything that it said is read.

Each secret is looked for as it is, in Base64 at each of the three offsets, in hexadecimal and percent-encoded.
"""

import json
import os
import re
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from urllib.parse import quote, urlencode, urlsplit

import bcrypt
import pytest

from tests import preloaded
from tests.clients.browser import Browser
from tests.clients.server import ROOT, Answer, Server
from tests.images import digest_of, manifest

PASSWORD = "canary-password-of-alice"
ADMIN_PASSWORD = "canary-password-of-admin"
WRONG = "canary-of-a-wrong-password"
NEW = "canary-of-a-new-password"
DATABASE_PASSWORD = "canary-of-the-database"
SCOPE = "scope=repository:alice/app:pull,push&service=Docker%20Registry"
MANIFEST_TYPE = "application/vnd.oci.image.manifest.v1+json"


class Canaries(Server):
    """A server whose secrets are known, and all that it has answered."""

    def __init__(self, folder: Path) -> None:
        super().__init__(folder)
        url = urlsplit(self.database_url)
        if url.scheme != "sqlite":
            self.database_url = url._replace(
                netloc=f"registry:{DATABASE_PASSWORD}@{url.netloc.rpartition('@')[2]}"
            ).geturl()
        self.secrets = {"password": PASSWORD, "admin": ADMIN_PASSWORD, "wrong": WRONG, "new": NEW}
        self.secrets["database"] = DATABASE_PASSWORD
        self.answers: list[tuple[str, Answer]] = []

    def configuration(self) -> dict[str, object]:
        """Give two accounts passwords that are canaries."""
        passwords = {"alice": PASSWORD, "admin": ADMIN_PASSWORD}
        users = {
            name: {"password": bcrypt.hashpw(word.encode(), bcrypt.gensalt(4)).decode(), "superuser": name == "admin"}
            for name, word in passwords.items()
        }
        server = {"addr": self.host, "limits": {"logins_per_minute": 0}}
        return super().configuration() | {"users": users, "server": server}

    def say(self, method: str, path: str, authorization: str = "", body: bytes | None = None, **more: str) -> Answer:
        """Send a request, and keep the answer."""
        headers = {name.replace("_", "-"): value for name, value in more.items()}
        answer = self.request(method, path, authorization=authorization, body=body, more=headers)
        self.answers.append((f"{method} {path}", answer))
        return answer

    def run(self, *arguments: str) -> str:
        """Return what a command prints."""
        command = [sys.executable, "manage.py", *arguments]
        done = preloaded.run(command, cwd=ROOT, env=self.environment(), check=True, timeout=120)
        return done.stdout + done.stderr


def basic(name: str, password: str) -> str:
    return "Basic " + b64encode(f"{name}:{password}".encode()).decode()


def shapes(secret: str) -> Iterator[bytes]:
    """Return the forms in which a secret would be in clear."""
    data = secret.encode()
    yield from (data, data.hex().encode(), quote(secret, safe="").encode(), json.dumps(secret)[1:-1].encode())
    for offset in range(3):
        encoded = b64encode(b"x" * offset + data).rstrip(b"=")
        # Without the characters that neighbours have a part in.
        yield encoded[4 if offset else 0 : -4]


def found_in(content: bytes, secrets: dict[str, str]) -> set[str]:
    return {name for name, secret in secrets.items() if any(shape in content for shape in shapes(secret))}


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Canaries]:
    server = Canaries(tmp_path_factory.mktemp("canaries"))
    server.start()
    try:
        use(server)
        misuse(server)
        for breakage in BREAKAGES:
            break_and_ask(server, *breakage)
        look(server)
        yield server
    finally:
        server.stop()


def use(server: Canaries) -> None:
    """Log in by every way, and push and pull an image."""
    answer = server.say("GET", f"/v2/token?{SCOPE}&offline_token=true&client_id=docker", basic("alice", PASSWORD))
    # The answers that hand tokens out are the only ones that may have them.
    server.answers.clear()
    issued = json.loads(answer.body)
    token = issued["token"]
    server.secrets |= {"token": token, "signature": token.rpartition(".")[2], "refresh": issued["refresh_token"]}
    key = (server.data / "keys" / "registry.key").read_text()
    server.secrets["signing key"] = key.splitlines()[2]
    server.secrets["SECRET_KEY"] = (server.data / "keys" / "secret.key").read_text().strip()
    bearer = f"Bearer {token}"
    for content in (b"{}", b"a layer"):
        location = server.say("POST", "/v2/alice/app/blobs/uploads/", bearer).headers["location"]
        assert server.say("PUT", f"{location}?digest={digest_of(content)}", bearer, content).status == 201
    image = manifest(b"{}", b"a layer")
    assert server.say("PUT", "/v2/alice/app/manifests/v1", bearer, image, Content_Type=MANIFEST_TYPE).status == 201
    assert server.say("GET", "/v2/alice/app/manifests/v1", bearer).status == 200
    assert server.say("GET", "/api/v1/whoami", basic("alice", PASSWORD)).status == 200


def misuse(server: Canaries) -> None:
    """Send secrets where they are refused, and where they do not belong."""
    token, refresh = server.secrets["token"], server.secrets["refresh"]
    for authorization in (basic("alice", WRONG), basic("nobody", PASSWORD), basic("alice", token), f"Basic {token}"):
        assert server.say("GET", f"/v2/token?{SCOPE}", authorization).status in (401, 429)
        assert server.say("GET", "/api/v1/whoami", authorization).status in (401, 429)
    for authorization in (f"Bearer {refresh}", f"Bearer {token}x", f"bearer {WRONG}", f"Token {token}", WRONG):
        assert server.say("GET", "/v2/alice/app/manifests/v1", authorization).status == 401
    for fields in (
        {"grant_type": "password", "username": "alice", "password": WRONG},
        {"grant_type": "password", "username": "alice", "password": WRONG, "service": PASSWORD},
        {"grant_type": "refresh_token", "refresh_token": f"{refresh}x"},
        {"grant_type": "refresh_token", "refresh_token": refresh, "scope": "malformed"},
        {"grant_type": "refresh_token", "refresh_token": token},
        {"username": "alice", "password": PASSWORD},
    ):
        assert server.say("POST", "/v2/token", body=urlencode(fields).encode()).status in (400, 401, 429)
    bearer = f"Bearer {token}"
    for method, path, body in (
        ("GET", f"/v2/?password={PASSWORD}&token={token}", None),
        ("GET", f"/v2/alice/app/manifests/v1?access_token={token}", None),
        ("GET", f"http://alice:{PASSWORD}@localhost/v2/", None),
        ("GET", f"//alice:{PASSWORD}@localhost/v2/", None),
        ("PUT", "/v2/alice/app/manifests/v1", b"{"),
        ("PUT", "/v2/alice/app/manifests/v1", b'{"a": 1, "a": 2}'),
        ("POST", "/v2/other/app/blobs/uploads/", b""),
        ("DELETE", "/v2/alice/app/manifests/v1", None),
        ("GET", "/v2/_catalog?n=x", None),
        ("BREW", "/v2/", None),
    ):
        server.say(method, path, bearer, body)
    server.say("GET", "/v2/", bearer, Host=f"{WRONG}/not a host")


def look(server: Canaries) -> None:
    """Log in to the admin, wrongly and rightly, open every page and change a password."""
    browser = Browser(f"http://{server.host}")

    def keep(path: str, answer: Answer) -> Answer:
        server.answers.append((f"admin {path}", answer))
        return answer

    login = "/admin/login/?next=/admin/"
    keep(login, browser.submit(login, {"username": "admin", "password": WRONG}))
    keep(login, browser.submit(login, {"username": "alice", "password": PASSWORD}))
    first = keep("/admin/", browser.submit(login, {"username": "admin", "password": ADMIN_PASSWORD}))
    assert b"Access rules" in first.body
    # Once with the same password twice, once not: the form comes back, and must not repeat them.
    alice = next(iter(server.rows("SELECT id FROM accounts_account WHERE name = 'alice'")))[0]
    password = f"/admin/accounts/account/{alice}/password/"
    keep(password, browser.submit(password, {"password1": NEW, "password2": WRONG}))
    keep(password, browser.submit(password, {"password1": NEW, "password2": NEW}))
    own = "/admin/password_change/"
    keep(own, browser.submit(own, {"old_password": WRONG, "new_password1": NEW, "new_password2": NEW}))
    seen, ahead = set[str](), ["/admin/"]
    while ahead:
        path = ahead.pop()
        seen.add(path)
        page = keep(path, browser.get(path)).body.decode(errors="replace")
        links = {link.partition("?")[0] for link in re.findall(r'href="(/admin/[^"]*)"', page)}
        ahead += [link for link in links - seen - set(ahead) if "logout" not in link and "/deleting/" not in link]
    assert len(seen) > 20, seen
    assert any("refreshtoken" in path and path.endswith("/change/") for path in seen), seen


BREAKAGES = [
    ("DELETE FROM accounts_rightsepoch", "INSERT INTO accounts_rightsepoch (id, value) VALUES (1, 'again')"),
    ("ALTER TABLE accounts_account RENAME TO gone", "ALTER TABLE gone RENAME TO accounts_account"),
    ("ALTER TABLE tokens_refreshtoken RENAME TO gone", "ALTER TABLE gone RENAME TO tokens_refreshtoken"),
    ("ALTER TABLE distribution_tag RENAME TO gone", "ALTER TABLE gone RENAME TO distribution_tag"),
]


def break_and_ask(server: Canaries, breakage: str, repair: str) -> None:
    """Take a table away, ask with every secret, and put the table back."""
    server.execute(breakage)
    refresh = server.secrets["refresh"]
    answers = [
        server.say("GET", "/v2/alice/app/manifests/v1", f"Bearer {server.secrets['token']}"),
        server.say("GET", f"/v2/token?{SCOPE}", basic("alice", PASSWORD)),
        server.say("GET", f"/v2/token?{SCOPE}&offline_token=true", basic("admin", ADMIN_PASSWORD)),
        server.say("POST", "/v2/token", body=f"grant_type=refresh_token&refresh_token={refresh}".encode()),
        server.say("GET", "/api/v1/repositories", basic("admin", ADMIN_PASSWORD)),
        server.say("GET", "/admin/", Cookie=f"registry_login={WRONG}"),
    ]
    server.execute(repair)
    # One of them may have been answered with a token.
    server.answers = [(asked, answer) for asked, answer in server.answers if b'"access_token"' not in answer.body]
    assert any(answer.status >= 500 for answer in answers), [answer.status for answer in answers]


def test_no_log_has_a_secret(server: Canaries) -> None:
    log = server.log_file.read_bytes()

    assert b"login refused" in log
    assert b"Traceback" in log
    assert not found_in(log, server.secrets)


def test_no_answer_has_a_secret(server: Canaries) -> None:
    for asked, answer in server.answers:
        content = answer.body + json.dumps(answer.headers).encode()
        assert not found_in(content, server.secrets), asked


def test_no_dump_has_a_secret(server: Canaries) -> None:
    dump = server.run("dumpdata")

    assert '"model": "tokens.refreshtoken"' in dump
    assert not found_in(dump.encode(), server.secrets)


def test_a_backup_has_no_secret_but_in_keys_and_configuration(server: Canaries, tmp_path: Path) -> None:
    folder = tmp_path / "backup"
    said = server.run("backup", str(folder))

    assert not found_in(said.encode(), server.secrets)
    for path in (path for path in folder.rglob("*") if path.is_file()):
        found = found_in(path.read_bytes(), server.secrets)
        # What docs/backup.md says that it holds: the keys, and the configuration with what is written in it.
        holds_keys = path.parent.name == "keys" or path.name == "config.yaml"
        assert not found or holds_keys, (path, found)
        assert path.stat().st_mode & 0o077 == 0


def test_no_command_prints_a_secret(server: Canaries) -> None:
    for arguments in (("check", "--deploy"), ("loadconfig",), ("gc", "--dry-run")):
        assert not found_in(server.run(*arguments).encode(), server.secrets), arguments


def test_a_start_without_its_database_does_not_tell_the_password(tmp_path: Path) -> None:
    (tmp_path / "config.yaml").write_text(
        f"server: {{addr: '127.0.0.1:1'}}\nstorage: {{filesystem: {{rootdirectory: '{tmp_path}/data'}}}}\n"
        f"database: {{url: 'postgres://registry:{DATABASE_PASSWORD}@127.0.0.1:1/registry'}}\n"
    )
    kept = {key: value for key, value in os.environ.items() if not key.startswith(("REGISTRY_", "DJANGO_"))}

    done = subprocess.run(
        [sys.executable, "-m", "gunicorn"],
        cwd=ROOT,
        env=kept | {"CONFIG_PATH": str(tmp_path / "config.yaml")},
        capture_output=True,
        timeout=120,
        check=False,
    )

    assert done.returncode != 0
    assert b"127.0.0.1" in done.stdout + done.stderr
    assert not found_in(done.stdout + done.stderr, {"database": DATABASE_PASSWORD})
