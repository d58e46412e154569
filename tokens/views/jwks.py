"""`GET /v2/token/jwks`: the keys that verify tokens (RFC 7517)."""

from django.http import HttpRequest, JsonResponse

from core.api.view import RegistryView
from tokens.keys import ring


class JwksView(RegistryView):
    """Publish the public keys."""

    def get(self, request: HttpRequest) -> JsonResponse:
        """Answer with the set, which is empty when tokens are signed with a shared secret."""
        return JsonResponse(ring.jwks(), headers={"Cache-Control": "max-age=300"})
