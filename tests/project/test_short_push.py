"""A push by the short path is answered, noted and stored as the application does it, whatever decides about it."""

import json
import time
import uuid
from collections.abc import Callable
from dataclasses import dataclass, field, replace
from datetime import timedelta
from typing import Any

import pytest
from django.contrib.auth.models import Group
from django.db import OperationalError
from django.utils.timezone import now
from pytest_django import Settings

from accounts import permissions_version
from accounts.models import Account
from acl.models import Rule
from audit import recording
from audit.recording import EventQueue
from configuration.values import Audit
from core.api.errors import unavailable
from distribution.manifests import store as manifests
from distribution.models import Link, Tag, Upload
from distribution.protocol.spec import OCI_MANIFEST
from distribution.storage import disk_reserve
from distribution.uploads import sessions, small_blob
from policies.models import ImmutableTags, Quota, ReadOnly
from tests.caller import Caller
from tests.conftest import hashed
from tests.images import descriptor, digest_of, manifest, push_blob, put_manifest
from tests.project.ways import Answered, Asked, shortly, wholly, without_names
from tokens.access import store
from tokens.models import AccessToken
from tokens.verify import LEEWAY_SECONDS
from webhooks.models import Delivery, Webhook

CONTENT = b"the bytes of a layer"
DIGEST = digest_of(CONTENT)
KIB = b"k" * 1024
CONFIG = b'{"architecture":"amd64","os":"linux"}'
MANIFEST = manifest(CONFIG, CONTENT)
# Their warnings are logged once an hour.
HOURLY = ("core.db.database_fault", "distribution.uploads.sessions")
# The repositories to which the two ways push: of one length, since errors have one.
NAMES = ("alice/short", "alice/whole")


@dataclass
class World:
    """What a trial may change before it asks."""

    alice: Caller
    settings: Settings
    monkeypatch: pytest.MonkeyPatch
    authorization: dict[str, str] = field(default_factory=dict)

    def rule(self, **values: Any) -> None:
        about = {"subject_kind": "account", "subject": "alice", "name": "alice/*", "actions": "push"}
        Rule.objects.create(**about | values)

    def only(self, **values: Any) -> None:
        """Let alice push by this rule alone."""
        Rule.objects.filter(subject="alice").delete()
        self.rule(**{"actions": "pull,push"} | values)

    def by(self, name: str, password: str, actions: str = "pull,push") -> None:
        """Let somebody else push."""
        caller = Caller(self.alice.client, name, password)
        self.authorization = {name: f"Bearer {caller.token(f'repository:{name}:{actions}')}" for name in NAMES}

    def limits(self, **limits: int) -> None:
        server = self.settings.REGISTRY.server
        server = replace(server, limits=replace(server.limits, **limits))
        self.settings.REGISTRY = replace(self.settings.REGISTRY, server=server)

    def fails(self, module: object, name: str, error: Exception) -> None:
        def fail(*_arguments: object, **_more: object) -> None:
            raise error

        self.monkeypatch.setattr(module, name, fail)

    def later(self) -> None:
        """Let every token be expired."""
        ahead = self.settings.REGISTRY.auth.expiration.total_seconds() + LEEWAY_SECONDS + 1
        real = time.time
        self.monkeypatch.setattr("tokens.verify.time.time", lambda: real() + ahead)


