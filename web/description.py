"""The description of a repository: Markdown of pushers, rendered without HTML of theirs, images or remote content."""

from functools import lru_cache

from django.utils.safestring import SafeString
from markdown_it import MarkdownIt
from markdown_it.token import Token

from distribution.models import Manifest, Repository

MAX_BYTES = 64 * 1024
# Of an annotation, which a manifest of 4 MiB could fill.
MAX_SHOWN = 16 * 1024
ANNOTATION = "org.opencontainers.image.description"

# Below the headings of the page.
_LOWERED = 1
_DEEPEST = 6

# `html: False` makes text of tags; javascript:, vbscript:, file: and data: are no links to it.
_PARSER = MarkdownIt("commonmark", {"html": False, "maxNesting": 20}).enable(["table", "strikethrough"])


def description_of(repository: Repository, manifest: int | None) -> tuple[str, bool]:
    """Return the description as Markdown, and whether it was written here: otherwise a manifest has it."""
    if repository.description:
        return repository.description, True
    row = Manifest.objects.filter(pk=manifest or 0).values_list("annotations", flat=True).first() or {}
    return str(row.get(ANNOTATION) or "")[:MAX_SHOWN], False


@lru_cache(maxsize=128)
def rendered(markdown: str) -> SafeString:
    """Return the HTML of a description."""
    tokens = _PARSER.parse(markdown.replace("\0", ""))
    for token in tokens:
        _tame(token)
    # Every text and attribute in it was escaped by the renderer.
    html: str = _PARSER.renderer.render(tokens, _PARSER.options, {})
    return SafeString(html)  # nosec B703


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
