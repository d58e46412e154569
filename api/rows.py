"""Rows that a form saves as the admin does, as JSON: a list, and each one by its id."""

from collections.abc import Mapping
from typing import Any, ClassVar

from django.contrib.admin.models import ADDITION, CHANGE, DELETION
from django.db import transaction
from django.db.models import Model, QuerySet
from django.urls import reverse
from rest_framework import serializers
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from api import change_log, etags
from api.administration import AdministrationView
from api.paging import rows_page


class RowsView(AdministrationView):
    """A view of rows of `model`; `address` is the name of the path of one."""

    model: ClassVar[type[Model]]
    serializer: ClassVar[type[serializers.Serializer[Any]]]
    address: ClassVar[str]

    def form_of(self, row: Any, values: Mapping[str, Any]) -> Any:
        """Return the bound form that saves `values`, members of the JSON, into the row."""
        raise NotImplementedError

    def represented(self, row: Any) -> dict[str, Any]:
        return dict(self.serializer(row).data)

    def found(self, pk: int, *, is_locked: bool = False) -> Any:
        """Return the row. Raises NotFound."""
        rows = self.model._default_manager.all()
        row = (rows.select_for_update() if is_locked else rows).filter(pk=pk).first()
        if row is None:
            raise NotFound
        return row

    def listed(self, request: Request, query: Mapping[str, Any], rows: QuerySet[Any] | None = None) -> Response:
        """Return a page of `rows`, None: of all, by id."""
        chosen = self.model._default_manager.all() if rows is None else rows
        chosen = chosen.filter(pk__gt=query["after"] or 0).order_by("pk")
        return rows_page(request, chosen, query["limit"], "pk", self.represented)

    def created(self, request: Request) -> Response:
        """Create a row."""
        given = self.serializer(data=request.data)
        given.is_valid(raise_exception=True)
        with transaction.atomic():
            row = self._saved(self.model(), given.validated_data)
            made = self.represented(row)
            change_log.record(request, row, ADDITION, "Added by the API.", after=made)
        return etags.created(request, made, reverse(f"api:{self.address}", args=[row.pk]))

    def shown(self, request: Request, pk: int) -> Response:
        """Return a row."""
        return etags.answer(request, self.represented(self.found(pk)))

    def changed(self, request: Request, pk: int, message: str = "Changed by the API.") -> Response:
        """Change a row; members that are left out stay."""
        given = self.serializer(data=request.data, partial=True)
        given.is_valid(raise_exception=True)
        with transaction.atomic():
            row = self.found(pk, is_locked=True)
            now = self.represented(row)
            etags.require_match(request, etags.etag_of(now))
            row = self._saved(row, now | given.validated_data)
            after = self.represented(row)
            change_log.record(request, row, CHANGE, message, before=now, after=after)
        return etags.answer(request, after)

    def deleted(self, request: Request, pk: int) -> Response:
        """Delete a row."""
        with transaction.atomic():
            row = self.found(pk, is_locked=True)
            etags.require_match(request, etags.etag_of(self.represented(row)))
            change_log.record(request, row, DELETION, "Deleted by the API.")
            row.delete()
        return Response(status=204)

    def _saved(self, row: Any, values: Mapping[str, Any]) -> Any:
        """Save the row. Raises ValidationError with what is wrong with each field."""
        form = self.form_of(row, values)
        if not form.is_valid():
            raise ValidationError({field: [str(text) for text in texts] for field, texts in form.errors.items()})
        return form.save()
