"""Accounts, their second factors, failed logins, and the permissions version."""

import re
from datetime import UTC
from typing import Any, ClassVar

from django.contrib.auth.base_user import AbstractBaseUser, BaseUserManager
from django.contrib.auth.models import Group, PermissionsMixin
from django.core.validators import RegexValidator
from django.db import models
from django.db.models import Q
from django.utils.crypto import salted_hmac

from accounts.names import ACCOUNT_NAME
from audit.kinds import Kind
from audit.recording import record

validate_account_name = RegexValidator(
    re.compile(rf"\A{ACCOUNT_NAME.pattern}\Z"),
    "An account name starts with a letter or digit, then letters, digits and . _ @ + $ - (at most 128 characters).",
)


class AccountManager(BaseUserManager["Account"]):
    """Create accounts for `createsuperuser` and for tests."""

    def create_user(self, name: str, password: str | None = None, **fields: Any) -> "Account":
        """Create an account with `password` in clear text; None means that it can't log in."""
        account = self.model(name=name, **fields)
        account.set_password(password)
        account.full_clean(exclude=["password"])
        account.save(using=self._db)
        return account

    def create_superuser(self, name: str, password: str | None = None, **fields: Any) -> "Account":
        """Create an account with all rights in the admin; its `/v2/` rights come from rules alone."""
        account = self.create_user(name, password, is_staff=True, is_superuser=True, **fields)
        record(Kind.CHANGE, None, credential="command", reference=f"account {name}", detail="added: a superuser")
        return account


class Account(AbstractBaseUser, PermissionsMixin):
    """A person or a machine that logs in; a robot has no password, and access tokens alone."""

    name = models.CharField(max_length=128, unique=True, validators=[validate_account_name])
    is_active = models.BooleanField(
        "active",
        default=True,
        help_text="An account that is not active can't log in, and its tokens stop counting.",
    )
    is_staff = models.BooleanField("staff", default=False, help_text="May open this admin.")
    is_robot = models.BooleanField("robot", default=False, db_default=False, editable=False)
    owner = models.ForeignKey(
        Group,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="robots",
        help_text="The group whose members make and revoke the tokens of this robot; without one it can't log in.",
    )
    created_at = models.DateTimeField(auto_now_add=True)
    second_factor_changed_at = models.DateTimeField(null=True, editable=False)
    """When a second factor was set up or removed; earlier sessions are invalid."""

    provider = models.CharField("login by", max_length=255, blank=True, editable=False)
    """What checks its logins: "" a password here, otherwise `accounts.providers`."""

    subject = models.CharField(max_length=255, blank=True, editable=False)
    """The provider's own key of the person, which tells a later one of the same name apart."""

    checked_at = models.DateTimeField(null=True, editable=False)
    """When the provider was last asked about the account."""

    missing_since = models.DateTimeField(null=True, editable=False)
    """Since when the provider does not know it; it is not active meanwhile."""

    USERNAME_FIELD = "name"
    REQUIRED_FIELDS: ClassVar[list[str]] = []
    objects: ClassVar[AccountManager] = AccountManager()

    class Meta:
        ordering: ClassVar[list[str]] = ["name"]
        constraints: ClassVar[list[models.BaseConstraint]] = [
            # Whatever writes the row: nobody signs in as a robot, and none administers.
            models.CheckConstraint(
                condition=Q(is_robot=False) | Q(is_staff=False, is_superuser=False, password__startswith="!"),  # noqa: S106 - how unusable ones begin
                name="accounts_robot_has_no_password",
            ),
            models.CheckConstraint(
                condition=Q(is_robot=True) | Q(owner__isnull=True), name="accounts_owner_is_of_a_robot"
            ),
        ]

    def __str__(self) -> str:
        return self.name

    def _get_session_auth_hash(self, secret: str | None = None) -> str:
        """Return a hash that changes with the password and the second factor, and ends all sessions."""
        by_password: str = super()._get_session_auth_hash(secret)  # type: ignore[misc]  # the stubs lack it
        if self.second_factor_changed_at is None:
            return by_password
        changed_at = self.second_factor_changed_at.astimezone(UTC).isoformat()
        return salted_hmac("accounts.session", f"{by_password} {changed_at}", secret, algorithm="sha256").hexdigest()


class ProvidedMembership(models.Model):
    """A membership that an identity provider gave, which it may take away; others were given by hand."""

    account = models.ForeignKey(Account, models.CASCADE, related_name="provided_memberships")
    group = models.ForeignKey("auth.Group", models.CASCADE, related_name="+")

    class Meta:
        default_permissions = ()
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["account", "group"], name="accounts_one_provided_membership")
        ]


class RightsEpoch(models.Model):
    """The permissions version: one row, replaced by database triggers; see `accounts.permissions_version`."""

    value = models.CharField(max_length=64)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.CheckConstraint(condition=models.Q(pk=1), name="accounts_one_rights_epoch")
        ]


class FailedLogin(models.Model):
    """Wrong passwords of one or any account from one or any address; see `throttling.throttle`."""

    account = models.CharField(max_length=128)
    network = models.CharField(max_length=45, blank=True)
    forgiven_at = models.DateTimeField(db_index=True)

    class Meta:
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["account", "network"], name="accounts_one_failed_login")
        ]


class KnownNetwork(models.Model):
    """A network from which an account has logged in; see `throttling.known_networks`."""

    account = models.CharField(max_length=128)
    network = models.CharField(max_length=45)
    last_at = models.DateTimeField(db_index=True)

    class Meta:
        default_permissions = ()
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["account", "network"], name="accounts_one_known_network")
        ]


class SecondFactor(models.Model):
    """The TOTP seed of an account; see `accounts.second_factor`.

    Setup and removal end the account's sessions through `Account.second_factor_changed_at`.
    """

    account = models.OneToOneField(Account, models.CASCADE, related_name="second_factor")
    seed = models.CharField(max_length=64)
    """The secret is derived from it and SECRET_KEY, so a copy of the table yields no code."""

    last_step = models.BigIntegerField()
    """The last accepted TOTP time step: each code is valid once."""

    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        # No page of the admin shows a row.
        default_permissions = ()

    def __str__(self) -> str:
        return str(self.account)


class RecoveryCode(models.Model):
    """A single-use code for a lost device."""

    factor = models.ForeignKey(SecondFactor, models.CASCADE, related_name="recovery_codes")
    digest = models.CharField(max_length=64)

    class Meta:
        default_permissions = ()
        constraints: ClassVar[list[models.BaseConstraint]] = [
            models.UniqueConstraint(fields=["factor", "digest"], name="accounts_one_recovery_code")
        ]

    def __str__(self) -> str:
        return str(self.factor)
