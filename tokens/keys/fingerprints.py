"""Fingerprints, in the database, of the keys that all processes on it have in common.

Two replicas with signing keys of their own answer every other request 401; with another `server.secret_key`, sessions
and second factors of the admin fail. So a start on PostgreSQL is refused if its keys are not those of the database. A
SQLite database belongs to one machine: a changed key is accepted with a warning.
"""

from collections.abc import Iterator

from django.conf import settings
from django.db import connection, transaction
from django.utils.crypto import salted_hmac

from core.db import clock
from core.db.setup import where
from core.private_files import KeyFileError
from core.start_error import StartError
from tokens.keys import ring, stored
from tokens.models import KeyFingerprint

SECRET = "secret_key"  # noqa: S105 - the name of it
SIGNING = "signing_key"
_SALT = "tokens.keys.fingerprints"

_ON_PURPOSE = "If this is a change on purpose, stop every server on this database and run `manage.py acceptkeys` here."


def check_secret() -> Iterator[str]:
    """Compare `server.secret_key` with the database, and yield warnings. Raises StartError."""
    key = settings.REGISTRY.server.secret_key
    file = settings.REGISTRY.server.data_directory / "keys" / "secret.key"
    place = "the value of server.secret_key" if key is not None else str(file)
    yield from _check(
        SECRET,
        _of_secret(settings.SECRET_KEY),
        f"{place} is not the secret that other servers on {where()} use; set the same server.secret_key on all of them "
        "(one that has none in its configuration keeps it in <server.data_directory>/keys/secret.key: copy that).",
        "server.secret_key is another one than before: sessions of the admin end, and second factors need a new setup.",
    )


def check_signing_key() -> Iterator[str]:
    """Compare the active signing key with the database, and yield warnings. Raises StartError, KeyFileError."""
    current = ring.current()
    known = _known(SIGNING)
    # A rotation that was killed before it told the database: the known key is retiring here.
    if (
        known is not None
        and known != _of_key()
        and any(key.signing is None and key.kid == known for key in current.by_kid.values())
    ):
        remember_signing_key()
    yield from _check(
        SIGNING,
        _of_key(),
        f"{_place()}: not the signing key that other servers on {where()} use, so they would refuse each other's "
        f"tokens; {_remedy()}.",
        "the signing key is another one than before: tokens that were issued with it are refused.",
    )


def accept() -> None:
    """Make the keys of this configuration those of the database. Raises KeyFileError."""
    _remember(SECRET, _of_secret(settings.SECRET_KEY))
    if ring.is_stored():
        stored.delete_unreadable()
        ring.forget()
        ring.prepare_stored()
    remember_signing_key()


def refuse_stale() -> None:
    """Raise KeyFileError if the database knows another active key: a rotation here would not reach the others."""
    if connection.vendor == "postgresql" and is_migrated() and _known(SIGNING) not in (None, _of_key()):
        raise KeyFileError(f"{_place()}: not the signing key that other servers on {where()} use; {_remedy()}")


def remember_signing_key() -> None:
    """Store the fingerprint of the active key; before the first start there is no table for it."""
    if is_migrated():
        _remember(SIGNING, _of_key())


def is_migrated() -> bool:
    """Return whether the database has the table."""
    return KeyFingerprint._meta.db_table in connection.introspection.table_names()  # noqa: SLF001 - Django documents it


def _check(purpose: str, fingerprint: str, refusal: str, warning: str) -> Iterator[str]:
    known = _known(purpose)
    if known == fingerprint:
        return
    if known is not None:
        if connection.vendor == "postgresql":
            raise StartError(f"{refusal} {_ON_PURPOSE}")
        yield warning
    _remember(purpose, fingerprint)


def _known(purpose: str) -> str | None:
    return KeyFingerprint.objects.filter(pk=purpose).values_list("fingerprint", flat=True).first()


def _remember(purpose: str, fingerprint: str) -> None:
    with transaction.atomic():
        KeyFingerprint.objects.update_or_create(
            purpose=purpose, defaults={"fingerprint": fingerprint, "known_at": clock.now()}
        )


def _of_secret(secret: str) -> str:
    """Return an HMAC by the secret: equal for equal ones, and the secret can't be computed from it."""
    return salted_hmac(_SALT, "fingerprint", secret=secret, algorithm="sha256").hexdigest()


def _of_key() -> str:
    """Return the thumbprint of the public key; of a shared secret, which has none, its HMAC."""
    auth = settings.REGISTRY.auth
    return _of_secret(auth.hmac_secret or "") if auth.signing_method == "hmac" else ring.current().active.kid


def _place() -> str:
    if settings.REGISTRY.auth.signing_method == "hmac":
        return "auth.hmac_secret"
    return "auth.keys: database" if ring.is_stored() else str(ring.key_folder().private)


def _remedy() -> str:
    if settings.REGISTRY.auth.signing_method == "hmac":
        return "set the same auth.hmac_secret (and auth.signing_method) on all of them"
    stem = ring.key_folder().private.stem
    return (
        f"set auth.keys: database on all of them, share the folder of the keys, or copy all files {stem}.* of a server "
        "that runs already into this folder (they change with each rotation)"
    )
