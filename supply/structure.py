"""Bound the size of folders, files and functions of the product: `python -m supply.structure`, or `make arch`.

Exit status 1: a bound is broken. Functions have a lower bound too: many tiny ones scatter what belongs together.
"""

import ast
import sys
from collections import Counter
from collections.abc import Iterable, Iterator
from pathlib import Path
from statistics import median, quantiles

MODULES_A_FOLDER = 15
LINES_A_FILE = 400
LEAST_MEDIAN = 7
MOST_P90 = 30

ROOT = Path(__file__).resolve().parents[1]
NOT_THE_PRODUCT = ("tests", "bench", "supply", "data")


def product_files() -> list[Path]:
    """Return the product's Python files, without migrations, relative to the root of the project."""
    files = sorted(path.relative_to(ROOT) for path in ROOT.glob("[!.]*/**/*.py"))
    return [path for path in files if path.parts[0] not in NOT_THE_PRODUCT and "migrations" not in path.parts]


def faults(sources: dict[str, str]) -> Iterator[str]:
    """Yield each broken bound of `sources`, which are texts by path."""
    for folder, count in sorted(modules_by_folder(sources).items()):
        if count > MODULES_A_FOLDER:
            yield f"{folder}: {count} modules, at most {MODULES_A_FOLDER}"
    for path, text in sources.items():
        if (lines := len(text.splitlines())) > LINES_A_FILE:
            yield f"{path}: {lines} lines, at most {LINES_A_FILE}"
    lengths = function_lengths(sources.values())
    if median(lengths) < LEAST_MEDIAN:
        yield f"median function: {median(lengths):g} lines, at least {LEAST_MEDIAN}"
    if p90_of(lengths) > MOST_P90:
        yield f"90th percentile of functions: {p90_of(lengths):g} lines, at most {MOST_P90}"


def modules_by_folder(paths: Iterable[str]) -> Counter[str]:
    """Count the modules of each folder, but for `__init__.py`."""
    return Counter(str(Path(path).parent) for path in paths if not path.endswith("__init__.py"))


def function_lengths(texts: Iterable[str]) -> list[int]:
    """Return the lines of each function, from `def` to its end.

    Properties, columns of the admin, other decorated ones and special methods are as short as their framework asks.
    """
    nodes = (node for text in texts for node in ast.walk(ast.parse(text)))
    functions = (node for node in nodes if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef))
    free = (node for node in functions if not node.decorator_list and not node.name.startswith("__"))
    return [(node.end_lineno or node.lineno) - node.lineno + 1 for node in free]


def p90_of(lengths: list[int]) -> float:
    """Return the length that nine of ten functions do not exceed."""
    return quantiles(lengths, n=10)[-1]


def main() -> int:
    """Print what is measured and what is wrong, and return the exit status."""
    sources = {str(path): (ROOT / path).read_text() for path in product_files()}
    found = list(faults(sources))
    lengths = function_lengths(sources.values())
    folder, count = modules_by_folder(sources).most_common(1)[0]
    print(
        f"fullest folder {folder}: {count} modules; longest file: {max(len(s.splitlines()) for s in sources.values())}"
    )
    print(f"{len(lengths)} functions: median {median(lengths):g} lines, 90th percentile {p90_of(lengths):g}")
    for fault in found:
        print(fault, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main())
