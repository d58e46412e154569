"""Keyset pagination: a page begins after the key of the last item of the one before."""

from collections.abc import Callable, Iterable, Mapping
from itertools import islice
from typing import Any, TypeVar

from django.db.models import Model, QuerySet
from django.utils.http import urlencode
from rest_framework import serializers
from rest_framework.request import Request
from rest_framework.response import Response

DEFAULT_LIMIT, MAX_LIMIT = 50, 200
MAX_KEY = 2**63 - 1

Row = TypeVar("Row", bound=Model)


class PageQuery(serializers.Serializer[Any]):
    """The parameters of every list."""

    limit = serializers.IntegerField(
        min_value=1, max_value=MAX_LIMIT, default=DEFAULT_LIMIT, help_text="The most items of a page."
    )
    after = serializers.CharField(
        max_length=255,
        default="",
        allow_blank=True,
        trim_whitespace=False,
        help_text="The key of the last item of the page before: its name, digest or id.",
    )


class NumberedQuery(PageQuery):
    """The parameters of a list by id."""

    after = serializers.IntegerField(  # type: ignore[assignment]  # narrows what a cursor may be
        min_value=0, max_value=MAX_KEY, default=None, allow_null=True, help_text="The id of the last item before."
    )


def parameters(kind: type[serializers.Serializer[Any]], request: Request) -> dict[str, Any]:
    """Return the checked parameters of the query. Raises ValidationError."""
    # A plain mapping: of a form, an empty value would be a missing one.
    query = kind(data=request.query_params.dict())
    query.is_valid(raise_exception=True)
    return dict(query.validated_data)


def page(request: Request, items: Iterable[Mapping[str, Any]], *, after: str | int | None) -> Response:
    """Return a page and the link to the one `after` this key; None: this is the last page."""
    following = None
    if after is not None:
        query = [(name, str(value)) for name, value in request.query_params.items() if name != "after"]
        following = f"{request.path}?{urlencode([*query, ('after', after)])}"
    headers = {"Cache-Control": "private, no-cache", "Vary": "Authorization, Cookie"}
    if following is not None:
        headers["Link"] = f'<{following}>; rel="next"'
    return Response({"items": list(items), "next": following}, headers=headers)


def rows_page(
    request: Request, rows: QuerySet[Row], limit: int, key: str, represent: Callable[[Row], Mapping[str, Any]]
) -> Response:
    """Return a page of ordered `rows`, which begin after the last one; one row more tells that another follows."""
    found = list(islice(rows[: limit + 1], limit + 1))
    shown = found[:limit]
    after = getattr(shown[-1], key) if len(found) > limit else None
    return page(request, [represent(row) for row in shown], after=after)


def page_of(item: type[serializers.Serializer[Any]], name: str) -> serializers.Serializer[Any]:
    """Return the serializer of a page of `item`, for the schema."""
    following = serializers.CharField(allow_null=True, help_text="The path of the next page, also in `Link`.")
    kind = type(f"{name}Page", (serializers.Serializer,), {"items": item(many=True), "next": following})
    made: serializers.Serializer[Any] = kind()
    return made
