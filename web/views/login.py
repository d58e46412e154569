"""Sign in with name and password, then the second factor of who has one; sign out."""

from typing import Any

from django.conf import settings
from django.contrib.auth import logout
from django.contrib.auth.views import LoginView
from django.http import HttpRequest, HttpResponse, HttpResponseBase, HttpResponseRedirect
from django.shortcuts import redirect
from django.urls import reverse
from django.utils.decorators import method_decorator
from django.utils.http import urlencode
from django.views.decorators.cache import never_cache
from django.views.decorators.debug import sensitive_post_parameters
from django.views.decorators.http import require_http_methods, require_POST

from accounts import second_factor
from accounts.authentication import BusyError, TooManyFailuresError
from accounts.login.code_forms import CodeForm
from accounts.login.following import following
from accounts.login.forms import LoginForm
from accounts.login.refusal import refused
from accounts.login_log import log_login
from accounts.providers import ProviderUnavailableError
from web.views.page import needs_code, page
from web.visitor import visitor_of


@method_decorator([never_cache, sensitive_post_parameters("password")], name="dispatch")
class LoginPage(LoginView):
    """Asks for name and password."""

    form_class = LoginForm
    template_name = "web/login.html"
    next_page = "web:repositories"

    def dispatch(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Answer, or refuse as the login of the admin does."""
        try:
            return super().dispatch(request, *args, **kwargs)
        except (BusyError, TooManyFailuresError, ProviderUnavailableError) as error:
            return refused(error)

    def get_context_data(self, **kwargs: Any) -> dict[str, Any]:
        """Add what every page has."""
        common = {"title": "Sign in", "visitor": visitor_of(self.request), "needs_code": needs_code(self.request)}
        oidc = settings.REGISTRY.auth.oidc
        common["company_login"] = oidc.button if oidc is not None else ""
        return {**super().get_context_data(**kwargs), **common}

    def get_success_url(self) -> str:
        """Return the page of the code for an account with a second factor."""
        goes_to = super().get_success_url()
        if second_factor.is_passed(self.request):
            return goes_to
        return f"{reverse('web:code')}?{urlencode({'next': goes_to})}"


@never_cache
@sensitive_post_parameters("code")
@require_http_methods(["GET", "HEAD", "POST"])
def code(request: HttpRequest) -> HttpResponse:
    """Ask for the code after the password."""
    factor = second_factor.factor_of(request.user)
    goes_to = following(request, reverse("web:repositories"))
    if factor is None or second_factor.is_passed(request):
        return HttpResponseRedirect(goes_to)
    form = CodeForm(factor, request, request.POST or None)
    if form.is_valid():
        second_factor.mark_verified(request, factor)
        log_login(request, factor.account.name, "page code")
        return HttpResponseRedirect(goes_to)
    return page(request, "code.html", "Second factor", visitor_of(request), form=form)


@require_POST
def sign_out(request: HttpRequest) -> HttpResponse:
    """End the session."""
    logout(request)
    return redirect("web:repositories")
