"""The admin's site: the login asks for a code after the password, see `accounts.second_factor`."""

from __future__ import annotations

from functools import partial
from typing import Any

import segno
from django.contrib import messages
from django.contrib.auth import REDIRECT_FIELD_NAME, logout, update_session_auth_hash
from django.contrib.auth.views import PasswordChangeView
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import path, reverse
from django.utils.decorators import method_decorator
from django.utils.http import urlencode
from django.utils.safestring import SafeString
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from unfold.admin import ModelAdmin
from unfold.sites import UnfoldAdminSite

from accounts import second_factor
from accounts.authentication import BusyError, TooManyFailuresError
from accounts.login.code_forms import CodeForm, FirstCodeForm
from accounts.login.following import following
from accounts.login.forms import OwnPasswordForm
from accounts.login.refusal import refused
from accounts.login_log import log_event, log_login
from accounts.models import SecondFactor
from accounts.providers import ProviderUnavailableError
from audit.changes import recorded
from audit.kinds import Kind

_SEED = "second_factor_seed"
_WITHOUT_MENU = "unfold/layouts/unauthenticated.html"

_private = method_decorator([never_cache, sensitive_post_parameters("code")])


class RegistryAdminSite(UnfoldAdminSite):
    """Pages for sessions that have passed the password and the second factor."""

    def has_permission(self, request: HttpRequest) -> bool:
        return super().has_permission(request) and second_factor.is_verified(request)

    def register(self, model_or_iterable: Any, admin_class: Any = None, **options: Any) -> None:
        """Register a list, which records in the audit what it adds, changes and deletes."""
        super().register(model_or_iterable, recorded(admin_class or ModelAdmin), **options)

    def get_urls(self) -> list[Any]:
        # These pages need the password only.
        own = [path("code/", self.code, name="code"), path("second-factor/", self.second_factor, name="second_factor")]
        return [*own, *super().get_urls()]

    @method_decorator(never_cache)
    def login(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        """Ask for the password, then redirect to the second factor."""
        if request.method == "GET" and super().has_permission(request) and not second_factor.is_verified(request):
            following = "second_factor" if second_factor.factor_of(request.user) is None else "code"
            return _redirect(following, request)
        if request.method == "GET" and request.user.is_authenticated and not super().has_permission(request):
            messages.warning(request, f"{request.user} may not open this admin. Log in with another account.")
        try:
            return super().login(request, extra_context)
        except (BusyError, TooManyFailuresError, ProviderUnavailableError) as error:
            return refused(error)

    def password_change(  # type: ignore[override]  # the stubs leave the redirect out that comes after the page
        self, request: HttpRequest, extra_context: dict[str, Any] | None = None
    ) -> HttpResponseBase:
        # Django has no setting for the form.
        view = PasswordChangeView.as_view(
            form_class=partial(OwnPasswordForm, request),
            success_url=reverse("admin:password_change_done"),
            extra_context={**self.each_context(request), **(extra_context or {})},
        )
        return view(request)

    @_private
    def code(self, request: HttpRequest) -> HttpResponse:
        """Ask for the code after the password."""
        factor = second_factor.factor_of(request.user) if super().has_permission(request) else None
        if factor is None:
            return _redirect("login", request)
        if second_factor.is_verified(request):
            return HttpResponseRedirect(_following(request))
        if request.method == "POST" and "leave" in request.POST:
            logout(request)
            return _redirect("login", request)
        form = CodeForm(factor, request, request.POST or None)
        if form.is_valid():
            second_factor.mark_verified(request, factor)
            log_login(request, factor.account.name, "admin code")
            return HttpResponseRedirect(_following(request))
        return self._page(request, "admin/code.html", "Second factor", form=form)

    @_private
    def second_factor(self, request: HttpRequest) -> HttpResponse:
        """Set the second factor up, renew its recovery codes, or remove it."""
        if not super().has_permission(request):
            return _redirect("login", request)
        if request.method == "POST" and "leave" in request.POST:
            logout(request)
            return _redirect("login", request)
        factor = second_factor.factor_of(request.user)
        if factor is None:
            return self._set_up(request)
        return self._manage(request, factor) if second_factor.is_verified(request) else _redirect("code", request)

    def _set_up(self, request: HttpRequest) -> HttpResponse:
        account: Any = request.user
        seed = request.session.setdefault(_SEED, second_factor.new_seed())
        form = FirstCodeForm(account, seed, request.POST or None)
        if form.is_valid():
            factor, codes = form.made
            del request.session[_SEED]
            update_session_auth_hash(request, account)
            second_factor.mark_verified(request, factor)
            log_event(request, account.name, "second factor set up", Kind.SECOND_FACTOR)
            return self._recovery_codes(request, codes)
        uri = second_factor.uri(seed, account, request.get_host())
        qr = segno.make(uri, micro=False).svg_inline(scale=5, light="white")
        # The SVG holds numbers only.
        shown = {"qr": SafeString(qr), "uri": uri}  # nosec B703
        secret = second_factor.secret_text(seed)
        # No menu before the login is complete.
        shown["layout"] = "admin/base_site.html" if self.has_permission(request) else _WITHOUT_MENU
        return self._page(request, "admin/second_factor_setup.html", "Second factor", form=form, secret=secret, **shown)

    def _manage(self, request: HttpRequest, factor: SecondFactor) -> HttpResponse:
        # A browser that reloads the page of the recovery codes repeats the POST of the setup: that asks for nothing.
        is_asked = "remove" in request.POST or "renew" in request.POST
        form = CodeForm(factor, request, request.POST if is_asked else None)
        if form.is_valid() and "remove" in request.POST:
            second_factor.remove(factor.account)
            update_session_auth_hash(request, factor.account)
            log_event(request, factor.account.name, "second factor removed", Kind.SECOND_FACTOR)
            return _redirect("second_factor", request)
        if form.is_valid():
            codes = second_factor.renew_recovery_codes(factor)
            log_event(request, factor.account.name, "recovery codes renewed", Kind.SECOND_FACTOR)
            return self._recovery_codes(request, codes)
        left = factor.recovery_codes.count()
        return self._page(request, "admin/second_factor.html", "Second factor", form=form, factor=factor, left=left)

    def _recovery_codes(self, request: HttpRequest, codes: list[str]) -> HttpResponse:
        following = _following(request)
        return self._page(request, "admin/recovery_codes.html", "Recovery codes", codes=codes, following=following)

    def _page(self, request: HttpRequest, template: str, title: str, **context: Any) -> TemplateResponse:
        return TemplateResponse(request, template, self.each_context(request) | {"title": title} | context)


def _redirect(name: str, request: HttpRequest) -> HttpResponseRedirect:
    """Redirect to another step of the login, with the page that was requested first."""
    query = urlencode({REDIRECT_FIELD_NAME: _following(request)})
    return HttpResponseRedirect(f"{reverse(f'admin:{name}')}?{query}")


def _following(request: HttpRequest) -> str:
    return following(request, reverse("admin:index"))
