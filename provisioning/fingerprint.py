"""Fingerprints: equal for equal content, whatever the order of keys."""

import hashlib
import json


def fingerprint(content: object) -> str:
    """Return the SHA-256 of `content` as canonical JSON, in hexadecimal."""
    canonical = json.dumps(content, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(canonical.encode()).hexdigest()
