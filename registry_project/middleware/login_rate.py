"""Rate-limit logins of pages and of the JSON API; `/v2/token` limits its own."""

from django.http import HttpRequest, HttpResponse, HttpResponseBase

from accounts.throttling.login_rate import login_rate
from api.problems import problem_response
from registry_project.front_door import GetResponse

_LOGINS = ("/admin/login/", "/login")
# Each asks the OpenID provider.
_COMPANY_LOGIN = "/login/company"
_API = "/api/"


def limited_logins(get_response: GetResponse) -> GetResponse:
    """Count each login of a page, and failed logins of the API, where every request has a password."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        path = request.path_info
        is_api = path.startswith(_API)
        is_login = path.startswith(_COMPANY_LOGIN) or (path in _LOGINS and request.method == "POST")
        if not is_api and not is_login:
            return get_response(request)
        if seconds := login_rate.wait_seconds(request):
            detail = f"Too many logins from this address; try again in {seconds} s."
            headers = {"Retry-After": str(seconds)}
            if is_api:
                return problem_response(429, detail, headers)
            return HttpResponse(detail, status=429, content_type="text/plain; charset=utf-8", headers=headers)
        if not is_api:
            login_rate.count(request)
            return get_response(request)
        response = get_response(request)
        if response.status_code == 401:
            login_rate.count(request)
        return response

    return middleware
