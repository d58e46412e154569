"""What every page has: the visitor, the own host, and no copy in a cache."""

from typing import Any

from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.template.loader import render_to_string
from django.urls import reverse
from django.utils.http import urlencode

from accounts import second_factor
from core.api.host import host_of
from core.api.notes import ADMIN_IS_OPEN
from web.overriding import may_override
from web.visitor import Visitor

# Of a search, or of the name that a page begins after.
MAX_CHARACTERS = 255


def page(request: HttpRequest, template: str, title: str, visitor: Visitor, **context: Any) -> HttpResponse:
    """Render a page of `web`."""
    common = {
        "title": title,
        "visitor": visitor,
        "host": host_of(request),
        "has_admin": request.META.get(ADMIN_IS_OPEN, False),
        "needs_code": needs_code(request),
        "may_override": lambda: may_override(request),
    }
    # JSON of pushers may have lone surrogates, which no encoding has.
    response = HttpResponse(render_to_string(f"web/{template}", common | context, request).encode("utf-8", "replace"))
    response.headers["Cache-Control"] = "private, no-store"
    return response


def needs_code(request: HttpRequest) -> bool:
    """Return whether the session has passed the password only, and its account has a second factor."""
    return request.user.is_authenticated and not second_factor.is_passed(request)


def searched(request: HttpRequest, key: str) -> str:
    """Return a parameter of the query, shortened; PostgreSQL takes no NUL."""
    return request.GET.get(key, "").replace("\0", "").encode("utf-8", "replace").decode()[:MAX_CHARACTERS].strip()


def to_login(request: HttpRequest) -> HttpResponse:
    """Redirect to the login, and from there back to this page."""
    return redirect(f"{reverse('web:login')}?{urlencode({'next': request.path})}")
