"""The form for proxies, of the admin and of the management API."""

from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminPasswordWidget

from upstreams.models import MAX_PASSWORD_CHARACTERS, Proxy


class ProxyForm(forms.ModelForm):  # type: ignore[type-arg]  # generic in the stubs only
    """A proxy; its password can be set and never read."""

    password = forms.CharField(
        required=False,
        strip=False,
        max_length=MAX_PASSWORD_CHARACTERS,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        help_text="Of the upstream; it is stored encrypted, and never shown again. Empty: it stays as it is. Without a "
        "username it is removed.",
    )

    class Meta:
        model = Proxy
        fields: ClassVar[tuple[str, ...]] = Proxy.entered

    def clean(self) -> dict[str, Any]:
        """Set the password before the model is checked."""
        values: dict[str, Any] = super().clean() or self.cleaned_data
        password = values.get("password", "")
        if not password and self.instance.sealed_password and "url" in self.changed_data and values.get("username"):
            # Otherwise whoever may change the URL could have the password sent to a host of their own.
            raise ValidationError({"password": "The URL has changed: give the password again."})
        if password:
            self.instance.set_password(password)
        elif not values.get("username"):
            self.instance.set_password("")
        return values
