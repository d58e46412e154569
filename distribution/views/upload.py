"""`/v2/<name>/blobs/uploads/<session>`: an upload session's status, chunks and end."""

import uuid
from datetime import UTC, datetime

from django.http import HttpRequest, HttpResponse

from distribution.pushes import blob
from distribution.uploads import sessions
from distribution.views.repository import PULL, PULL_PUSH, PUSH, RepositoryView, empty, push_response
from tokens.verify import LEEWAY_SECONDS, Bearer


class UploadView(RepositoryView):
    """Continue a session, which only its own account finds, in its own repository."""

    actions = {"GET": PULL, "PATCH": PULL_PUSH, "PUT": PULL_PUSH, "DELETE": PUSH}

    def get(self, _request: HttpRequest, session: str) -> HttpResponse:
        return push_response(blob.session_accepted(blob.find(self.caller, session), 204))

    def patch(self, _request: HttpRequest, session: str) -> HttpResponse:
        return push_response(blob.append(self.caller, session))

    def put(self, request: HttpRequest, session: str) -> HttpResponse:
        return push_response(blob.end(self.caller, session, request.GET.get("digest", "")))

    def delete(self, _request: HttpRequest, session: str) -> HttpResponse:
        sessions.cancel(blob.find(self.caller, session))
        return empty(204, {})

    def outlives(self, bearer: Bearer) -> bool:
        """Let the account that opened the session with a valid token finish it after the token has expired."""
        expired_at = datetime.fromtimestamp(bearer.claims.expires_at + LEEWAY_SECONDS, UTC)
        return sessions.was_opened(self.name, uuid.UUID(self.kwargs["session"]), bearer.identity, before=expired_at)
