"""Which names of gunicorn the server uses, and how gunicorn defines them.

`python -m tests.server.gunicorn_contract` writes them into gunicorn_contract.json, once the new release was reviewed.
"""

import ast
import hashlib
import importlib
import inspect
import json
import re
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from tests.clients.server import ROOT

RECORD = Path(__file__).with_suffix(".json")
FOLDERS = ("server", "startup", "registry_project")
# Used by no name in our code: gunicorn's loops, which call what the worker overrides.
CALLERS = (
    "gunicorn.arbiter.Arbiter.start",
    "gunicorn.http.parser.Parser.__next__",
    "gunicorn.workers.base.Worker.handle_error",
    "gunicorn.workers.gthread.ThreadWorker.run",
)


def used() -> dict[str, str]:
    """Return gunicorn's names in our code, each with the signature and the digest of its source."""
    files = [ROOT / "gunicorn.conf.py", *(path for folder in FOLDERS for path in sorted((ROOT / folder).rglob("*.py")))]
    names = {name for path in files for name in _names_in(ast.parse(path.read_text()))}
    return {name: _definition(name) for name in sorted({*names, *CALLERS})}


def _names_in(tree: ast.Module) -> Iterator[str]:
    imported = {
        alias.asname or alias.name: f"{node.module}.{alias.name}"
        for node in ast.walk(tree)
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "gunicorn"
        for alias in node.names
    }
    for name in imported.values():
        if not inspect.ismodule(_found(name)):
            yield name
    for node in ast.walk(tree):
        for owner, name in _uses(node, imported):
            yield from _of(owner, name)


def _uses(node: ast.AST, imported: dict[str, str]) -> Iterator[tuple[str, str]]:
    """Yield what of gunicorn's a node may use: an owner, and the name of a member."""
    if isinstance(node, ast.Attribute):
        if isinstance(node.value, ast.Name) and node.value.id in imported:
            yield imported[node.value.id], node.attr
        if node.attr.startswith("_"):
            # The type of the object is unknown here: it may be a request or a response of gunicorn's.
            yield "gunicorn.http.message.Request", node.attr
            yield "gunicorn.http.wsgi.Response", node.attr
    elif isinstance(node, ast.ClassDef):
        members = [child.name for child in ast.walk(node) if isinstance(child, ast.FunctionDef)]
        members += [*_attributes(node, "self"), *_attributes(node, "super")]
        bases = [base.id for base in node.bases if isinstance(base, ast.Name) and base.id in imported]
        yield from ((imported[base], name) for base in bases for name in members)
    elif isinstance(node, ast.FunctionDef):
        typed = [(each.arg, each.annotation.id) for each in node.args.args if isinstance(each.annotation, ast.Name)]
        ours = [(argument, imported[name]) for argument, name in typed if name in imported]
        yield from ((owner, name) for argument, owner in ours for name in _attributes(node, argument))


def _attributes(tree: ast.AST, owner: str) -> Iterator[str]:
    """Yield the attributes that are used of the variable `owner`, or of `super()`."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            value = node.value.func if isinstance(node.value, ast.Call) and owner == "super" else node.value
            if isinstance(value, ast.Name) and value.id == owner:
                yield node.attr


def _of(owner: str, name: str) -> Iterator[str]:
    """Yield the full name if gunicorn's `owner`, a module or a class, has it."""
    found = _found(owner)
    if name.startswith("__") and name != "__init__":
        return
    classes = [each for each in getattr(found, "__mro__", ()) if each.__module__.startswith("gunicorn")]
    is_defined = any(name in vars(each) for each in [*classes, found])
    if is_defined or any(re.search(rf"\bself\.{name} = ", _source(each)) for each in classes):
        yield f"{owner}.{name}"


@cache
def _source(defined: Any) -> str:
    return inspect.getsource(defined)


@cache
def _found(name: str) -> Any:
    """Return what the full name is; None when it is an attribute of instances."""
    try:
        return importlib.import_module(name)
    except ImportError:
        owner = _found(name.rpartition(".")[0])
        return inspect.getattr_static(owner, name.rpartition(".")[2], None)


def _definition(name: str) -> str:
    found = _found(name)
    found = found.fget if isinstance(found, property) else getattr(found, "__func__", found)
    if inspect.isclass(found):
        return " < ".join(each.__name__ for each in inspect.getmro(found)[:-1])
    if not inspect.isfunction(found):
        return "attribute"
    return f"{inspect.signature(found)} {hashlib.sha256(_source(found).encode()).hexdigest()[:16]}"


if __name__ == "__main__":
    RECORD.write_text(json.dumps(used(), indent=2) + "\n")
