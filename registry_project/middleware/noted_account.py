"""Who asked for a page of the admin, for the access log."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase

from core.api.notes import ACCOUNT


class NotedAccountMiddleware:
    """Note the account of a session, behind the middleware that knows it."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        """Keep what answers."""
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer, then note the account, if the page has asked for it: `request.user` would ask the database."""
        response = self._get_response(request)
        account = getattr(request, "_cached_user", None)
        if account is not None and account.is_authenticated:
            request.META[ACCOUNT] = account.get_username()
        return response
