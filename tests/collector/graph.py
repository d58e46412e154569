"""Images, indexes of them, nested ones, referrers and tags, at random, in repositories that share blobs."""

import json
import random
from typing import Any

from django.db.models import F, QuerySet
from django.db.models.functions import Now

from accounts.identity import Identity
from acl.names import RepositoryName
from distribution import repositories, tags
from distribution.manifests import store
from distribution.models import Blob, Link, Manifest, Upload
from distribution.protocol.digest import Digest
from distribution.protocol.references import parse_tag
from distribution.uploads import sessions
from tests.collector.runs import DAY
from tests.images import descriptor, digest_of, index, manifest


class Graph:
    """Grows as `chance` has it; half the rows were last used days ago, and of those some longer."""

    def __init__(self, chance: random.Random, repositories: int = 2, untagged: float = 0.5) -> None:
        self.chance, self.untagged = chance, untagged
        letters = "abcdef"[:repositories]
        self.names = [RepositoryName(f"random/{letter}-{chance.getrandbits(32):x}") for letter in letters]
        self.contents = [f"blob {chance.random()}".encode() for _ in range(8)]

    def grow(self) -> None:
        for name in self.names:
            self._grow(name)
        tables: list[tuple[QuerySet[Any], str]] = [
            (Manifest.objects.all(), "last_used_at"),
            (Link.objects.all(), "last_used_at"),
            (Upload.objects.all(), "active_at"),
        ]
        for rows, column in tables:
            pks = list(rows.order_by("pk").values_list("pk", flat=True))
            for days in (2, 3):
                some = self.chance.sample(pks, len(pks) // 2)
                rows.filter(pk__in=some).update(**{column: F(column) - DAY * days})

    def _grow(self, name: RepositoryName) -> None:
        contents = self.chance.sample(self.contents, 6)
        for content in contents:
            self._link(name, content)
        payloads: list[bytes] = []
        for number in range(12):
            payloads.append(self._put(name, contents[:5], payloads, number))
        for number in range(12):
            if self.chance.random() < self.untagged:
                tags.delete(name, f"v{number}", account="", rules=None)
        sessions.start(name, Identity("alice"))

    def _link(self, name: RepositoryName, content: bytes) -> None:
        """Link a blob whose bytes do not matter."""
        digest = digest_of(content)
        values = {"size": len(content), "key": f"objects/00/{digest[7:]}"}
        blob, _ = Blob.objects.get_or_create(digest=digest, defaults=values)
        Link.objects.create(repository=repositories.ensure(name), blob=blob, last_used_at=Now(), is_unreferenced=True)

    def _put(self, name: RepositoryName, contents: list[bytes], payloads: list[bytes], number: int) -> bytes:
        """Put an image or index, perhaps with a subject that is here, comes later or never comes; tag it."""
        more: dict[str, Any] = {"annotations": {"number": str(number)}}
        kind = self.chance.random()
        if kind < 0.4 and payloads:
            more["subject"] = descriptor(self.chance.choice([*payloads, b"never"]))
        if kind > 0.6 and payloads:
            payload = index(*self.chance.sample(payloads, self.chance.randint(1, min(3, len(payloads)))), **more)
        else:
            payload = manifest(*self.chance.sample(contents, 2), **more)
        store.put(
            name,
            payload,
            json.loads(payload)["mediaType"],
            Digest.of(payload),
            [parse_tag(f"v{number}")],
            account="",
            rules=None,
        )
        return payload
