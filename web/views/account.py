"""The own account: its rights and its password."""

from django.contrib.auth import update_session_auth_hash
from django.http import HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.http import urlencode
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods

from accounts.login.forms import OwnPasswordForm
from accounts.login_log import log_event
from accounts.models import Account
from web.views.page import page
from web.visitor import visitor_of


@sensitive_post_parameters()
@require_http_methods(["GET", "HEAD", "POST"])
def own_account(request: HttpRequest) -> HttpResponse:
    """Show the rights of the account; change its password."""
    visitor, account = visitor_of(request), request.user
    if visitor.identity.is_anonymous or not isinstance(account, Account):
        return redirect(f"{reverse('web:login')}?{urlencode({'next': request.path})}")
    form = OwnPasswordForm(request, account, request.POST or None)
    if form.is_valid():
        form.save()
        update_session_auth_hash(request, account)
        log_event(request, account.name, "password changed")
        return redirect(f"{request.path}?changed=1")
    rules = [rule.text for rule in visitor.rules.rules]
    has_changed = "changed" in request.GET
    return page(request, "account.html", "Account", visitor, form=form, rules=rules, has_changed=has_changed)
