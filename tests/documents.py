"""The documents of the project, and the blocks in them that a comment marks.

<!-- runs: curl -->          the mark of the fenced block that begins on the next line
"""

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
NAMES = [
    "README.md",
    "CONTRIBUTING.md",
    "SECURITY.md",
    "bench/README.md",
    *sorted(str(path.relative_to(ROOT)) for path in ROOT.glob("docs/*.md")),
]


def text(name: str) -> str:
    """Return the document at `name`, a path from the root of the project."""
    return (ROOT / name).read_text()


def blocks(name: str, mark: str) -> list[str]:
    """Return the fenced blocks of a document under this mark."""
    return re.findall(rf"<!-- {re.escape(mark)} -->\n```\w*\n(.*?)^```", text(name), re.DOTALL | re.MULTILINE)


def block(name: str, mark: str) -> str:
    """Return the one block under this mark."""
    (found,) = blocks(name, mark)
    return found


def fences(name: str, language: str) -> list[str]:
    """Return all fenced blocks of one language."""
    return re.findall(rf"^```{language}\n(.*?)^```", text(name), re.DOTALL | re.MULTILINE)


def inline(name: str) -> list[str]:
    """Return the inline code of a document."""
    return re.findall(r"`([^`\n]+)`", re.sub(r"(?ms)^```.*?^```", "", text(name)))


def commands(name: str, pattern: str) -> list[str]:
    """Return what `pattern` finds in shell blocks and in inline code."""
    code = [*fences(name, "sh"), *inline(name)]
    return [found for piece in code for found in re.findall(pattern, piece)]


def anchors(path: Path) -> set[str]:
    """Return the fragments that lead to the headings of a document, as GitHub makes them."""
    headings = re.findall(r"(?m)^#+ (.+)$", path.read_text())
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}
