"""Refresh tokens, which clients store instead of a password; signing keys, and the fingerprints of all keys."""

from typing import ClassVar

from django.db import models
from django.db.models import Q


class RefreshToken(models.Model):
    """A refresh token, valid until it is revoked, unused for too long, or its account changes.

    Only a hash of the token is stored, so a copy of the table yields no token.
    """

    token_hash = models.CharField(max_length=64, unique=True, editable=False)
    account = models.CharField(max_length=128, db_index=True)
    credential_hash = models.CharField(max_length=64, editable=False)
    client_id = models.CharField("client", max_length=128, blank=True)
    address = models.CharField(max_length=64, blank=True, help_text="Where the login came from.")
    created_at = models.DateTimeField(auto_now_add=True)
    used_at = models.DateTimeField("last used", db_index=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-created_at"]
        verbose_name = "docker login"

    def __str__(self) -> str:
        return f"{self.account} from {self.address or 'somewhere'}"


class AccessToken(models.Model):
    """A credential for machines, which clients use as the password of its account until it expires or is revoked.

    Only an HMAC of the token is stored. It never allows more than its account may at the moment of use.
    """

    account = models.ForeignKey("accounts.Account", models.CASCADE, related_name="access_tokens")
    name = models.CharField(max_length=100, help_text="What it is for.")
    token_hash = models.CharField(max_length=64, unique=True, editable=False)
    credential_hash = models.CharField(max_length=64, editable=False)
    """Changes with the account's password, which ends the token."""

    scopes = models.JSONField(default=list, help_text="GLOB:actions of repositories; empty: all that the account may.")
    created_at = models.DateTimeField(auto_now_add=True)
    created_by = models.CharField(max_length=128, blank=True, help_text="empty: by a command")
    expires_at = models.DateTimeField()
    used_at = models.DateTimeField("last used", null=True, blank=True)
    used_from = models.CharField("last used from", max_length=64, blank=True)
    revoked_at = models.DateTimeField(null=True, blank=True)

    class Meta:
        ordering: ClassVar[list[str]] = ["-pk"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(
                fields=["account", "name"], condition=Q(revoked_at__isnull=True), name="tokens_access_token_name"
            )
        ]

    def __str__(self) -> str:
        return f"{self.name} of {self.account}"


class KeyFingerprint(models.Model):
    """The fingerprint of a key that all processes on this database have in common; see `tokens.keys.fingerprints`."""

    purpose = models.CharField(max_length=16, primary_key=True)
    fingerprint = models.CharField(max_length=64)
    known_at = models.DateTimeField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.purpose


class IssuerKeys(models.Model):
    """The keys of a trusted issuer as they were fetched last, for processes that have none; see `tokens.workload`."""

    source = models.CharField(max_length=255, primary_key=True, help_text="the issuer, or the URL of its keys")
    document = models.JSONField(help_text="a JSON Web Key Set: public keys alone")
    fetched_at = models.DateTimeField()

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.source


class Role(models.TextChoices):
    """What a signing key is for."""

    ACTIVE = "active", "active"
    NEXT = "next", "next"
    RETIRING = "retiring", "retiring"


class StoredKey(models.Model):
    """A signing key in the database, encrypted by `server.secret_key`; see `tokens.keys.stored`."""

    kid = models.CharField(max_length=64, primary_key=True)
    role = models.CharField(max_length=16, choices=Role.choices)
    content = models.BinaryField(help_text="the private key; of a retiring one, the public key")
    retired_at = models.DateTimeField(null=True)

    class Meta:
        default_permissions = ()

    def __str__(self) -> str:
        return self.kid
