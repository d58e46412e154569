"""The trusted issuers as the configuration has them, for administrators."""

from typing import Any

from django.conf import settings

from tokens.models import IssuerKeys


def trusted_issuers() -> list[dict[str, Any]]:
    """Return each issuer with its mappings, and when its keys were fetched; None means never, or from a file."""
    fetched = dict(IssuerKeys.objects.values_list("source", "fetched_at"))
    found = []
    for issuer in settings.REGISTRY.auth.trusted_issuers:
        source = issuer.jwks_url or issuer.issuer
        mapping = [{"when": dict(each.when), "account": each.account, "group": each.group} for each in issuer.mapping]
        found.append(
            {
                "issuer": issuer.issuer,
                "audience": issuer.audience,
                "algorithms": list(issuer.algorithms),
                "keys": str(issuer.jwks_file or source),
                "keys_fetched_at": None if issuer.jwks_file else fetched.get(source),
                "mapping": mapping,
            }
        )
    return found
