"""Make a large registry in an empty database: `python -m bench.registry BLOBS MANIFESTS DUE`, with CONFIG_PATH.

One statement makes all rows of a table. Each manifest names ten blobs of its own and one that all manifests of all
repositories share, one in twenty is the parent of another; DUE of them have no tag and are due.
"""

import sys
from typing import NamedTuple

from bench.django_process import load

REPOSITORIES = 100
# What is said otherwise in each database: numbers from one on, digests in no order, keys, payloads, truth.
_WORDS = {
    "sqlite": {
        "numbers": "(WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {}) SELECT i FROM n)",
        "digest": "'sha256:' || printf('%08x%056x', (n.i * 2654435761) % 4294967296, n.i)",
        "key": "printf('objects/%02x/%032x', n.i % 256, n.i)",
        "payload": "CAST('{}' AS BLOB)",
    },
    "postgresql": {
        "numbers": "(SELECT generate_series(1, {}) AS i)",
        "digest": "'sha256:' || encode(sha256(n.i::text::bytea), 'hex')",
        "key": "'objects/' || lpad(to_hex(n.i % 256), 2, '0') || '/' || lpad(to_hex(n.i), 32, '0')",
        "payload": "'{}'::bytea",
    },
}
_STATEMENTS = (
    """INSERT INTO distribution_repository (id, name, is_listed, created_at)
    SELECT n.i, 'team/app-' || n.i, true, @old FROM @repositories n""",
    """INSERT INTO distribution_blob (id, digest, size, key, is_corrupt, created_at)
    SELECT n.i, @digest, 1000, @key, false, @old FROM @blobs_and_one n""",
    """INSERT INTO distribution_link (id, repository_id, blob_id, last_used_at, is_unreferenced)
    SELECT n.i, 1 + n.i % @many, n.i, @old, false FROM @blobs n""",
    """INSERT INTO distribution_link (id, repository_id, blob_id, last_used_at, is_unreferenced)
    SELECT @one + n.i, 1 + n.i % @many, @one, @old, false FROM @repositories n""",
    """INSERT INTO distribution_manifest (id, repository_id, digest, media_type, payload, size, artifact_type,
        annotations, last_used_at, is_unreferenced, created_at)
    SELECT n.i, 1 + n.i % @many, @digest, 'application/vnd.oci.image.manifest.v1+json', @payload, 2, '',
        '{}', @old, n.i % @each = 0, @old FROM @manifests n""",
    """INSERT INTO distribution_manifestblob (manifest_id, link_id)
    SELECT 1 + (n.i - 1) % @count, n.i FROM @blobs n""",
    """INSERT INTO distribution_manifestblob (manifest_id, link_id)
    SELECT n.i, @one + CASE n.i % @many WHEN 0 THEN @many ELSE n.i % @many END FROM @manifests n""",
    """INSERT INTO distribution_manifestchild (parent_id, child_id)
    SELECT n.i, n.i + @many FROM @manifests n WHERE n.i % 20 = 1 AND n.i + @many <= @count""",
    """INSERT INTO distribution_tag (repository_id, name, manifest_id, updated_at)
    SELECT 1 + n.i % @many, 'v' || n.i, n.i, @old FROM @manifests n WHERE n.i % @each <> 0""",
)


class Size(NamedTuple):
    """How large a registry is; `manifests` is a multiple of REPOSITORIES and of `due`."""

    blobs: int
    manifests: int
    due: int


def fill(size: Size) -> None:
    """Insert everything."""
    from django.core.management import call_command
    from django.db import connection

    from distribution.storage.blob_store import blob_store

    call_command("migrate", verbosity=0)
    blob_store().prepare()
    words = _words(size, _WORDS[connection.vendor])
    with connection.cursor() as cursor:
        if connection.vendor == "sqlite":
            cursor.execute("PRAGMA synchronous=OFF")
        else:
            cursor.execute("SET synchronous_commit=off")
        for statement in _STATEMENTS:
            cursor.execute(_put_in(statement, words))
        if connection.vendor == "postgresql":
            # As the server does by itself after a while.
            cursor.execute("VACUUM ANALYZE")


def _words(size: Size, own: dict[str, str]) -> dict[str, str]:
    counts = {
        "blobs": size.blobs,
        "blobs_and_one": size.blobs + 1,
        "manifests": size.manifests,
        "repositories": REPOSITORIES,
    }
    numbers = {name: own["numbers"].format(count) for name, count in counts.items()}
    values = {"many": REPOSITORIES, "one": size.blobs + 1, "count": size.manifests, "each": size.manifests // size.due}
    texts = {name: own[name] for name in ("digest", "key", "payload")}
    return numbers | texts | {name: str(value) for name, value in values.items()} | {"old": "'2020-01-01 00:00:00'"}


def _put_in(statement: str, words: dict[str, str]) -> str:
    # The longest first: one word begins as another does.
    for name in sorted(words, key=len, reverse=True):
        statement = statement.replace(f"@{name}", words[name])
    return statement


if __name__ == "__main__":
    load()
    fill(Size(*map(int, sys.argv[1:])))
