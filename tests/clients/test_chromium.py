"""chromium shows the pages of the admin, and its console tells what their Content-Security-Policy forbids."""

from collections.abc import Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest

from tests.clients.browser import Browser
from tests.clients.program import Program
from tests.clients.server import Server

pytestmark = pytest.mark.client("chromium")

WITHOUT_MORE = ("--disable-gpu", "--disable-dev-shm-usage", "--disable-background-networking", "--no-first-run")


@contextmanager
def answering(status: int, headers: dict[str, str], body: bytes = b"") -> Iterator[str]:
    """Answer every request with these; yield the address."""

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            self.send_response(status)
            for name, value in headers.items():
                self.send_header(name, value)
            self.end_headers()
            self.wfile.write(body)

        def log_message(self, *_arguments: object) -> None:
            """Say nothing."""

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as served:
        Thread(target=served.serve_forever).start()
        try:
            yield f"http://127.0.0.1:{served.server_port}/"
        finally:
            served.shutdown()


def shown(url: str, folder: Path) -> tuple[str, list[str]]:
    """Return what becomes of a page once its scripts have run, and what of it the browser refused."""
    # Its sandbox does not start for root.
    words = ("chromium", "--headless", "--no-sandbox", *WITHOUT_MORE, f"--user-data-dir={folder}")
    done = Program(words, "", {"HOME": str(folder)}).call("--enable-logging=stderr", "--dump-dom", url)
    assert done.returncode == 0, done.stderr
    return done.stdout, [line for line in done.stderr.splitlines() if "Content Security Policy" in line]


@pytest.mark.parametrize(
    ("path", "words"),
    [
        ("login/", 'name="password"'),
        ("accounts/account/", "Log out"),
        ("acl/rule/add/", "Log out"),
        ("second-factor/", "<svg"),
    ],
)
def test_a_page_of_the_admin_keeps_to_its_policy(path: str, words: str, server: Server, tmp_path: Path) -> None:
    url = f"http://{server.host}/admin/{path}"
    browser = Browser(f"http://{server.host}")
    browser.log_in("admin")
    (session,) = [cookie.value for cookie in browser.cookies if cookie.name == "registry_login"]
    # A cookie is its host's at every port.
    cookie = "" if path == "login/" else f"registry_login={session}; Path=/admin/"

    with answering(302, {"Location": url, "Set-Cookie": cookie}) as start:
        page, violations = shown(start, tmp_path)

    assert words in page
    assert violations == []


def test_what_a_policy_forbids_is_seen(tmp_path: Path) -> None:
    headers = {"Content-Type": "text/html", "Content-Security-Policy": "default-src 'none'"}

    with answering(200, headers, b'<p style="color: red">x</p><script>1</script>') as start:
        _, violations = shown(start, tmp_path)

    assert len(violations) == 2
