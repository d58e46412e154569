"""Changes by the API: an audit event and a line of the log; of administrators a row of the admin's history too."""

import logging
from collections.abc import Mapping
from contextlib import AbstractContextManager
from functools import partial
from typing import Any, cast

from django.contrib.admin.models import ADDITION, CHANGE, DELETION, LogEntry
from django.contrib.contenttypes.models import ContentType
from django.db import transaction
from django.db.models import Model
from rest_framework.request import Request

from accounts.identity import Identity
from acl.names import RepositoryName
from audit.changes import difference
from audit.kinds import Kind
from audit.recording import record as record_event
from core.api.notes import ANONYMOUS_NAME
from distribution.manifests import tag_rights

REPR_CHARACTERS = 200
_VERBS = {ADDITION: "added", CHANGE: "changed", DELETION: "deleted"}
# What the registry sets by itself, and what is made of other fields.
_DERIVED = ("id", "created_at", "last_login", "sentence", "members", "robots", "is_robot")

logger = logging.getLogger(__name__)


def record(
    request: Request,
    row: Model,
    flag: int,
    what: str,
    *,
    before: Mapping[str, Any] | None = None,
    after: Mapping[str, Any] | None = None,
) -> None:
    """Record a change by an administrator; of a deletion before it, while the row has its key.

    `before` and `after` are the representations of the row, which have no secrets.
    """
    actor: Any = request.user
    LogEntry.objects.create(
        user_id=actor.pk,
        content_type=ContentType.objects.get_for_model(row, for_concrete_model=False),
        object_id=str(row.pk),
        object_repr=str(row)[:REPR_CHARACTERS],
        action_flag=flag,
        change_message=what,
    )
    logger.info("%s %s", row._meta.verbose_name, _VERBS[flag], extra={"what": what, **_actor(request)})
    old, new = before or {}, after or {}
    changed = [name for name in new if name not in _DERIVED and new[name] != old.get(name)]
    # Of a new row, what it has.
    values = [difference(name, old.get(name), new[name]) for name in changed if old or new[name]]
    if values or flag != CHANGE:
        detail = f"{_VERBS[flag]}: {'; '.join(values)}" if values else _VERBS[flag]
        record_committed(request, Kind.CHANGE, f"{row._meta.verbose_name} {row}", detail)


def record_committed(request: Request, kind: Kind, subject: str, detail: str) -> None:
    """Record a change of `subject` once it is committed."""
    about = {**_proof(request), "reference": subject, "detail": detail}
    transaction.on_commit(partial(record_event, kind, request._request, **about))


def record_content(
    request: Request, kind: Kind, repository: str, *, tag: str = "", digest: str = "", detail: str = ""
) -> None:
    """Log and record a change of what is in a repository, as `/v2/` and the pages do."""
    what = {name: value for name, value in (("tag", tag), ("digest", digest)) if value}
    logger.info(kind.label, extra={"repository": repository, **what, **_actor(request)})
    about = {"repository": repository, "reference": tag or digest, "digest": digest, "detail": detail}
    record_event(kind, request._request, **_proof(request), **about)


def record_access_token(request: Request, account: str, message: str) -> None:
    """Log and record that the caller has made or revoked an access token of `account`."""
    logger.info(message, extra={"of": account, **_actor(request)})
    subject = f"account {account}"
    record_event(Kind.ACCESS_TOKEN, request._request, **_proof(request), reference=subject, detail=message)


def _actor(request: Request) -> dict[str, Any]:
    identity = cast("Identity | None", request.auth)
    name = identity.name if identity is not None else ANONYMOUS_NAME
    return {"account": name, "client": request.META.get("REMOTE_ADDR")}


def denials_recorded(request: Request, name: RepositoryName) -> AbstractContextManager[None]:
    """Return a context that records what the rules about tags refuse in it."""
    return tag_rights.recorded(request._request, **_proof(request), name=name)


def _proof(request: Request) -> dict[str, str]:
    """Return the account and what proves it: session, password, or an access token with its name."""
    identity = cast("Identity | None", request.auth)
    if identity is None:
        return {"account": "", "credential": ""}
    limit, authenticator = identity.limit, cast(Any, request.successful_authenticator)
    credential = f"access token {limit.name}" if limit is not None else authenticator.proof
    return {"account": identity.name, "credential": credential}
