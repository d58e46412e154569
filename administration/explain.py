"""The page that explains a decision: may this account do that, by which rules, or what is missing."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from unfold.widgets import UnfoldAdminSelectWidget, UnfoldAdminTextInputWidget

from accounts import permissions_version
from accounts.identity import ANONYMOUS, Identity, identity_named
from accounts.models import Account
from acl import actions, grants
from acl.explanation import Explanation
from acl.names import InvalidNameError, RepositoryName, parse_name
from acl.networks import is_address

_ACTIONS = (actions.PULL, actions.PUSH, actions.DELETE)


class ExplainForm(forms.Form):
    """Who wants to do what, where."""

    account = forms.CharField(
        required=False,
        max_length=128,
        widget=UnfoldAdminTextInputWidget,
        help_text="The name of an account; empty: anonymous, who is not signed in.",
    )
    action = forms.ChoiceField(choices=[(name, name) for name in _ACTIONS], widget=UnfoldAdminSelectWidget)
    repository = forms.CharField(
        max_length=255,
        widget=UnfoldAdminTextInputWidget,
        help_text="A name as myorg/app, without the host and the tag.",
    )

    tag = forms.CharField(
        required=False,
        max_length=128,
        widget=UnfoldAdminTextInputWidget,
        help_text="To push or delete; empty: any.",
    )
    address = forms.CharField(
        required=False,
        max_length=64,
        widget=UnfoldAdminTextInputWidget,
        help_text="The client's IP address; empty: unknown, so no rule for a network allows anything, and each denies.",
    )

    def __init__(self, *args: Any, may_view_accounts: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._may_view_accounts = may_view_accounts

    def clean_account(self) -> Identity:
        """Return the identity. Raises ValidationError when there is none."""
        name: str = self.cleaned_data["account"]
        identity = identity_named(name, permissions_version.current()) if name else ANONYMOUS
        if identity is not None:
            return identity
        if not self._may_view_accounts:
            raise ValidationError("No account of this name may do anything.")
        if Account.objects.filter(name=name).exists():
            raise ValidationError("This account is deactivated: it may do nothing, not even what anonymous may.")
        raise ValidationError("There is no account of this name.")

    def clean_repository(self) -> RepositoryName:
        """Return the name. Raises ValidationError unless a repository can have it."""
        try:
            return parse_name(self.cleaned_data["repository"])
        except InvalidNameError as error:
            raise ValidationError(f"No repository can be called so: {error}.") from error

    def clean_address(self) -> str:
        """Return the address. Raises ValidationError unless it is one."""
        address: str = self.cleaned_data["address"]
        if address and not is_address(address):
            raise ValidationError("This is no IP address.")
        return address

    def explanation(self) -> Explanation:
        """Explain the decision; the form is valid."""
        asked: dict[str, Any] = self.cleaned_data
        about: dict[str, Any] = {"tag": asked["tag"] or None, "address": asked["address"]}
        version = permissions_version.current()
        return grants.explain(asked["account"], asked["repository"], asked["action"], version, **about)
