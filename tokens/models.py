"""Refresh tokens, which clients store instead of a password."""

from typing import ClassVar

from django.db import models


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

    def __str__(self) -> str:
        return f"{self.account} from {self.address or 'somewhere'}"
