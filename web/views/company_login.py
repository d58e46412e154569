"""Sign in by the OpenID provider of the company (`identity_providers.oidc`)."""

import logging

from django.conf import settings
from django.contrib import messages
from django.contrib.auth import login
from django.http import Http404, HttpRequest, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_GET

from accounts import second_factor
from accounts.login.following import following
from accounts.login.refusal import refused
from accounts.login_log import UNAVAILABLE, log_login, log_refusal
from accounts.providers import ProviderUnavailableError
from identity_providers.adoption import adopt
from identity_providers.oidc import client
from identity_providers.oidc.identify import person_of

REFUSED = "The company sign-in was refused. Try again, or ask an administrator: the log of the registry has the reason."
_NEXT = "company_login_next"

logger = logging.getLogger(__name__)


@never_cache
@require_GET
def start(request: HttpRequest) -> HttpResponseBase:
    """Send the browser to the provider."""
    if settings.REGISTRY.auth.oidc is None:
        raise Http404
    request.session[_NEXT] = following(request, reverse("web:repositories"))
    try:
        return client.redirect(request, _callback(request))
    except ProviderUnavailableError as error:
        return _away(request, error)


@never_cache
@require_GET
def finish(request: HttpRequest) -> HttpResponseBase:
    """Sign in whom the provider names, and go to the page that was requested first."""
    oidc = settings.REGISTRY.auth.oidc
    if oidc is None:
        raise Http404
    try:
        person = person_of(client.claims_of(request), oidc)
    except ProviderUnavailableError as error:
        return _away(request, error)
    except client.SignInError as error:
        logger.warning("company sign-in refused", extra={"reason": str(error)})
        return _refused(request, "")
    account = adopt(person, oidc.mirror)
    if account is None:
        return _refused(request, person.name)
    goes_to = request.session.get(_NEXT) or reverse("web:repositories")
    login(request, account, backend=settings.AUTHENTICATION_BACKENDS[0])
    request.session.set_expiry(oidc.session)
    log_login(request, account.name, "oidc")
    if not second_factor.is_passed(request):
        return HttpResponseRedirect(f"{reverse('web:code')}?{urlencode({'next': goes_to})}")
    return HttpResponseRedirect(goes_to)


def _callback(request: HttpRequest) -> str:
    path, public_url = reverse("web:company_login_finish"), settings.REGISTRY.server.public_url
    return f"{public_url}{path}" if public_url else request.build_absolute_uri(path)


def _refused(request: HttpRequest, name: str) -> HttpResponseBase:
    log_refusal(request, name or None, "oidc")
    messages.error(request, REFUSED)
    return redirect("web:login")


def _away(request: HttpRequest, error: ProviderUnavailableError) -> HttpResponseBase:
    logger.warning("the OpenID provider (auth.oidc) can't be asked", extra={"reason": str(error.__cause__)})
    log_refusal(request, None, "oidc", UNAVAILABLE)
    return refused(error)
