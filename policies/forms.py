"""The form of a policy, of the admin and of the management API."""

from functools import cache
from typing import Any

from django.forms import ModelForm, modelform_factory

from policies.models import Policy


@cache
def form_of(kind: type[Policy]) -> Any:
    """Return the form of a kind."""
    return modelform_factory(kind, form=ModelForm, fields=list(kind.entered))
