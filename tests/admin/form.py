"""What the form of a page sends."""

from html.parser import HTMLParser

Fields = dict[str, list[str]]


class _Form(HTMLParser):
    """The successful controls of the first form that posts and is not the button that logs out."""

    def __init__(self) -> None:
        super().__init__()
        self.fields: Fields = {}
        self._is_inside = self._is_done = False
        self._select = ""

    def handle_starttag(self, tag: str, pairs: list[tuple[str, str | None]]) -> None:
        attributes = {name: value or "" for name, value in pairs}
        if tag == "form" and not self._is_done:
            is_logout = attributes.get("action", "").endswith("/logout/")
            self._is_inside = attributes.get("method", "").lower() == "post" and not is_logout
        if self._is_inside:
            self._control(tag, attributes)

    def handle_endtag(self, tag: str) -> None:
        if tag == "form" and self._is_inside:
            self._is_inside, self._is_done = False, True

    def _control(self, tag: str, attributes: dict[str, str]) -> None:
        name, value = attributes.get("name", ""), attributes.get("value", "")
        if tag == "select":
            self._select = name
        elif tag == "option" and "selected" in attributes:
            self._add(self._select, value)
        elif tag == "input" and attributes.get("type") in ("checkbox", "radio"):
            if "checked" in attributes:
                self._add(name, value or "on")
        elif tag == "input" and attributes.get("type") != "submit":
            self._add(name, value)

    def _add(self, name: str, value: str) -> None:
        if name:
            self.fields.setdefault(name, []).append(value)


def form_of(page: str) -> Fields:
    """Return what the page's form would send as it stands."""
    parser = _Form()
    parser.feed(page)
    return parser.fields
