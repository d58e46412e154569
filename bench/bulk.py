"""Rows in bulk, straight into a server's database: as much as years of pushes leave, within a minute or two.

Every manifest has a blob, a link and a reference of its own; the objects of the blobs are not there.
"""

import sqlite3
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass

import psycopg

from bench.target import CATALOG_PREFIX, REPOSITORY
from distribution.protocol import spec

PAYLOAD_BYTES = 500


@dataclass(frozen=True, slots=True)
class Size:
    """How much there is: the first `tags` manifests are in one repository, each with a tag, the rest everywhere."""

    repositories: int
    manifests: int
    tags: int


def repository_name(number: int) -> str:
    """Return the name of a repository, which sorts as its number does."""
    return f"{CATALOG_PREFIX}{number:07}"


def tag_name(number: int) -> str:
    """Return the name of a tag, which sorts as its number does."""
    return f"t{number:07}"


# What both databases read, but for these: {now}, {padded(width)} of a number n, {bytes} of a text.
_NUMBERS = "WITH RECURSIVE numbers(n) AS (SELECT 0 UNION ALL SELECT n + 1 FROM numbers WHERE n < {last})"
_DIGEST = "'sha256:{kind}' || {padded63}"
_IN = """
JOIN distribution_repository repository ON repository.name =
    CASE WHEN n < {tags} THEN '{repository}' ELSE '{prefix}' || {padded_repository} END
"""
_BLOB_OF = "JOIN distribution_blob blob ON blob.digest = " + _DIGEST.replace("{kind}", "b")
_MANIFEST_OF = (
    "JOIN distribution_manifest manifest ON manifest.repository_id = repository.id AND manifest.digest = "
    + _DIGEST.replace("{kind}", "a")
)

_REPOSITORIES = """
INSERT INTO distribution_repository (name, is_listed, created_at)
{numbers} SELECT '{prefix}' || {padded7}, {true}, {now} FROM numbers
"""
_BLOBS = f"""
INSERT INTO distribution_blob (digest, size, key, is_corrupt, created_at)
{{numbers}} SELECT {_DIGEST.replace("{kind}", "b")}, 10240, 'objects/bulk/' || n, {{false}}, {{now}} FROM numbers
"""
_LINKS = f"""
INSERT INTO distribution_link (repository_id, blob_id, last_used_at, is_unreferenced)
{{numbers}} SELECT repository.id, blob.id, {{now}}, {{false}} FROM numbers {_IN} {_BLOB_OF}
"""
_MANIFESTS = f"""
INSERT INTO distribution_manifest
    (repository_id, digest, media_type, payload, size, artifact_type, annotations, last_used_at, is_unreferenced,
    created_at)
{{numbers}} SELECT repository.id, {_DIGEST.replace("{kind}", "a")}, '{spec.OCI_MANIFEST}', {{payload}}, {PAYLOAD_BYTES},
    '', '{{{{}}}}', {{now}}, n >= {{tags}}, {{now}} FROM numbers {_IN}
"""
_REFERENCES = f"""
INSERT INTO distribution_manifestblob (manifest_id, link_id)
{{numbers}} SELECT manifest.id, link.id FROM numbers {_IN} {_MANIFEST_OF} {_BLOB_OF}
JOIN distribution_link link ON link.repository_id = repository.id AND link.blob_id = blob.id
"""
# A layer that every image is built on.
_SHARED = """
INSERT INTO distribution_link (repository_id, blob_id, last_used_at, is_unreferenced)
SELECT repository.id, blob.id, {now}, {true} FROM distribution_repository repository, distribution_blob blob
WHERE repository.name LIKE '{prefix}%' AND blob.digest = '{shared}'
"""
_TAGS = f"""
INSERT INTO distribution_tag (repository_id, name, manifest_id, updated_at)
{{numbers}} SELECT repository.id, 't' || {{padded7}}, manifest.id, {{now}} FROM numbers {_IN} {_MANIFEST_OF}
"""

_SQLITE = {
    "now": "strftime('%Y-%m-%d %H:%M:%f000', 'now')",
    "padded7": "printf('%07d', n)",
    "padded63": "printf('%063x', n)",
    "padded_repository": "printf('%07d', n % {repositories})",
    "payload": f"CAST(printf('%0{PAYLOAD_BYTES}d', n) AS BLOB)",
    "true": "1",
    "false": "0",
}
_POSTGRESQL = {
    "now": "now()",
    "padded7": "lpad(n::text, 7, '0')",
    "padded63": "lpad(to_hex(n), 63, '0')",
    "padded_repository": "lpad((n % {repositories})::text, 7, '0')",
    "payload": f"convert_to(lpad(n::text, {PAYLOAD_BYTES}, '0'), 'UTF8')",
    "true": "true",
    "false": "false",
}


def fill(database_url: str, size: Size, shared: str) -> None:
    """Insert everything, link a blob that is there into each repository, and let the database look at what it has."""
    with _connected(database_url) as (execute, words):
        for statement, count in (
            (_REPOSITORIES, size.repositories),
            (_BLOBS, size.manifests),
            (_LINKS, size.manifests),
            (_MANIFESTS, size.manifests),
            (_REFERENCES, size.manifests),
            (_TAGS, size.tags),
            (_SHARED, 0),
        ):
            execute(_sql(statement, words | {"shared": shared}, size, count))
        execute("ANALYZE")


def _sql(statement: str, words: dict[str, str], size: Size, count: int) -> str:
    repository = words["padded_repository"].format(repositories=size.repositories)
    return statement.format(
        **words | {"padded_repository": repository},
        numbers=_NUMBERS.format(last=count - 1),
        tags=size.tags,
        repository=REPOSITORY,
        prefix=CATALOG_PREFIX,
    )


@contextmanager
def _connected(database_url: str) -> Iterator[tuple[Callable[[str], object], dict[str, str]]]:
    """Yield what executes a statement, and the words of the database; everything is one transaction."""
    if database_url.startswith("sqlite:///"):
        with closing(sqlite3.connect(database_url.removeprefix("sqlite:///"))) as sqlite, sqlite:
            yield sqlite.execute, _SQLITE
    else:
        with psycopg.connect(database_url) as postgresql:
            yield lambda sql: postgresql.execute(sql.encode()), _POSTGRESQL
