"""Speak with the OpenID provider: discovery, the authorization request, the ID token.

Authlib makes the requests with state, nonce and PKCE, and checks the ID token. What it may accept is decided here:
asymmetric signatures alone, this client as the only audience, the issuer of the configuration.
"""

import time
from functools import cache
from typing import Any, cast
from urllib.parse import urlsplit

from authlib.integrations.base_client import OAuthError
from authlib.integrations.django_client import OAuth
from django.conf import settings
from django.http import HttpRequest, HttpResponseBase
from joserfc.errors import JoseError
from requests import RequestException

from accounts.providers import ProviderUnavailableError
from configuration.company_login import LOOPBACK, Oidc
from core.blocking import blocking_io

TIMEOUT_SECONDS = 5
METADATA_SECONDS = 3600
SKEW_SECONDS = 60
UNAVAILABLE = "the company sign-in can't be asked; try again later"
ALGORITHMS = ("RS256", "RS384", "RS512", "PS256", "PS384", "PS512", "ES256", "ES384", "ES512", "EdDSA")
"""With none or an HMAC, whoever knows a public key or the client's secret could make an ID token."""

_ENDPOINTS = ("authorization_endpoint", "token_endpoint", "jwks_uri")


class SignInError(Exception):
    """The provider does not vouch for anybody; the message is for the log."""


class ProviderError(Exception):
    """The provider can't be used; the message is for the log and for administrators."""


def redirect(request: HttpRequest, callback: str) -> HttpResponseBase:
    """Send the browser to the provider, from where it comes back to `callback`. Raises ProviderUnavailableError."""
    with blocking_io():
        response: HttpResponseBase = provider().authorize_redirect(request, callback)
    return response


def claims_of(request: HttpRequest) -> dict[str, Any]:
    """Return the claims of the ID token for which a browser has brought the code.

    The state is in the session of the browser, once. Raises SignInError and ProviderUnavailableError.
    """
    oidc = cast(Oidc, settings.REGISTRY.auth.oidc)
    app = provider()
    options = {"iss": {"essential": True, "value": oidc.issuer}, "aud": {"essential": True, "value": oidc.client_id}}
    try:
        with blocking_io():
            token = app.authorize_access_token(request, claims_options=options, leeway=SKEW_SECONDS)
            return _with_user_info(app, token, oidc)
    except (OAuthError, JoseError, ValueError, KeyError, TypeError) as error:
        raise SignInError(" ".join(f"{type(error).__name__}: {error}".split())) from error
    except RequestException as error:
        raise ProviderUnavailableError(UNAVAILABLE) from error


def _with_user_info(app: Any, token: dict[str, Any], oidc: Oidc) -> dict[str, Any]:
    """Return the claims of the ID token, with those that the provider has at its UserInfo endpoint alone."""
    claims = dict(token.get("userinfo") or {})
    if not claims:
        raise SignInError("the provider sent no ID token")
    wanted = {oidc.name_claim, oidc.groups_claim} - {""}
    if wanted <= claims.keys() or not app.server_metadata.get("userinfo_endpoint"):
        return claims
    more = dict(app.userinfo(token=token))
    if more.get("sub") != claims.get("sub"):
        # OpenID Connect Core 1.0, section 5.3.2: it may be about somebody else.
        raise SignInError("the UserInfo of the provider is about another sub than the ID token")
    return {**more, **claims}


def provider() -> Any:
    """Return the client of the provider, whose metadata is at most an hour old. Raises ProviderUnavailableError."""
    try:
        with blocking_io():
            return _provider(int(time.monotonic() // METADATA_SECONDS))
    except (ProviderError, RequestException, ValueError) as error:
        raise ProviderUnavailableError(UNAVAILABLE) from error


@cache
def _provider(_hour: int) -> Any:
    return read_provider(cast(Oidc, settings.REGISTRY.auth.oidc))


def read_provider(oidc: Oidc) -> Any:
    """Return a client with the provider's metadata (OpenID Connect Discovery 1.0). Raises ProviderError."""
    options: dict[str, Any] = {
        "scope": " ".join(oidc.scopes),
        "code_challenge_method": "S256",
        "default_timeout": TIMEOUT_SECONDS,
    }
    if not oidc.client_secret:
        options["token_endpoint_auth_method"] = "none"  # noqa: S105 - a public client has none
    app = OAuth().register(
        "company",
        client_id=oidc.client_id,
        client_secret=oidc.client_secret or None,
        server_metadata_url=f"{oidc.issuer.rstrip('/')}/.well-known/openid-configuration",
        client_kwargs=options | ({"verify": str(oidc.ca_file)} if oidc.ca_file else {}),
    )
    try:
        metadata = app.load_server_metadata()
    except (RequestException, ValueError) as error:
        raise ProviderError(f"{oidc.issuer}: no metadata: {' '.join(str(error).split())}") from error
    _check(metadata, oidc)
    supported = metadata.get("id_token_signing_alg_values_supported") or ["RS256"]
    metadata["id_token_signing_alg_values_supported"] = [name for name in supported if name in ALGORITHMS]
    if not metadata["id_token_signing_alg_values_supported"]:
        raise ProviderError(f"{oidc.issuer}: signs ID tokens by none of {', '.join(ALGORITHMS)}")
    return app


def _check(metadata: dict[str, Any], oidc: Oidc) -> None:
    if metadata.get("issuer") != oidc.issuer:
        found = metadata.get("issuer")
        raise ProviderError(f"auth.oidc.issuer is {oidc.issuer}, and the provider calls itself {found}: write that")
    optional = ("userinfo_endpoint",) if metadata.get("userinfo_endpoint") else ()
    for name in (*_ENDPOINTS, *optional):
        url = urlsplit(str(metadata.get(name, "")))
        if url.scheme != "https" and url.hostname not in LOOPBACK:
            raise ProviderError(f"{oidc.issuer}: its {name} is missing or has no TLS")
