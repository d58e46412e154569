"""`GET /v2/`, and the error for every path below it that nothing serves."""

from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse

from core.api.errors import ErrorCode, RegistryError
from core.api.view import RegistryView
from tokens.bearer import bearer_of


class ApiVersionView(RegistryView):
    """Answer 200 to any valid token; classic docker learns here, and only here, that there is a challenge."""

    def get(self, request: HttpRequest) -> HttpResponse:
        bearer_of(request)
        return JsonResponse({})


class UnknownPathView(RegistryView):
    """Refuse in the protocol's form, never with a page of HTML."""

    code = ErrorCode.NAME_UNKNOWN
    detail = "no such path in this API"

    def answer(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        raise RegistryError(self.code, self.detail)