@pytest.fixture
def world(
    alice: Caller, settings: Settings, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> World:
    """Let every change be announced and recorded, and let alice push."""
    settings.REGISTRY = replace(settings.REGISTRY, audit=Audit())
    monkeypatch.setattr(EventQueue, "_start", lambda _self: None)
    monkeypatch.setattr(recording, "_queue", EventQueue())
    hook = Webhook(name="ci", url="http://receiver.example/", events=["blob.push", "manifest.push"])
    hook.set_secret("a secret of the webhook, of thirty-two bytes or more")
    hook.save()
    caplog.set_level("INFO")
    found = World(alice, settings, monkeypatch)
    found.by("alice", alice.password)
    return found


Ask = Callable[[str, str], Asked]


@dataclass(frozen=True)
class Trial:
    """A request for a repository and a session, which alice has opened in it; what is so before; the status."""

    ask: Ask
    status: int
    arrange: Callable[[World], object] = lambda _world: None
    is_short: bool = True


def opens(*fields: tuple[str, str], query: str = "", **more: Any) -> Ask:
    return lambda name, _session: Asked("POST", f"/v2/{name}/blobs/uploads/{query}", fields, **more)


def ends(*fields: tuple[str, str], body: bytes = CONTENT, digest: str = DIGEST, session: str = "", **more: Any) -> Ask:
    def ask(name: str, opened: str) -> Asked:
        return Asked("PUT", f"/v2/{name}/blobs/uploads/{session or opened}?digest={digest}", fields, body, **more)

    return ask


def puts(
    reference: str = "v1", *fields: tuple[str, str], media_type: str = OCI_MANIFEST, query: str = "", **more: Any
) -> Ask:
    given = (*fields, *([("Content-Type", media_type)] if media_type else []))
    more = {"body": MANIFEST} | more
    return lambda name, _session: Asked("PUT", f"/v2/{name}/manifests/{reference}{query}", given, **more)


def with_blobs(arrange: Callable[[World], object] = lambda _world: None) -> Callable[[World], None]:
    """Let the blobs of the manifest be there before `arrange`."""

    def arrange_all(world: World) -> None:
        for name in NAMES:
            for content in (CONFIG, CONTENT):
                push_blob(world.alice, name, content)
        arrange(world)

    return arrange_all


def tagged(arrange: Callable[[World], object] = lambda _world: None) -> Callable[[World], None]:
    """Let the tag v1 name another manifest before `arrange`."""

    def arrange_all(world: World) -> None:
        for name in NAMES:
            assert put_manifest(world.alice, name, "v1", manifest(CONFIG)).status_code == 201
        arrange(world)

    return with_blobs(arrange_all)


def quota(each: str = "repository", **values: Any) -> Callable[[World], object]:
    return lambda _world: Quota.objects.create(repositories="alice/*", each=each, **values)


def full(world: World) -> None:
    for name in NAMES:
        push_blob(world.alice, name, KIB)
    Quota.objects.create(repositories="alice/*", each="repository", max_size=1024)


def robot(world: World) -> None:
    group = Group.objects.create(name="builders")
    account = Account(name="robot", is_robot=True, owner=group)
    account.set_unusable_password()
    account.save()
    world.rule(subject="robot", actions="pull,push")
    world.by("robot", store.create(account, "ci")[1])


def revoked(world: World) -> None:
    robot(world)
    AccessToken.objects.update(revoked_at=now())
    permissions_version.renew()


def pushed_already(world: World) -> None:
    for name in NAMES:
        push_blob(world.alice, name, CONTENT)


def of_another(world: World) -> None:
    Account.objects.create(name="eve", password=hashed("eve's password"))
    world.rule(subject="eve", actions="pull,push")
    world.by("eve", "eve's password")


def of_another_registry(world: World) -> None:
    world.authorization = dict.fromkeys(NAMES, "Bearer eyJhbGciOiJFUzI1NiJ9.e30.c2lnbmF0dXJl")


def anonymous(world: World) -> None:
    Rule.objects.create(subject_kind="anonymous", subject="", name="alice/*", actions="pull,push")
    world.by("", "")


def too_large(world: World) -> None:
    storage = replace(world.settings.REGISTRY.storage, max_blob_size=4)
    world.settings.REGISTRY = replace(world.settings.REGISTRY, storage=storage)


NOBODY = str(uuid.UUID(int=0))
TRIALS = {
    "opened": Trial(opens(), 202),
    "opened without a length": Trial(opens(length=""), 202),
    "opened with a body that nobody asked for": Trial(opens(body=b"bytes"), 202),
    "opened under its own request id": Trial(opens(("X-Request-Id", "of-a-client")), 202),
    "opened by a robot": Trial(opens(), 202, robot),
    "opened by anybody": Trial(opens(), 202, anonymous),
    "opened under a rule for other tags": Trial(opens(), 202, lambda world: world.only(tags="dev-*")),
    "opened from the right network": Trial(opens(), 202, lambda world: world.only(networks="192.0.2.0/24")),
    "opened in time": Trial(opens(), 202, lambda world: world.only(until=now() + timedelta(hours=1))),
    "opened where little is left": Trial(opens(), 202, quota(max_size=1024)),
    "ended": Trial(ends(("User-Agent", "a client")), 201),
    "ended, escaped": Trial(ends(digest=DIGEST.replace(":", "%3A")), 201),
    "ended empty": Trial(ends(body=b"", digest=digest_of(b"")), 201),
    "ended large": Trial(ends(body=b"x" * 100_000, digest=digest_of(b"x" * 100_000)), 201),
    "ended where it just fits": Trial(ends(body=KIB, digest=digest_of(KIB)), 201, quota(max_size=1024)),
    "ended where a byte is missing": Trial(
        ends(body=KIB + b"x", digest=digest_of(KIB + b"x")), 403, quota(max_size=1024)
    ),
    "ended again": Trial(ends(session=NOBODY), 201, pushed_already),
    "ended by a robot that did not open it": Trial(ends(), 404, robot),
    "ended by another algorithm": Trial(ends(digest=digest_of(CONTENT, "sha512")), 201),
    "an unknown algorithm": Trial(ends(digest="md5:0123"), 400),
    "half a digest": Trial(ends(digest="sha256:0123"), 400),
    "other bytes": Trial(ends(body=b"other"), 400),
    "a body cut off": Trial(ends(length="100"), 400),
    "a large body cut off": Trial(ends(length="100000"), 400),
    "no number": Trial(ends(length="many"), 400),
    "no number either": Trial(opens(length="-1"), 400),
    "no session": Trial(ends(session=NOBODY), 404),
    "a session of another account": Trial(ends(), 404, of_another),
    "read-only at the start": Trial(opens(), 403, lambda _: ReadOnly.objects.create(repositories="*", message="moves")),
    "read-only at the end": Trial(ends(), 403, lambda _: ReadOnly.objects.create(repositories="alice/*")),
    # The body may be a blob that is there already.
    "full at the start": Trial(opens(), 202, full),
    "full at the end": Trial(ends(), 403, full),
    "too many sessions": Trial(opens(), 429, lambda world: world.limits(uploads_per_account=1)),
    "too large": Trial(ends(), 413, too_large),
    "a full disk": Trial(opens(), 503, lambda world: world.fails(disk_reserve, "check", unavailable("full", 60))),
    "a storage that fails": Trial(
        ends(), 503, lambda world: world.fails(small_blob, "blob_store", unavailable("s", 5))
    ),
    "a database that fails": Trial(
        opens(), 503, lambda world: world.fails(permissions_version, "current", OperationalError("is gone"))
    ),
    "a fault": Trial(opens(), 500, lambda world: world.fails(sessions, "start", RuntimeError("of the program"))),
    "a fault at the end": Trial(ends(), 500, lambda world: world.fails(sessions, "complete", KeyError("unexpected"))),
    # Left to the application, with the body unread and nothing done.
    "no token": Trial(opens(), 401, lambda world: world.authorization.clear(), is_short=False),
    "a foreign token": Trial(opens(), 401, of_another_registry, is_short=False),
    "an expired token": Trial(opens(), 401, World.later, is_short=False),
    "an expired token of an open session": Trial(ends(), 201, World.later, is_short=False),
    "a revoked token": Trial(opens(), 401, revoked, is_short=False),
    "the scope of a pull": Trial(opens(), 401, lambda world: world.by("alice", world.alice.password, "pull"), False),
    "no rule any more": Trial(opens(), 401, lambda world: world.only(name="other"), is_short=False),
    "a rule that denies": Trial(opens(), 401, lambda world: world.rule(is_deny=True), is_short=False),
    "another network": Trial(opens(), 401, lambda world: world.only(networks="10.0.0.0/8"), is_short=False),
    "too late": Trial(opens(), 401, lambda world: world.only(until=now() - timedelta(hours=1)), is_short=False),
    "a mount": Trial(opens(query=f"?mount={DIGEST}&from=alice/app"), 202, is_short=False),
    "a whole blob": Trial(opens(query=f"?digest={DIGEST}", body=CONTENT), 201, is_short=False),
    "a chosen algorithm": Trial(opens(query="?digest-algorithm=sha512"), 202, is_short=False),
    "chunks": Trial(ends(("Transfer-Encoding", "chunked"), length=""), 201, is_short=False),
    "a range": Trial(ends(("Content-Range", "7-26")), 416, is_short=False),
    "a body that waits": Trial(ends(("Expect", "100-continue")), 201, is_short=False),
    "two lengths": Trial(ends(("Content-Length", "20")), 201, is_short=False),
    "two parameters": Trial(ends(digest=f"{DIGEST}&digest={DIGEST}"), 201, is_short=False),
}
MANIFESTS = {
    "by tag": Trial(puts(), 201, with_blobs()),
    "by digest": Trial(puts(digest_of(MANIFEST)), 201, with_blobs()),
    "by a longer digest": Trial(puts(digest_of(MANIFEST, "sha512")), 201, with_blobs()),
    "a tag that moves": Trial(puts(), 201, tagged()),
    "with a subject": Trial(puts(body=manifest(CONFIG, subject=descriptor(MANIFEST))), 201, with_blobs()),
    "of no media type": Trial(puts(media_type=""), 201, with_blobs()),
    "by a robot": Trial(puts(), 201, with_blobs(robot)),
    "of another media type": Trial(puts(media_type="application/json"), 400, with_blobs()),
    "under no tag": Trial(puts(".v1"), 400, with_blobs()),
    "under no digest": Trial(puts("sha256:0"), 400, with_blobs()),
    "under another digest": Trial(puts(DIGEST), 400, with_blobs()),
    "without its blobs": Trial(puts(), 400),
    "no document": Trial(puts(body=b"{"), 400),
    "nothing": Trial(puts(body=b""), 400),
    "a document cut off": Trial(puts(length=str(len(MANIFEST) + 1)), 400, with_blobs()),
    "a large document": Trial(puts(), 413, with_blobs(lambda world: world.limits(manifest_size=100))),
    "read-only": Trial(puts(), 403, with_blobs(lambda _: ReadOnly.objects.create(repositories="alice/*"))),
    "a tag too many": Trial(puts("v2"), 403, tagged(quota(max_tags=1))),
    "the last tag": Trial(puts("v2"), 201, tagged(quota(max_tags=2))),
    "a tag that stays": Trial(
        puts(), 409, tagged(lambda _: ImmutableTags.objects.create(repositories="alice/*", tags="v*"))
    ),
    "a rule for this tag": Trial(puts(), 201, with_blobs(lambda world: world.only(tags="v*"))),
    "a rule for other tags": Trial(puts(), 403, with_blobs(lambda world: world.only(tags="dev-*"))),
    "a tag that is denied": Trial(puts(), 403, with_blobs(lambda world: world.rule(tags="v*", is_deny=True))),
    "a full database": Trial(
        puts(), 503, with_blobs(lambda world: world.fails(disk_reserve, "check_rows", unavailable("full", 60)))
    ),
    "a fault": Trial(puts(), 500, with_blobs(lambda world: world.fails(manifests, "put", KeyError("unexpected")))),
    "no token": Trial(puts(), 401, with_blobs(lambda world: world.authorization.clear()), is_short=False),
    "an expired token": Trial(puts(), 401, with_blobs(World.later), is_short=False),
    "a rule that denies": Trial(puts(), 401, with_blobs(lambda world: world.rule(is_deny=True)), is_short=False),
    "more tags": Trial(puts(digest_of(MANIFEST), query="?tag=a&tag=b"), 201, with_blobs(), is_short=False),
    "a charset": Trial(puts(media_type=f"{OCI_MANIFEST}; charset=utf-8"), 201, with_blobs(), is_short=False),
    "chunks": Trial(puts("v1", ("Transfer-Encoding", "chunked"), length=""), 201, with_blobs(), is_short=False),
}
TRIALS |= {f"manifest: {name}": trial for name, trial in MANIFESTS.items()}


@pytest.mark.parametrize("trial", TRIALS.values(), ids=TRIALS)
def test_a_push_is_answered_alike(world: World, trial: Trial, caplog: pytest.LogCaptureFixture) -> None:
    opened = [world.alice.post(f"/v2/{name}/blobs/uploads/").headers["Docker-Upload-UUID"] for name in NAMES]
    trial.arrange(world)
    found = []
    for name, session, answer in zip(NAMES, opened, (shortly, wholly), strict=True):
        asked = trial.ask(name, session)
        if authorization := world.authorization.get(name):
            asked = asked._replace(fields=[*asked.fields, ("Authorization", authorization)])
        caplog.clear()
        recording._queue._pending.clear()
        before = left(name)
        answered = answer(asked)
        if answer is shortly and not trial.is_short:
            assert (answered, left(name)) == (None, before)
            answered = wholly(asked)
        assert answered is not None
        found.append(seen(answered, name, caplog))

    assert found[0] == found[1]
    assert found[0]["status"] == trial.status


def seen(answered: Answered, name: str, caplog: pytest.LogCaptureFixture) -> dict[str, object]:
    """Return what a client and an administrator see of a request, without the names of repository and session."""
    token_id = str(answered.notes[2])
    deliveries = [json.loads(row.facts) | {"at": ""} for row in Delivery.objects.filter(repository=name).order_by("pk")]
    audited = [event.values for event in recording._queue._pending if event.values.repository == name]
    logged = [
        (record.name, record.levelname, record.getMessage()) for record in caplog.records if record.name not in HOURLY
    ]
    return {
        "status": answered.status,
        "fields": {key: without_names(value, name) for key, value in answered.fields.items()},
        "body": without_names(answered.body, name),
        "notes": without_names(answered.notes, name, token_id),
        "deliveries": without_names(deliveries, name),
        "audited": without_names(audited, name, token_id),
        "logged": without_names(logged, name),
    } | left(name)


def left(name: str) -> dict[str, object]:
    """Return what is stored of the repository."""
    return {
        "uploads": Upload.objects.filter(repository__name=name).count(),
        "links": Link.objects.filter(repository__name=name).count(),
        "tags": list(Tag.objects.filter(repository__name=name).values_list("name", "manifest__digest", "pushed_by")),
    }
