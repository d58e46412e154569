"""Put the account of an admin session into the access log."""

from django.http import HttpRequest, HttpResponseBase

from core.api.notes import ACCOUNT
from registry_project.front_door import GetResponse


def noted_account(get_response: GetResponse) -> GetResponse:
    """Note the account of the session; it comes after Django's authentication middleware."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        # Only if the page has loaded the account: `request.user` itself would query the database.
        account = getattr(request, "_cached_user", None)
        if account is not None and account.is_authenticated:
            request.META[ACCOUNT] = account.get_username()
        return response

    return middleware
