"""Lists are filtered by what they declare: no address reads a column that no page shows."""

from collections.abc import Iterator

import pytest
from django.contrib import admin as django_admin
from django.db.models import Field, Model
from django.urls import reverse

import registry_project.urls  # noqa: F401 - registers every model of the admin
from tests.admin.browser import Browser

MODELS = list(django_admin.site._registry)
# Through one relation, as `owner__password`; what goes further is refused as that is.
DEPTH = 1


def list_of(model: type[Model]) -> str:
    return reverse(f"admin:{model._meta.app_label}_{model._meta.model_name}_changelist")


def columns(model: type[Model], depth: int = DEPTH) -> Iterator[str]:
    """Return every column that a lookup of `model` reaches, through relations in both directions."""
    for field in model._meta.get_fields():
        if field.is_relation and isinstance(field.related_model, type) and depth:
            yield from (f"{field.name}__{column}" for column in columns(field.related_model, depth - 1))
        elif isinstance(field, Field):
            yield field.name


@pytest.mark.parametrize("model", MODELS, ids=lambda model: model.__name__)
def test_a_list_is_filtered_by_no_column_that_it_does_not_declare(model: type[Model], admin: Browser) -> None:
    for column in columns(model):
        assert admin.get(list_of(model), **{f"{column}__startswith": "a"}).status_code == 400, column


@pytest.mark.parametrize(
    "address",
    [
        "/admin/tokens/refreshtoken/?token_hash__startswith=a",
        "/admin/tokens/refreshtoken/?token_hash=a",
        "/admin/tokens/refreshtoken/?credential_hash__gt=a",
        "/admin/accounts/account/?password__startswith=bcrypt",
        "/admin/accounts/account/?groups__user__password__startswith=bcrypt",
        "/admin/auth/group/?user__password__startswith=bcrypt",
        "/admin/distribution/tag/?repository__id__gt=1",
    ],
)
def test_a_hidden_column_does_not_filter(address: str, admin: Browser) -> None:
    assert admin.get(address).status_code == 400


@pytest.mark.parametrize(
    "address",
    [
        "/admin/accounts/account/?is_active__exact=1&groups__isnull=True&q=a&o=1",
        "/admin/accounts/account/?groups__id__exact=1",
        "/admin/tokens/refreshtoken/?client_id=docker&good=yes",
        "/admin/acl/rule/?subject_kind__exact=group&allows=pull",
        "/admin/distribution/tag/?repository__id__exact=1",
        "/admin/distribution/manifest/?repository__id__exact=1&in_use=no",
        "/admin/gc/run/?started_at__year=2026&started_at__month=11&state__exact=finished",
        "/admin/gc/runfinding/?run__id__exact=1",
        "/admin/distribution/blob/?sound=no",
    ],
)
def test_what_pages_link_to_filters(address: str, admin: Browser) -> None:
    assert admin.get(address).status_code == 200
