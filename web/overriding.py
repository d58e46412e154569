"""Immutability set aside for one change on a page: by a superuser, who says why, and the audit has it."""

from django.http import HttpRequest

from accounts import second_factor
from core.api.notes import ADMIN_IS_OPEN
from policies.immutability import Obstacle, override_note


def may_override(request: HttpRequest) -> bool:
    """Return whether the visitor is a superuser who may open the admin from here."""
    user = request.user
    is_superuser = user.is_authenticated and user.is_staff and user.is_superuser
    return is_superuser and bool(request.META.get(ADMIN_IS_OPEN)) and second_factor.is_verified(request)


def note_of(request: HttpRequest, obstacle: Obstacle | None) -> str:
    """Return what the audit says of the override that the form asks for, "" if it asks for none, or none is needed."""
    if obstacle is None or not obstacle.is_overridable or not may_override(request):
        return ""
    return override_note(request.POST.get("reason", ""))
