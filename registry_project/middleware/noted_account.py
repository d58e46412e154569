"""Put the account of an admin session into the access log."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponseBase

from core.api.notes import ACCOUNT


class NotedAccountMiddleware:
    """Notes the account; it comes after Django's authentication middleware."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Note the account if the page has loaded it: `request.user` itself would query the database."""
        response = self._get_response(request)
        account = getattr(request, "_cached_user", None)
        if account is not None and account.is_authenticated:
            request.META[ACCOUNT] = account.get_username()
        return response
