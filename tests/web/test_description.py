"""The description of a repository: who edits it, and what becomes of Markdown from strangers."""

import html
from collections.abc import Callable
from html.parser import HTMLParser

import pytest

from acl.models import Rule
from distribution.models import Repository
from policies.models import ReadOnly
from tests.caller import Caller
from tests.images import Image
from tests.web.test_pages import push_config, signed_in, text_of
from web.description import ANNOTATION, CACHED_BYTES, MAX_BYTES, MAX_HTML, _rendered, rendered

PAGE = "/repositories/alice/app"
EDIT = f"{PAGE}/~/description"


class Seen(HTMLParser):
    """The elements of a page and their attributes."""

    def __init__(self) -> None:
        super().__init__()
        self.tags: set[str] = set()
        self.attributes: list[tuple[str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.add(tag)
        self.attributes += attrs


def test_who_may_push_writes_it_and_everybody_who_may_pull_reads_it(push: Callable[..., Image]) -> None:
    push()
    alice = signed_in("alice")

    answer = alice.post(EDIT, {"description": "# The *app*\r\n\r\n- one\r\n"}, follow=True)

    assert "The description was saved." in answer.content.decode()
    page = text_of(signed_in("bob"), PAGE)
    assert "<h2>The <em>app</em></h2>" in page
    assert "<li>one</li>" in page
    assert Repository.objects.get().description == "# The *app*\n\n- one"
    assert "# The *app*" in text_of(alice, EDIT)


@pytest.mark.parametrize("actions", ["pull", "pull,delete"])
def test_only_who_may_push_writes_it(push: Callable[..., Image], actions: str) -> None:
    push()
    Rule.objects.filter(subject="bob").update(actions=actions)
    bob = signed_in("bob")

    assert [bob.get(EDIT).status_code, bob.post(EDIT, {"description": "x"}).status_code] == [403, 403]
    assert Repository.objects.get().description is None
    assert EDIT not in text_of(bob, PAGE)


def test_without_one_the_annotation_of_the_image_is_shown(alice: Caller) -> None:
    push_config(alice, "alice/app", "v1", {}, annotations={ANNOTATION: "From the **image**"})
    browser = signed_in("alice")

    assert "From the <strong>image</strong>" in text_of(browser, PAGE)
    browser.post(EDIT, {"description": "Written here"})
    assert "From the" not in text_of(browser, PAGE)
    browser.post(EDIT, {"description": " \n"})
    assert "From the" in text_of(browser, PAGE)


def test_a_preview_stores_nothing(push: Callable[..., Image]) -> None:
    push()

    answer = signed_in("alice").post(EDIT, {"description": "**bold**", "preview": "1"})

    assert b"<strong>bold</strong>" in answer.content
    assert Repository.objects.get().description is None


def test_one_that_is_too_long_is_refused_and_kept_in_the_form(push: Callable[..., Image]) -> None:
    push()

    answer = signed_in("alice").post(EDIT, {"description": "ä" * (MAX_BYTES // 2 + 1)})

    assert b"at most 64 KiB" in answer.content
    assert "ääää" in answer.content.decode()
    assert Repository.objects.get().description is None


@pytest.mark.parametrize("text", ["a\0b", "\ud800", ""])
def test_any_text_is_stored_or_left_out(push: Callable[..., Image], text: str) -> None:
    push()

    answer = signed_in("alice").post(EDIT, {"description": text.encode("utf-8", "surrogatepass")})

    assert answer.status_code == 302
    assert signed_in("bob").get(PAGE).status_code == 200


@pytest.mark.parametrize(
    "hostile",
    [
        "<script>alert(1)</script>",
        '<img src="https://evil.example/x.png" onerror=alert(1)>',
        "![alt](https://evil.example/x.png)",
        '![alt](x "t" onerror=alert(1))',
        "![a<script>alert(1)</script>](x)",
        "[![inner](https://evil.example/x.png)](https://example.com/)",
        "![ref][1]\n\n[1]: https://evil.example/x.png",
        "[x](javascript:alert(1))",
        "[x](JaVaScRiPt:alert(1))",
        "[x](&#106;avascript:alert(1))",
        "[x](vbscript:x) [y](data:text/html,<script>alert(1)</script>) [z](file:///etc/passwd)",
        "<javascript:alert(1)>",
        '[x](https://a "\\"onmouseover=alert(1)")',
        '```"><script>alert(1)</script>\nx\n```',
        "`<script>alert(1)</script>`",
        "| a |\n|:-:|\n| <script>alert(1)</script> |",
        "<style>*{display:none}</style><iframe src=//evil.example></iframe><svg onload=alert(1)>",
    ],
)
def test_hostile_markdown_is_text(hostile: str) -> None:
    seen = Seen()
    seen.feed(rendered(hostile))

    assert seen.tags <= {"p", "a", "code", "pre", "table", "thead", "tbody", "tr", "th", "td"}
    assert {name for name, _ in seen.attributes} <= {"href", "title", "rel", "class"}
    assert all((value or "").startswith("https://") for name, value in seen.attributes if name == "href")


def test_an_image_is_its_alternative_text() -> None:
    assert "a picture" in rendered("![a picture](https://evil.example/x.png)")
    assert "evil" not in rendered("![a picture](https://evil.example/x.png)")


def test_links_lead_on_without_a_trace() -> None:
    assert 'rel="nofollow noopener noreferrer"' in rendered("[x](https://example.com/)")


def test_deep_nesting_and_long_lines_end() -> None:
    assert rendered("> " * 20_000)
    assert rendered("[" * MAX_BYTES)


BOMB = "|" * 201 + "\n" + "|-" * 200 + "|\n" + "a\n" * 320


@pytest.mark.parametrize("line_end", ["\n", "\r", "\r\n"])
def test_a_table_of_short_lines_makes_no_flood_of_cells(line_end: str) -> None:
    page = rendered("\n".join([BOMB] * 40).replace("\n", line_end))

    assert "<table" not in page
    assert len(page) < 2 * MAX_BYTES


def test_other_separators_of_lines_hide_no_wide_table() -> None:
    wide = "|\u2028" * 200 + "|\n" + "|-" * 200 + "|\n"

    assert "<table" not in rendered(wide + "a\n" * 320)


def test_a_long_description_has_its_small_table() -> None:
    assert "<table" in rendered("one line\n\n" * 3000 + "| a | b |\n|---|---|\n| 1 | 2 |\n")


def test_html_that_is_too_long_is_the_source() -> None:
    source = "- \n" * (MAX_HTML // 10)

    assert rendered(f"{source}<b>") == f"<pre>{source}&lt;b&gt;</pre>"


def test_cached_descriptions_are_bounded_by_their_bytes() -> None:
    for number in range(40):
        rendered(f"{number} " + "&" * 60_000)

    kept = [number for number in range(40) if _rendered.get(f"{number} " + "&" * 60_000) is not None]
    assert kept[-1] == 39
    assert len(kept) * 360_000 <= CACHED_BYTES


def test_no_page_loads_images_of_others(push: Callable[..., Image]) -> None:
    push()

    policy = signed_in("bob").get(PAGE).headers["Content-Security-Policy"]

    assert "img-src 'self' data:" in policy
    assert "default-src 'none'" in policy


def test_a_repository_that_was_deleted_meanwhile_is_404(
    push: Callable[..., Image], monkeypatch: pytest.MonkeyPatch
) -> None:
    push()
    alice = signed_in("alice")
    monkeypatch.setattr("web.views.description.repository_of", lambda _name: Repository(pk=0))

    assert alice.post(EDIT, {"description": "x"}).status_code == 404


def test_nobody_writes_one_while_the_repository_is_read_only(push: Callable[..., Image]) -> None:
    push()
    ReadOnly.objects.create(repositories="alice/*", message="we move on Monday")

    answer = signed_in("alice").post(EDIT, {"description": "new"}, follow=True)

    assert "Nothing was changed: alice/app is read-only: we move on Monday." in html.unescape(answer.content.decode())
    assert Repository.objects.get().description is None
