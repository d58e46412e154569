"""JSON that clients have pushed: any value may have any type."""

import json
from typing import Any

MAX_CHARACTERS = 4096


def document_of(payload: bytes) -> dict[str, Any]:
    """Return the object of a JSON text; empty for anything else."""
    try:
        return object_of(json.loads(payload))
    except (ValueError, RecursionError):
        return {}


def object_of(value: object) -> dict[str, Any]:
    """Return an object; anything else is an empty one."""
    return value if isinstance(value, dict) else {}


def list_of(value: object) -> list[Any]:
    """Return a list; anything else is an empty one."""
    return value if isinstance(value, list) else []


def text_of(value: object) -> str:
    """Return a string up to MAX_CHARACTERS; anything else is an empty one."""
    return value[:MAX_CHARACTERS] if isinstance(value, str) else ""


def size_of(value: object) -> int:
    """Return a size; anything but a number from 0 on is 0."""
    return value if type(value) is int and value >= 0 else 0
