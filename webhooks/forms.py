"""The form for webhooks, of the admin and of the management API."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, ClassVar
from urllib.parse import urlsplit

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminPasswordWidget,
    UnfoldAdminTextareaWidget,
)

from webhooks import headers, sealing
from webhooks.kinds import CHOSEN
from webhooks.models import Webhook, default_events

FIELDS = ("name", "url", "envelope", "events", "repositories", "is_active", "allow_http", "allow_private", "ca")

DEFAULT_PORTS = {"http": 80, "https": 443}


def check_secret(secret: str) -> None:
    """Raise ValidationError unless the string may be a secret."""
    if not sealing.MIN_CHARACTERS <= len(secret) <= sealing.MAX_CHARACTERS or not secret.isascii():
        raise ValidationError(
            f"A secret has {sealing.MIN_CHARACTERS} to {sealing.MAX_CHARACTERS} ASCII characters, "
            "as `openssl rand -base64 32` makes it."
        )
    if not secret.isprintable():
        raise ValidationError("A secret has no control characters.")


def _server(url: str) -> tuple[object, ...]:
    try:
        parts = urlsplit(url)
        return parts.scheme, parts.hostname, parts.port or DEFAULT_PORTS.get(parts.scheme)
    except ValueError:
        return (url,)


class _WriteOnlyTextarea(UnfoldAdminTextareaWidget):
    """Shows nothing, as fields of passwords do."""

    def format_value(self, value: Any) -> str:
        return ""


class HeadersField(forms.CharField):
    """Changes of headers: lines of the admin, or a mapping of the API."""

    def to_python(self, value: Any) -> Any:
        return dict(value) if isinstance(value, Mapping) else headers.parse(super().to_python(value) or "")

    def has_changed(self, initial: Any, data: Any) -> bool:
        return bool(data and (isinstance(data, Mapping) or str(data).strip()))

    def run_validators(self, value: Any) -> None:
        """Check nothing here: `merged` does, with the headers that there are."""


class WebhookForm(forms.ModelForm):  # type: ignore[type-arg]  # generic in the stubs only
    """A webhook; its secret and the values of its headers can be set and never read."""

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
    headers = HeadersField(
        required=False,
        widget=_WriteOnlyTextarea(attrs={"autocomplete": "off", "rows": 3}),
        help_text='Sent with each request, one in a line, as "Authorization: Bearer …". Values are never shown again. '
        'Headers that are not named here stay as they are; "Authorization:" alone takes one away.',
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

    def clean_ca(self) -> str:
        return "\n".join(self.cleaned_data["ca"].splitlines())

    def clean_secret(self) -> str:
        secret: str = self.cleaned_data["secret"]
        if secret:
            check_secret(secret)
        elif not self.instance.sealed_secret:
            raise ValidationError("A new webhook needs a secret.")
        return secret

    def clean_headers(self) -> dict[str, str] | None:
        """Return all headers after the changes, None without a change."""
        changes = self.cleaned_data["headers"]
        sealed = self.instance.sealed_headers
        is_readable = sealed is None or sealing.is_readable(bytes(sealed))
        current = self.instance.unsealed_headers() if is_readable else {}
        url = self.cleaned_data.get("url")
        given = {name.lower() for name in changes}
        if (
            url is not None
            and not given.issuperset(map(str.lower, current))
            and _server(url) != _server(self.instance.url)
        ):
            raise ValidationError(
                f"The URL leads to another server: give the values of {', '.join(current)} again, "
                f'or take them away, as "{next(iter(current))}:".'
            )
        return headers.merged(current, changes) if changes else None

    def save(self, commit: bool = True) -> Any:
        """Save the webhook with a new secret and other headers, if some were given."""
        if self.cleaned_data["headers"] is not None:
            self.instance.set_headers(self.cleaned_data["headers"])
        if secret := self.cleaned_data["secret"]:
            self.instance.set_secret(secret)
        return super().save(commit)
