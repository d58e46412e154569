"""Access tokens, the own and those of robots of the own groups: make one, see it once, revoke it."""

from datetime import timedelta

from django import forms
from django.contrib import messages
from django.core.exceptions import ValidationError
from django.http import Http404, HttpRequest, HttpResponse
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.crypto import get_random_string
from django.views.decorators.cache import never_cache
from django.views.decorators.http import require_http_methods, require_POST

from accounts import robots
from accounts.login_log import log_event
from accounts.models import Account
from audit.kinds import Kind
from core.api.row_key import row_key
from tokens.access import store
from web.views.page import page, to_login
from web.visitor import Visitor, visitor_of

LONGEST_DAYS = 366
NONCE_CHARACTERS = 16
# Of a session.
MOST_USED = 20
_USED = "used_token_forms"


class TokenForm(forms.Form):
    """What a token is for, what it may, and until when."""

    name = forms.CharField(max_length=100)
    scopes = forms.CharField(required=False, max_length=10_000)
    days = forms.IntegerField(required=False, min_value=1, max_value=LONGEST_DAYS)

    def clean_scopes(self) -> list[str]:
        """Return the lines that are not empty, each in its canonical form."""
        lines = self.cleaned_data["scopes"].splitlines()
        return [store.canonical_scope(line) for line in lines if line.strip()]


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def own_tokens(request: HttpRequest) -> HttpResponse:
    """Show the valid tokens of the account; make one, which this response alone shows."""
    visitor, account = visitor_of(request), request.user
    if visitor.identity.is_anonymous or not isinstance(account, Account):
        return to_login(request)
    return _tokens_of(request, visitor, account, account.name)


@never_cache
@require_http_methods(["GET", "HEAD"])
def own_robots(request: HttpRequest) -> HttpResponse:
    """Show the robots of the account's groups."""
    visitor, account = visitor_of(request), request.user
    if visitor.identity.is_anonymous or not isinstance(account, Account):
        return to_login(request)
    rows = robots.managed_by(account).prefetch_related("groups")
    return page(request, "robots.html", "Robots", visitor, rows=rows)


@never_cache
@require_http_methods(["GET", "HEAD", "POST"])
def robot_tokens(request: HttpRequest, name: str) -> HttpResponse:
    """Show the valid tokens of a robot; make one, which this response alone shows."""
    visitor, account = visitor_of(request), request.user
    if visitor.identity.is_anonymous or not isinstance(account, Account):
        return to_login(request)
    return _tokens_of(request, visitor, _robot(account, name), account.name)


def _robot(account: Account, name: str) -> Account:
    robot = robots.named(account, name)
    if robot is None:
        raise Http404
    return robot


def _tokens_of(request: HttpRequest, visitor: Visitor, account: Account, actor: str) -> HttpResponse:
    """Each form makes one token at most: a browser that reloads the response sends its form again."""
    form, token = TokenForm(request.POST if request.method == "POST" else None), ""
    nonce, used = request.POST.get("nonce", "")[:NONCE_CHARACTERS], request.session.get(_USED, [])
    if nonce and nonce in used:
        messages.warning(request, "This form was sent before: no other token was made.")
        return redirect(request.path)
    if form.is_valid():
        wanted = form.cleaned_data
        try:
            lifetime = timedelta(days=wanted["days"]) if wanted["days"] else None
            row, token = store.create(account, wanted["name"], wanted["scopes"], lifetime, by=actor)
        except ValidationError as error:
            form.add_error(None, error.messages)
        else:
            log_event(request, account.name, f"access token {row.name} created", Kind.ACCESS_TOKEN)
            request.session[_USED] = [*used, nonce][-MOST_USED:]
            form = TokenForm()
    rows = list(store.of_account(account.name))
    return page(
        request,
        "tokens.html",
        f"Access tokens of {account.name}" if account.is_robot else "Access tokens",
        visitor,
        account=account,
        form=form,
        token=token,
        rows=rows,
        nonce=get_random_string(NONCE_CHARACTERS),
    )


@require_POST
def revoke(request: HttpRequest) -> HttpResponse:
    """Revoke a token of the account."""
    _revoke(request, visitor_of(request).identity.name)
    return redirect("web:tokens")


@require_POST
def revoke_of_robot(request: HttpRequest, name: str) -> HttpResponse:
    """Revoke a token of a robot."""
    visitor, account = visitor_of(request), request.user
    if visitor.identity.is_anonymous or not isinstance(account, Account):
        return redirect("web:login")
    _revoke(request, _robot(account, name).name)
    return redirect(reverse("web:robot_tokens", args=[name]))


def _revoke(request: HttpRequest, name: str) -> None:
    rows = store.of_account(name).filter(pk=row_key(request.POST.get("token", "")))
    row = rows.first()
    if row is not None:
        store.revoke(rows)
        log_event(request, name, f"access token {row.name} revoked", Kind.ACCESS_TOKEN)
