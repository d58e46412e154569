"""`GET /v2/token/jwks`: the keys that verify tokens (RFC 7517)."""

from django.http import HttpRequest, JsonResponse

from core.api.view import RegistryView
from tokens.keys import ring


class JwksView(RegistryView):
    def get(self, request: HttpRequest) -> JsonResponse:
        """Answer with the key set, empty for a shared secret."""
        return JsonResponse(ring.jwks(), headers={"Cache-Control": "max-age=300"})
