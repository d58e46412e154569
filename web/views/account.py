"""The own account: its rights, docker logins and password."""

from django.contrib.auth import update_session_auth_hash
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from accounts.login.forms import OwnPasswordForm
from accounts.login_log import log_event
from accounts.models import Account
from audit.kinds import Kind
from core.api.row_key import row_key
from core.sizes import counted
from distribution.usage import quota_figures
from tokens import refresh
from web.views.page import page, to_login
from web.visitor import visitor_of

# Of docker logins; a machine that logs in for each of its jobs has up to a thousand.
LISTED = 50


@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def own_account(request: HttpRequest) -> HttpResponse:
    """Show the rights and docker logins of the account; change its password."""
    visitor, account = visitor_of(request), request.user
    if visitor.identity.is_anonymous or not isinstance(account, Account):
        return to_login(request)
    form = OwnPasswordForm(request, account, request.POST or None)
    # The password of a provider's account is not here.
    if not account.provider and form.is_valid():
        form.save()
        update_session_auth_hash(request, account)
        return redirect(f"{request.path}?changed=1")
    logins = refresh.valid_of(account.name)
    revoked = request.GET.get("revoked", "")
    shown = {
        "form": form,
        "provider": account.provider,
        "rules": [rule.text for rule in (*visitor.rules.ordered, *visitor.rules.rules, *visitor.rules.denials)],
        "quotas": quota_figures.of_namespace(account.name, visitor.version),
        "has_changed": "changed" in request.GET,
        # A number and nothing else: a link must not put words on the page.
        "revoked": revoked if revoked == str(row_key(revoked)) else "",
        "logins": list(logins[:LISTED]),
        "more_logins": max(0, logins.count() - LISTED),
    }
    return page(request, "account.html", "Account", visitor, **shown)


@require_POST
def revoke_logins(request: HttpRequest) -> HttpResponse:
    """Revoke a docker login of the account, or all of them."""
    visitor = visitor_of(request)
    if visitor.identity.is_anonymous:
        return redirect("web:login")
    rows = refresh.valid_of(visitor.identity.name)
    wanted = request.POST.get("login", "")
    if wanted != "all":
        rows = rows.filter(pk=row_key(wanted))
    number = refresh.revoke(list(rows.values_list("pk", flat=True)))
    log_event(request, visitor.identity.name, f"{counted(number, 'docker login')} revoked", Kind.LOGIN_REVOKED)
    return redirect(f"{reverse('web:account')}?{urlencode({'revoked': number})}")
