"""`GET /v2/`: is this a registry, and does the token count?"""

from django.http import HttpRequest, HttpResponse, JsonResponse

from core.api.view import RegistryView
from tokens.bearer import bearer_of


class ApiVersionView(RegistryView):
    """Classic docker learns here, and only here, that there is a challenge."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Answer 200 to any valid token."""
        bearer_of(request)
        return JsonResponse({})
