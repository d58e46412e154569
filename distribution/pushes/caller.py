"""Who changes a repository: by which request, and with which token."""

import logging
from contextlib import AbstractContextManager
from typing import NamedTuple

from accounts.identity import Identity
from accounts.throttling.throttle import network_of
from acl.names import RepositoryName
from audit.kinds import Kind
from audit.recording import record
from core.api.notes import ANONYMOUS_NAME, HasMeta
from distribution.manifests import tag_rights
from tokens.verify import Bearer
from webhooks.origin import Origin

logger = logging.getLogger(__name__)


class Caller(NamedTuple):
    """A request for the repository `name` that token and rules allow."""

    request: HasMeta
    name: RepositoryName
    bearer: Bearer

    @property
    def identity(self) -> Identity:
        return self.bearer.identity

    @property
    def origin(self) -> Origin:
        return Origin(self.request, self.bearer.version)

    @property
    def network(self) -> str:
        """By what sessions are counted: an account's together wherever it is, anonymous ones by network."""
        return network_of(self.request) if self.identity.is_anonymous else ""

    def log_change(self, kind: Kind, *, detail: str = "", **what: str) -> None:
        """Log and record a push or deletion with account and address; `what` are a tag, a digest, or both."""
        account = self.identity.name
        about = {"account": account or ANONYMOUS_NAME, "client": self.request.META.get("REMOTE_ADDR")}
        logger.info(kind.label, extra={"repository": self.name, **what, **about})
        record(
            kind,
            self.request,
            account=account,
            credential=self._credential,
            repository=self.name,
            reference=what.get("tag") or what.get("digest", ""),
            digest=what.get("digest", ""),
            detail=detail,
        )

    def denials_recorded(self) -> AbstractContextManager[None]:
        """Return a context that records what the rules about tags refuse in it."""
        return tag_rights.recorded(self.request, self.identity.name, self._credential, self.name)

    @property
    def _credential(self) -> str:
        return f"token {self.bearer.claims.token_id}"
