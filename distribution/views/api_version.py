"""`GET /v2/`: is this a registry, and does the token count?"""

from django.http import HttpRequest, HttpResponse, JsonResponse

from tokens.bearer import bearer_of
from tokens.views.base import RegistryView


class ApiVersionView(RegistryView):
    """Classic docker learns here, and only here, that there is a challenge."""

    def get(self, request: HttpRequest) -> HttpResponse:
        """Answer 200 to any valid token."""
        bearer_of(request)
        return JsonResponse({})
