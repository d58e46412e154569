"""Signing keys in the database (`auth.keys: database`), which every replica reads.

Each is encrypted with AES-GCM by a key derived from `server.secret_key`, so a copy of the table signs no token. A
rotation is one transaction; a process reads the table again after CACHE_SECONDS. The next key is published before it
signs, so processes verify each other's tokens meanwhile.
"""

from datetime import timedelta
from pathlib import Path

from django.conf import settings
from django.db import transaction

from core.db import clock, sealing
from core.db.setup import lock_until_commit
from core.private_files import KeyFileError
from tokens.keys.folder import KeyFolder
from tokens.keys.signing_key import (
    SigningKey,
    from_private_pem,
    from_public_pem,
    new_private_pem,
    private_pem,
    public_pem,
)
from tokens.models import Role, StoredKey

CACHE_SECONDS = 5.0
_PURPOSE = b"tokens.keys.stored"
_PLACE = Path("auth.keys")


def prepare(folder: KeyFolder) -> None:
    """Store an active and a next key if there is none; those of `folder` are taken over. Raises KeyFileError."""
    with transaction.atomic():
        lock_until_commit()
        if StoredKey.objects.exists():
            return
        active, others = None, []
        if folder.private.exists():
            active, others = folder.active(), list(folder.others())
        _store(Role.ACTIVE, active or _new())
        for key in others:
            _store(Role.RETIRING if key.signing is None else Role.NEXT, key)
        if not StoredKey.objects.filter(role=Role.NEXT).exists():
            _store(Role.NEXT, _new())


def read(keep_seconds: float) -> tuple[SigningKey, list[SigningKey], float]:
    """Return the active key, the others, and the seconds until the first of these expires. Raises KeyFileError."""
    now, left = clock.now(), [keep_seconds]
    active, others = None, []
    for row in StoredKey.objects.all():
        if row.retired_at is not None:
            seconds = keep_seconds - (now - row.retired_at).total_seconds()
            if seconds < 0:
                continue
            left.append(seconds)
        if row.role == Role.ACTIVE:
            active = _opened(row)
        else:
            others.append(_opened(row))
    if active is None:
        raise KeyFileError("auth.keys: the database has no signing key; one is made when the server starts")
    return active, others, min(left)


def rotate(keep_seconds: float) -> None:
    """Activate the next key, retire the active one and delete expired ones. Raises KeyFileError."""
    with transaction.atomic():
        lock_until_commit()
        rows = {row.role: row for row in StoredKey.objects.exclude(role=Role.RETIRING)}
        now = clock.now()
        retiring = _opened(rows[Role.ACTIVE])
        StoredKey.objects.filter(retired_at__lt=now - timedelta(seconds=keep_seconds)).delete()
        StoredKey.objects.filter(pk=rows[Role.NEXT].pk).update(role=Role.ACTIVE)
        _store(Role.RETIRING, retiring)
        _store(Role.NEXT, _new())


def delete_unreadable() -> None:
    """Delete keys that another `server.secret_key` has encrypted."""
    for row in StoredKey.objects.all():
        try:
            _opened(row)
        except KeyFileError:
            row.delete()


def _new() -> SigningKey:
    return from_private_pem(_PLACE, new_private_pem(settings.REGISTRY.auth.signing_method))


def _store(role: Role, key: SigningKey) -> None:
    pem = public_pem(key) if role == Role.RETIRING else private_pem(key)
    StoredKey.objects.update_or_create(
        kid=key.kid,
        defaults={
            "role": role,
            "content": sealing.seal(pem, _PURPOSE, key.kid.encode()),
            "retired_at": clock.now() if role == Role.RETIRING else None,
        },
    )


def _opened(row: StoredKey) -> SigningKey:
    try:
        pem = sealing.unseal(bytes(row.content), _PURPOSE, row.kid.encode())
    except sealing.OtherKeyError as error:
        raise KeyFileError(
            "auth.keys: another server.secret_key has encrypted the signing keys in the database; set that one again, "
            "or stop every server and run `manage.py acceptkeys`, which makes new keys"
        ) from error
    return (from_public_pem if row.role == Role.RETIRING else from_private_pem)(_PLACE, pem)
