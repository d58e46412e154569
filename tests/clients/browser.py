"""What a person has open: a browser as far as cookies, forms and certificates go, from outside of the server."""

import ssl
import urllib.request
from http.cookiejar import CookieJar
from urllib.error import HTTPError
from urllib.parse import urlencode

from tests.admin.form import form_of
from tests.clients.server import Answer, password_of


class Browser:
    """A browser at `base`, as `https://localhost:8443`, that trusts what `tls` trusts."""

    def __init__(self, base: str, tls: ssl.SSLContext | None = None) -> None:
        self.base = base
        self.cookies = CookieJar()
        handlers = urllib.request.HTTPCookieProcessor(self.cookies), urllib.request.HTTPSHandler(context=tls)
        self.opener = urllib.request.build_opener(*handlers)

    def get(self, path: str) -> Answer:
        """Return the page."""
        return self._send(urllib.request.Request(self.base + path))

    def submit(self, path: str, changes: dict[str, str], origin: str = "") -> Answer:
        """Return the page that follows on the form at `path`, with `changes`, sent as from a page of `origin`."""
        fields = form_of(self.get(path).body.decode()) | changes
        headers = {"Origin": origin or self.base, "Referer": (origin or self.base) + path}
        return self._send(urllib.request.Request(self.base + path, urlencode(fields, doseq=True).encode(), headers))

    def log_in(self, account: str) -> Answer:
        """Return the first page of the admin."""
        return self.submit("/admin/login/?next=/admin/", {"username": account, "password": password_of(account)})

    def _send(self, request: urllib.request.Request) -> Answer:
        try:
            response = self.opener.open(request, timeout=60)
        except HTTPError as refusal:
            response = refusal
        with response:
            headers = {name.lower(): value for name, value in response.headers.items()}
            return Answer(response.status, headers, response.read())
