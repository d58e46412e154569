"""Security headers for browsers; responses of `/v2/` have stricter ones of their own."""

from django.http import HttpRequest, HttpResponseBase

from distribution.middleware import is_registry_path
from registry_project.front_door import GetResponse

_POLICY = {
    "default-src": "'none'",
    "script-src": "'self'",
    "style-src": "'self'",
    "img-src": "'self' data:",
    "font-src": "'self'",
    "connect-src": "'self'",
    "form-action": "'self'",
    "base-uri": "'none'",
    "frame-ancestors": "'none'",
}
_UNUSED = ("camera", "display-capture", "geolocation", "microphone", "payment", "publickey-credentials-get", "usb")

HEADERS = {
    "Content-Security-Policy": "; ".join(f"{name} {sources}" for name, sources in _POLICY.items()),
    "Permissions-Policy": ", ".join(f"{feature}=()" for feature in _UNUSED),
    "Cross-Origin-Opener-Policy": "same-origin",
    "Cross-Origin-Resource-Policy": "same-origin",
    "Referrer-Policy": "same-origin",
    "X-Content-Type-Options": "nosniff",
    "X-Frame-Options": "DENY",
}


def browser_headers(get_response: GetResponse) -> GetResponse:
    """Add the headers that a response lacks: errors and files too, so it precedes all middleware that can respond."""

    def middleware(request: HttpRequest) -> HttpResponseBase:
        response = get_response(request)
        if not is_registry_path(request.path_info):
            for name, value in HEADERS.items():
                response.headers.setdefault(name, value)
        return response

    return middleware
