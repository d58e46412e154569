"""A browser as far as the admin's forms need one: it submits what a page holds, with the page's CSRF token."""

from __future__ import annotations

from typing import Any

from django.contrib.auth.models import Permission
from django.test import Client

from accounts.models import Account
from tests.admin.form import form_of
from tests.conftest import hashed

Response = Any


class Browser:
    """Somebody at the admin, with cookies and CSRF checks as in a real browser."""

    def __init__(self) -> None:
        self.client = Client(enforce_csrf_checks=True)

    def log_in(self, name: str, password: str) -> Response:
        """Submit the login page."""
        return self.submit("/admin/login/?next=/admin/", username=name, password=password)

    def get(self, path: str, **query: str) -> Response:
        """Open a page."""
        return self.client.get(path, query)

    def text(self, path: str, **query: str) -> str:
        """Return the HTML of a page that opens."""
        response = self.get(path, **query)
        assert response.status_code == 200, response
        return str(response.content.decode())

    def post(self, path: str, fields: dict[str, Any]) -> Response:
        """Send what no form of the admin offers, as an attacker with a right token would."""
        token = form_of(self.text("/admin/password_change/"))["csrfmiddlewaretoken"]
        return self.client.post(path, fields | {"csrfmiddlewaretoken": token})

    def submit(self, path: str, **changes: str | list[str] | None) -> Response:
        """Open a page, change fields of its form (None takes one away) and submit it."""
        fields: dict[str, Any] = dict(form_of(self.text(path)))
        fields |= changes
        return self.client.post(path, {name: value for name, value in fields.items() if value is not None})

    def delete_selected(self, path: str, *rows: int) -> Response:
        """Tick rows of a list, choose their deletion and confirm it."""
        chosen = {"action": "delete_selected", "_selected_action": [str(row) for row in rows]}
        asked = self.post(path, chosen)
        assert asked.status_code == 200, asked
        return self.client.post(path, dict(form_of(asked.content.decode())), follow=True)


def staff(name: str, *permissions: str) -> Browser:
    """Return somebody at work in the admin who is no superuser and has `permissions`, as `change_account`."""
    account = Account.objects.create(name=name, password=hashed("a password of staff"), is_staff=True)
    account.user_permissions.set(Permission.objects.filter(codename__in=permissions))
    browser = Browser()
    browser.client.force_login(account)
    return browser


def messages_of(response: Response) -> list[str]:
    """Return what the admin told after an action."""
    return [str(message) for message in response.context["messages"]]


def errors_of(response: Response) -> dict[str, list[str]]:
    """Return the errors of a form that was not saved, by field."""
    assert response.status_code == 200, response
    # The page that sets a password writes the name in another way.
    page = response.context.get("adminform") or response.context["adminForm"]
    errors: dict[str, list[str]] = page.form.errors
    return errors
