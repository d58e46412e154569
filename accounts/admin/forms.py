"""The forms with which the admin makes and changes accounts."""

from typing import Any, ClassVar

from django.contrib.auth.forms import UserChangeForm
from django.core.exceptions import ValidationError
from django.http import HttpRequest
from django.utils.safestring import SafeString
from unfold.forms import AdminOwnPasswordChangeForm, AuthenticationForm, UserCreationForm

from accounts.authentication import BusyError, TooManyFailuresError, place
from accounts.login_log import BUSY, THROTTLED, log_login, log_refusal
from accounts.models import Account
from accounts.throttling import known_networks, throttle

CROWDED = "Too many logins at once; try again in a moment."


class AdminLoginForm(AuthenticationForm):
    """The login of the admin, which says when it is not looking at passwords, and logs who came."""

    def clean(self) -> dict[str, Any]:
        """Check name and password. Raises BusyError and TooManyFailuresError, to be answered without this form."""
        name: str = self.cleaned_data.get("username", "")
        # The backend asks as well, and can only refuse: that would look like a wrong password.
        if refusal := throttle.refusal(name, self.request):
            log_refusal(self.request, name, "admin", THROTTLED)
            raise TooManyFailuresError(refusal)
        try:
            with place(self.request):
                cleaned: dict[str, Any] = super().clean()
        except BusyError:
            log_refusal(self.request, name, "admin", BUSY)
            raise
        except ValidationError:
            # The password of an account that may not open the admin was right.
            if self.get_user() is None:
                throttle.count_failure(name, self.request)
            log_refusal(self.request, name, "admin")
            raise
        if self.get_user() is not None:
            log_login(self.request, name, "admin")
            known_networks.record(name, throttle.network_of(self.request))
        return cleaned


class OwnPasswordForm(AdminOwnPasswordChangeForm):
    """One's own password: the old one is asked for as a login's is, which would be guessed here otherwise."""

    def __init__(self, request: HttpRequest, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._request = request

    def clean_old_password(self) -> str:
        """Check the old password."""
        name = self.user.get_username()
        if refusal := throttle.refusal(name, self._request):
            raise _too_many(refusal)
        try:
            with place(self._request):
                old: str = super().clean_old_password()
        except BusyError as error:
            raise ValidationError(CROWDED) from error
        except ValidationError:
            throttle.count_failure(name, self._request)
            raise
        return old


def _too_many(refusal: throttle.Refusal) -> ValidationError:
    return ValidationError(f"{refusal.reason.capitalize()}; wait {refusal.seconds} s.")


class DistinctName:
    """A form whose account has a name of its own, upper and lower case aside, as in the configuration file."""

    def clean_name(self: Any) -> str:
        """Refuse a name that a person would take for another account's."""
        name: str = self.cleaned_data["name"]
        others = Account.objects.filter(name__iexact=name).exclude(pk=self.instance.pk)
        if "name" in self.changed_data and others.exists():
            raise ValidationError("There is an account of this name, upper and lower case aside.")
        return name


class AccountCreationForm(DistinctName, UserCreationForm):
    """A new account: its name and its password, twice."""

    # No choice of "no password": it is `active` that takes the login away.
    usable_password = None  # type: ignore[assignment]  # how Django takes a field of a base class away

    class Meta:
        model = Account
        fields: ClassVar[tuple[str, ...]] = ("name",)


class AccountChangeForm(DistinctName, UserChangeForm):  # type: ignore[type-arg]  # generic in the stubs only
    """An account, with its password's hash masked and a way to set another one."""

    class Meta:
        model = Account
        fields = "__all__"
        field_classes: ClassVar[dict[str, type]] = {}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["password"].help_text = SafeString(
            'Only a hash is stored. <a class="text-link" href="../password/">Set another password</a>'
        )
