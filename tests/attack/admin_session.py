"""A browser at the admin, as far as cookies and the token against CSRF go."""

import re
from urllib.parse import urlencode

from tests.attack.raw import Raw, ask

FORM = "Content-Type: application/x-www-form-urlencoded"
LOGIN = "/admin/login/"


class AdminSession:
    """Keeps cookies, and sends them with every request, whatever its path: more than a browser would."""

    def __init__(self, port: int, address: str = "127.0.0.1") -> None:
        """Have no cookies yet."""
        self._port, self._address = port, address
        self.cookies: dict[str, str] = {}

    def get(self, path: str, *lines: str) -> Raw:
        """Open a page."""
        return self._send("GET", path, lines, b"")

    def post(self, path: str, fields: dict[str, str], *lines: str) -> Raw:
        """Send a form as it is."""
        return self._send("POST", path, (FORM, *lines), urlencode(fields).encode())

    def submit(self, path: str, **fields: str) -> Raw:
        """Open a page, and send a form with its token against CSRF."""
        return self.post(path, {"csrfmiddlewaretoken": token_of(self.get(path))} | fields)

    def log_in(self, name: str, password: str, after: str = "/admin/") -> Raw:
        """Submit the login page."""
        return self.submit(LOGIN, username=name, password=password, next=after)

    def log_out(self) -> Raw:
        """Submit the form that every page has for it."""
        return self.post("/admin/logout/", {"csrfmiddlewaretoken": token_of(self.get("/admin/"))})

    @property
    def cookie_line(self) -> str:
        """The header line with every cookie."""
        return "Cookie: " + "; ".join(f"{name}={value}" for name, value in self.cookies.items())

    def _send(self, method: str, path: str, lines: tuple[str, ...], body: bytes) -> Raw:
        head = [f"{method} {path} HTTP/1.1", *lines, *([self.cookie_line] if self.cookies else [])]
        answer = ask(self._port, "\r\n".join(head), body=body, address=self._address)
        for name, value in answer.headers:
            if name == "set-cookie":
                key, _, content = value.partition(";")[0].partition("=")
                self.cookies[key] = content
        return answer


def token_of(page: Raw) -> str:
    """Return the token against CSRF of a page's form; empty when it has none."""
    found = re.search(rb'name="csrfmiddlewaretoken" value="([^"]+)"', page.body)
    return found[1].decode() if found else ""
