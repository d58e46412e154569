"""`/api/v1/groups`."""

from typing import Any

from django.contrib.admin.models import ADDITION, CHANGE, DELETION
from django.contrib.auth.models import Group
from django.db import transaction
from django.db.models import Count, QuerySet
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound, PermissionDenied
from rest_framework.request import Request
from rest_framework.response import Response

from accounts.governing import may_govern_group
from api import change_log, etags
from api.accounts.serializers import GroupSerializer, GroupsQuery
from api.administration import AdministrationView, permissions_on
from api.paging import page_of, parameters, rows_page


class GroupsView(AdministrationView):
    permissions = permissions_on("auth.group")

    @extend_schema(operation_id="list_groups", parameters=[GroupsQuery], responses=page_of(GroupSerializer, "Groups"))
    def get(self, request: Request) -> Response:
        """List the groups, by id."""
        query = parameters(GroupsQuery, request)
        rows = _counted().filter(pk__gt=query["after"] or 0).order_by("pk")
        if query["contains"]:
            rows = rows.filter(name__contains=query["contains"])
        return rows_page(
            request, rows.prefetch_related("permissions__content_type"), query["limit"], "pk", _represented
        )

    @extend_schema(operation_id="create_group", request=GroupSerializer, responses={201: GroupSerializer})
    def post(self, request: Request) -> Response:
        """Create a group without members."""
        given = GroupSerializer(data=request.data)
        with transaction.atomic():
            given.is_valid(raise_exception=True)
            group = Group.objects.create(name=given.validated_data["name"])
            made = _represented(_found(group.pk))
            change_log.record(request, group, ADDITION, "Added by the API.", after=made)
        return etags.created(request, made, reverse("api:group", args=[group.pk]))


class GroupView(AdministrationView):
    permissions = permissions_on("auth.group")

    @extend_schema(operation_id="get_group", responses={200: GroupSerializer, 304: None})
    def get(self, request: Request, group_id: int) -> Response:
        """Return a group; `/accounts?group=` lists its members."""
        return etags.answer(request, _represented(_found(group_id)))

    @extend_schema(
        operation_id="update_group", request=GroupSerializer(partial=True), responses={200: GroupSerializer, 412: None}
    )
    def patch(self, request: Request, group_id: int) -> Response:
        """Rename a group; rules for the old name then have no effect."""
        with transaction.atomic():
            group = self._governed(request, group_id)
            before = _represented(group)
            given = GroupSerializer(group, data=request.data, partial=True)
            given.is_valid(raise_exception=True)
            group.name = given.validated_data.get("name", group.name)
            group.save()
            after = _represented(_found(group_id))
            change_log.record(request, group, CHANGE, "Renamed by the API.", before=before, after=after)
        return etags.answer(request, after)

    @extend_schema(operation_id="delete_group", responses={204: None, 412: None})
    def delete(self, request: Request, group_id: int) -> Response:
        """Delete a group; its members stay, rules for it then have no effect, and its robots can't log in."""
        with transaction.atomic():
            group = self._governed(request, group_id)
            change_log.record(request, group, DELETION, "Deleted by the API.")
            group.delete()
        return Response(status=204)

    def _governed(self, request: Request, group_id: int) -> Any:
        """Return the group, locked, if it may be changed and is in the state that the client asks for."""
        Group.objects.select_for_update().filter(pk=group_id).first()
        group = _found(group_id)
        if not may_govern_group(request.user, group):
            raise PermissionDenied("Only a superuser changes groups with permissions.")
        etags.require_match(request, etags.etag_of(_represented(group)))
        return group


def _counted() -> QuerySet[Any]:
    return Group.objects.annotate(members=Count("user", distinct=True), robot_count=Count("robots", distinct=True))


def _found(group_id: int) -> Any:
    group = _counted().filter(pk=group_id).first()
    if group is None:
        raise NotFound
    return group


def _represented(group: Any) -> dict[str, Any]:
    return dict(GroupSerializer(group).data)
