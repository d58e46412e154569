"""The description of a repository: Markdown of pushers, rendered without HTML of theirs, images or remote content."""

import re
import sys

from django.utils.html import format_html
from django.utils.safestring import SafeString
from markdown_it import MarkdownIt
from markdown_it.token import Token

from core.caches import TTLCache
from distribution.models import Manifest, Repository

MAX_BYTES = 64 * 1024
# Of an annotation, which a manifest of 4 MiB could fill.
MAX_SHOWN = 16 * 1024
ANNOTATION = "org.opencontainers.image.description"

# Below the headings of the page.
_LOWERED = 1
_DEEPEST = 6

# A table has its columns in each of its lines, however short they are: 64 KiB made 45 of them, three million cells.
MAX_CELLS = 5000
MAX_HTML = 512 * 1024
CACHED_SECONDS = 3600
CACHED_BYTES = 8 * 1024 * 1024

# `html: False` makes text of tags; javascript:, vbscript:, file: and data: are no links to it.
_PARSER = MarkdownIt("commonmark", {"html": False, "maxNesting": 20}).enable("strikethrough")
_TABLES_PARSER = MarkdownIt("commonmark", {"html": False, "maxNesting": 20}).enable(["strikethrough", "table"])
_LINE_END = re.compile(r"\r\n?|\n")

_rendered: TTLCache[SafeString] = TTLCache(CACHED_SECONDS, limit=CACHED_BYTES, name="descriptions")


def description_of(repository: Repository, manifest: int | None) -> tuple[str, bool]:
    """Return the description as Markdown, and whether it was written here: otherwise a manifest has it."""
    if repository.description:
        return repository.description, True
    row = Manifest.objects.filter(pk=manifest or 0).values_list("annotations", flat=True).first() or {}
    return str(row.get(ANNOTATION) or "")[:MAX_SHOWN], False


def rendered(markdown: str) -> SafeString:
    """Return the HTML of a description, the source where it would be too long."""
    html = _rendered.get(markdown)
    if html is None:
        html = _render(markdown.replace("\0", ""))
        _rendered.put(markdown, html, sys.getsizeof(markdown) + sys.getsizeof(html))
    return html


def _render(markdown: str) -> SafeString:
    parser = _PARSER if _cells(markdown) > MAX_CELLS else _TABLES_PARSER
    tokens = parser.parse(markdown)
    for token in tokens:
        _tame(token)
    html: str = parser.renderer.render(tokens, parser.options, {})
    if len(html) > MAX_HTML:
        return format_html("<pre>{}</pre>", markdown)
    # Every text and attribute in it was escaped by the renderer.
    return SafeString(html)  # nosec B703


def _cells(markdown: str) -> int:
    """Return an upper bound of the cells of all tables, which end at an empty line."""
    cells = lines = widest = 0
    for line in (*_LINE_END.split(markdown), ""):
        if line.strip(" \t"):
            lines, widest = lines + 1, max(widest, line.count("|"))
            continue
        cells += lines * (widest + 1) if widest else 0
        lines = widest = 0
    return cells


def _tame(token: Token) -> None:
    """Lower a heading, make text of an image, and let links lead on without a trace; styles are not allowed here."""
    token.attrs.pop("style", None)
    if token.type in ("heading_open", "heading_close"):
        token.tag = f"h{min(int(token.tag[1:]) + _LOWERED, _DEEPEST)}"
    for child in token.children or ():
        if child.type == "image":
            # Its content is the alternative text.
            child.type, child.tag, child.attrs, child.children = "text", "", {}, None
        elif child.type == "link_open":
            child.attrs["rel"] = "nofollow noopener noreferrer"
