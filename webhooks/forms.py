"""The form for webhooks, of the admin and of the management API."""

from __future__ import annotations

from typing import Any, ClassVar

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget, UnfoldAdminPasswordWidget

from webhooks import sealing
from webhooks.kinds import CHOSEN
from webhooks.models import Webhook, default_events

FIELDS = ("name", "url", "envelope", "events", "repositories", "is_active", "allow_http", "allow_private")


def check_secret(secret: str) -> None:
    """Raise ValidationError unless the string may be a secret."""
    if not sealing.MIN_CHARACTERS <= len(secret) <= sealing.MAX_CHARACTERS or not secret.isascii():
        raise ValidationError(
            f"A secret has {sealing.MIN_CHARACTERS} to {sealing.MAX_CHARACTERS} ASCII characters, "
            "as `openssl rand -base64 32` makes it."
        )
    if not secret.isprintable():
        raise ValidationError("A secret has no control characters.")


class WebhookForm(forms.ModelForm):  # type: ignore[type-arg]  # generic in the stubs only
    """A webhook; its secret can be set and never read."""

    events = forms.MultipleChoiceField(
        choices=[(kind.value, kind.label) for kind in CHOSEN],
        initial=default_events,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
        help_text="Pulls are many, and may be lost when a process is killed.",
    )
    secret = forms.CharField(
        required=False,
        strip=False,
        widget=UnfoldAdminPasswordWidget(attrs={"autocomplete": "new-password"}),
        help_text="Signs each request; 32 characters or more, as `openssl rand -base64 32` makes it. It is never shown "
        "again. Empty: it stays as it is. A new one is used at once, and the one before signs too for 24 hours.",
    )

    class Meta:
        model = Webhook
        fields: ClassVar[tuple[str, ...]] = FIELDS
        labels: ClassVar[dict[str, str]] = {
            "allow_http": "Allow http://",
            "allow_private": "Allow private addresses",
        }

    def clean_events(self) -> list[str]:
        """Return the kinds in their own order."""
        chosen = self.cleaned_data["events"]
        return [kind.value for kind in CHOSEN if kind.value in chosen]

    def clean_secret(self) -> str:
        secret: str = self.cleaned_data["secret"]
        if secret:
            check_secret(secret)
        elif not self.instance.sealed_secret:
            raise ValidationError("A new webhook needs a secret.")
        return secret

    def save(self, commit: bool = True) -> Any:
        """Save the webhook with a new secret, if one was given."""
        if secret := self.cleaned_data["secret"]:
            self.instance.set_secret(secret)
        return super().save(commit)
