"""Rate-limit logins of the admin and of the JSON API; `/v2/token` limits its own."""

from collections.abc import Callable

from django.http import HttpRequest, HttpResponse, HttpResponseBase, JsonResponse

from accounts.throttling.login_rate import login_rate

_ADMIN_LOGIN = "/admin/login/"
_API = "/api/"


class LoginRateMiddleware:
    """Counts each login of the admin, and failed ones of the API, where every request has a password."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponseBase]) -> None:
        self._get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponseBase:
        """Answer, or go on."""
        path = request.path_info
        is_api = path.startswith(_API)
        if not is_api and (path != _ADMIN_LOGIN or request.method != "POST"):
            return self._get_response(request)
        if seconds := login_rate.wait_seconds(request):
            return _refusal(seconds, is_api=is_api)
        if not is_api:
            login_rate.count(request)
            return self._get_response(request)
        response = self._get_response(request)
        if response.status_code == 401:
            login_rate.count(request)
        return response


def _refusal(seconds: int, *, is_api: bool) -> HttpResponse:
    detail = f"Too many logins from this address; try again in {seconds} s."
    headers = {"Retry-After": str(seconds)}
    if is_api:
        return JsonResponse({"detail": detail}, status=429, headers=headers)
    return HttpResponse(detail, status=429, content_type="text/plain; charset=utf-8", headers=headers)
