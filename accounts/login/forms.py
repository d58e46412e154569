"""Forms of the admin: login, password, accounts."""

from typing import Any, ClassVar

from django.contrib.auth.forms import AuthenticationForm as PlainAuthenticationForm
from django.contrib.auth.forms import UserChangeForm
from django.contrib.auth.models import Group
from django.core.exceptions import ValidationError
from django.forms import BooleanField, ModelChoiceField
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.forms import AdminOwnPasswordChangeForm, AuthenticationForm, UserCreationForm
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldBooleanSwitchWidget

from accounts.authentication import BusyError, TooManyFailuresError, place
from accounts.login_log import BUSY, THROTTLED, UNAVAILABLE, log_event, log_login, log_refusal
from accounts.models import Account
from accounts.providers import ProviderUnavailableError
from accounts.throttling import known_networks, throttle
from audit.kinds import Kind

CROWDED = "Too many logins at once; try again in a moment."


class _Throttled:
    """The throttle, the password queue and the login log, for a login form of Django."""

    grant: ClassVar[str]

    def clean(self: Any) -> dict[str, Any]:
        """Check name and password.

        Raises BusyError, TooManyFailuresError and ProviderUnavailableError, which are answered without a form.
        """
        name: str = self.cleaned_data.get("username", "")
        # The backend asks too, but its refusal is indistinguishable from a wrong password.
        if refusal := throttle.refusal(name, self.request):
            log_refusal(self.request, name, self.grant, THROTTLED)
            raise TooManyFailuresError(refusal)
        try:
            with place(self.request, name):
                cleaned: dict[str, Any] = super().clean()  # type: ignore[misc]  # Django's form comes next
        except BusyError:
            log_refusal(self.request, name, self.grant, BUSY)
            raise
        except ProviderUnavailableError:
            log_refusal(self.request, name, self.grant, UNAVAILABLE)
            raise
        except ValidationError:
            # With a user the password was right, but the account may not log in here.
            if self.get_user() is None:
                throttle.count_failure(name, self.request)
            log_refusal(self.request, name, self.grant)
            raise
        if self.get_user() is not None:
            # A provider may know the name in another spelling.
            account = self.get_user().get_username()
            log_login(self.request, account, self.grant)
            known_networks.record(account, throttle.network_of(self.request))
        return cleaned

    def confirm_login_allowed(self: Any, user: Account) -> None:
        """Refuse robots, which another backend may know by a password."""
        super().confirm_login_allowed(user)  # type: ignore[misc]  # as above
        if user.is_robot:
            raise self.get_invalid_login_error()


class AdminLoginForm(_Throttled, AuthenticationForm):
    """The login of the admin, for staff."""

    grant = "admin"


class LoginForm(_Throttled, PlainAuthenticationForm):
    """The login of the pages, for every active account."""

    grant = "page"


class OwnPasswordForm(AdminOwnPasswordChangeForm):
    """Change one's own password; the old one is throttled like a login."""

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._request = request

    def clean_old_password(self) -> str:
        name = self.user.get_username()
        if refusal := throttle.refusal(name, self._request):
            raise ValidationError(f"{refusal.reason.capitalize()}; wait {refusal.seconds} s.")
        try:
            with place(self._request):
                old: str = super().clean_old_password()
        except BusyError as error:
            raise ValidationError(CROWDED) from error
        except ValidationError:
            throttle.count_failure(name, self._request)
            raise
        return old

    def save(self, commit: bool = True) -> Any:
        """Store the password, and log the change."""
        account = super().save(commit)
        log_event(self._request, account.name, "password changed", Kind.PASSWORD)
        return account


class DistinctName:
    """Names of accounts differ in more than case, as in the configuration file."""

    def clean_name(self: Any) -> str:
        name: str = self.cleaned_data["name"]
        others = Account.objects.filter(name__iexact=name).exclude(pk=self.instance.pk)
        if "name" in self.changed_data and others.exists():
            raise ValidationError("There is an account of this name, upper and lower case aside.")
        return name


class AccountCreationForm(DistinctName, UserCreationForm):
    """A new account: its name, and its password twice."""

    # Django's own choice needs a script, and tells of logins that this registry does not have.
    usable_password = None  # type: ignore[assignment]  # Django's way to remove a field of a base class
    has_no_password = BooleanField(
        label="No password",
        required=False,
        widget=UnfoldBooleanSwitchWidget,
        help_text="The account cannot log in until a password is set on its page. Leave both passwords empty then.",
    )

    owner = ModelChoiceField(
        Group.objects.order_by("name"),
        required=False,
        label="Robot of the group",
        empty_label="no robot",
        widget=UnfoldAdminSelectWidget,
        help_text="Makes it a robot: no password, and members of this group make and revoke its access tokens.",
    )

    class Meta:
        model = Account
        fields: ClassVar[tuple[str, ...]] = ("name", "owner")

    def clean(self) -> dict[str, Any] | None:
        """Refuse a password for an account without one."""
        self.instance.is_robot = self.cleaned_data.get("owner") is not None
        if self.cleaned_data.get("has_no_password") or self.instance.is_robot:
            if self.cleaned_data.get("password1") or self.cleaned_data.get("password2"):
                self.add_error("has_no_password", "Either a password or none.")
            # Of Django's own field, which its form reads here.
            self.cleaned_data["usable_password"] = "false"  # noqa: S105 - a choice, not a password
        cleaned: dict[str, Any] | None = super().clean()
        return cleaned


class AccountChangeForm(DistinctName, UserChangeForm):  # type: ignore[type-arg]  # generic in the stubs only
    """An account, with a link to the password form in place of the hash."""

    class Meta:
        model = Account
        fields = "__all__"
        field_classes: ClassVar[dict[str, type]] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "owner" in self.fields:
            # Without one, it can't log in: is_active says that.
            self.fields["owner"].required = True
        if "password" not in self.fields:
            return
        self.fields["password"].help_text = SafeString(
            'Only a hash is stored. <a class="text-link" href="../password/">Set another password</a>'
        )
        # Read-only fields are not here.
        if (superuser := self.fields.get("is_superuser")) is not None:
            superuser.label, superuser.help_text = "Superuser", "May do everything here, and change every account."
