"""Forms for codes of the second factor."""

from typing import Any

from django.core.exceptions import ValidationError
from django.forms import CharField, Form
from django.http import HttpRequest
from unfold.widgets import UnfoldAdminTextInputWidget

from accounts import second_factor
from accounts.authentication import TooManyFailuresError
from accounts.login_log import THROTTLED, log_refusal
from accounts.models import Account, SecondFactor

_ATTRIBUTES = {"autocomplete": "one-time-code", "autofocus": True, "autocapitalize": "none", "spellcheck": "false"}


class _AnyCodeForm(Form):
    code = CharField(max_length=32, widget=UnfoldAdminTextInputWidget(attrs=_ATTRIBUTES))


class CodeForm(_AnyCodeForm):
    """A TOTP or recovery code."""

    def __init__(self, factor: SecondFactor, request: HttpRequest, *args: Any) -> None:
        super().__init__(*args)
        self._factor, self._request = factor, request

    def clean_code(self) -> str:
        """Verify the code and use it up."""
        code: str = self.cleaned_data["code"]
        name = self._factor.account.name
        try:
            if second_factor.verify_code(self._factor, code, self._request):
                return code
        except TooManyFailuresError as error:
            log_refusal(self._request, name, "admin code", THROTTLED)
            raise ValidationError(f"{error.reason.capitalize()}; wait {error.retry_after_seconds} s.") from error
        log_refusal(self._request, name, "admin code")
        raise ValidationError("This code is wrong or was used already; wait for the next one in the app.")


class FirstCodeForm(_AnyCodeForm):
    """The first TOTP code, which proves that the app has the secret."""

    made: tuple[SecondFactor, list[str]]
    """The second factor and its recovery codes, once the form is valid."""

    def __init__(self, account: Account, seed: str, *args: Any) -> None:
        super().__init__(*args)
        self._account, self._seed = account, seed

    def clean_code(self) -> str:
        code: str = "".join(self.cleaned_data["code"].split())
        made = second_factor.set_up(self._account, self._seed, code)
        if made is None:
            raise ValidationError("This is not the code that the app shows now. Is the clock of the device right?")
        self.made = made
        return code
