"""The form that requests a run."""

from __future__ import annotations

from datetime import timedelta
from typing import Any, ClassVar

from django import forms
from django.conf import settings
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminTextInputWidget

from acl.glob import InvalidPatternError, compile_glob
from collector.jobs import queue
from collector.models import Run
from core.durations import InvalidDurationError, format_duration, parse_duration


class RunForm(forms.ModelForm):  # type: ignore[type-arg]  # generic in the stubs only
    """The policy of the run, initially as configured."""

    grace_period = forms.CharField(
        widget=UnfoldAdminTextInputWidget, help_text='Keep what was used within this time, as "24h" or "90m".'
    )

    class Meta:
        """The options of `manage.py gc`."""

        model = Run
        fields: ClassVar[tuple[str, ...]] = ("is_dry_run", "remove_untagged", "grace_period", "repository")
        help_texts: ClassVar[dict[str, str]] = {
            "is_dry_run": "Change nothing; list what would be removed, and why.",
            "remove_untagged": "Remove untagged manifests too, except where the repository keeps them.",
            "repository": 'Only these repositories, as a pattern like "myorg/*"; empty: all repositories.',
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        """Start with the configured policy."""
        super().__init__(*args, **kwargs)
        section = settings.REGISTRY.garbage_collector
        self.initial.setdefault("remove_untagged", section.remove_untagged)
        self.initial.setdefault("grace_period", format_duration(section.grace_period))

    def clean_grace_period(self) -> timedelta:
        """Parse the duration."""
        try:
            return parse_duration(self.cleaned_data["grace_period"])
        except InvalidDurationError as error:
            raise ValidationError(f"{error}.") from error

    def clean_repository(self) -> str:
        """Refuse an invalid pattern."""
        pattern: str = self.cleaned_data["repository"]
        try:
            compile_glob(pattern or "*")
        except InvalidPatternError as error:
            raise ValidationError(f"{error}.") from error
        return pattern

    def clean(self) -> None:
        """Refuse a second request while one waits: a double click requests one run."""
        if queue.has_waiting():
            raise ValidationError(queue.WAITING)
