"""`/api/v1/collection/runs`."""

from typing import Any

from django.conf import settings
from django.db import transaction
from django.urls import reverse
from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound, ValidationError
from rest_framework.request import Request
from rest_framework.response import Response

from api import etags
from api.administration import AdministrationView
from api.collection.serializers import FindingSerializer, FindingsQuery, PolicySerializer, RunSerializer, RunsQuery
from api.paging import page_of, parameters, rows_page
from api.problems import ConflictError
from collector.admin.forms import RunForm
from collector.jobs import queue, scheduler
from collector.models import Run, RunFinding
from core.durations import format_duration

VIEW, ADD = ("gc.view_run",), ("gc.add_run",)


class RunsView(AdministrationView):
    permissions = {"GET": VIEW, "POST": ADD}

    @extend_schema(operation_id="list_runs", parameters=[RunsQuery], responses=page_of(RunSerializer, "Runs"))
    def get(self, request: Request) -> Response:
        """List the runs of the collector, newest first."""
        query = parameters(RunsQuery, request)
        rows = Run.objects.order_by("-pk")
        if query["after"] is not None:
            rows = rows.filter(pk__lt=query["after"])
        exact = {name: query[name] for name in ("state", "is_dry_run") if query[name] is not None}
        return rows_page(request, rows.filter(**exact), query["limit"], "pk", _represented)

    @extend_schema(operation_id="request_run", request=PolicySerializer, responses={201: RunSerializer, 409: None})
    def post(self, request: Request) -> Response:
        """Request a run, or a dry run: it begins within seconds, or when the one in progress has ended.

        409 while another one waits; that one can be withdrawn.
        """
        given = PolicySerializer(data=request.data)
        given.is_valid(raise_exception=True)
        section = settings.REGISTRY.garbage_collector
        configured = {
            "remove_untagged": section.remove_untagged,
            "grace_period": format_duration(section.grace_period),
        }
        if queue.has_waiting():
            raise ConflictError("A run is requested already and has not begun.")
        form = RunForm(configured | given.validated_data)
        if not form.is_valid():
            raise ValidationError({field: [str(text) for text in texts] for field, texts in form.errors.items()})
        run: Run = form.save(commit=False)
        try:
            queue.add(run, request.user.get_username())
        except queue.WaitingError as error:
            raise ConflictError("A run is requested already and has not begun.") from error
        transaction.on_commit(scheduler.wake)
        return etags.created(request, _represented(run), reverse("api:run", args=[run.pk]))


class RunView(AdministrationView):
    permissions = {"GET": VIEW}

    @extend_schema(operation_id="get_run", responses={200: RunSerializer, 304: None})
    def get(self, request: Request, run_id: int) -> Response:
        """Return a run, with what it has removed so far."""
        return etags.answer(request, _represented(_found(run_id)))


class WithdrawalView(AdministrationView):
    permissions = {"POST": ADD}

    @extend_schema(operation_id="withdraw_run", request=None, responses={200: RunSerializer, 409: None, 412: None})
    def post(self, request: Request, run_id: int) -> Response:
        """Withdraw a run that has not begun; 409 if it has."""
        run = _found(run_id)
        etags.require_match(request, etags.etag_of(_represented(run)))
        if not queue.withdraw(run, request.user.get_username()):
            raise ConflictError("The run has begun, or was withdrawn already.")
        return Response(_represented(_found(run_id)))


class FindingsView(AdministrationView):
    permissions = {"GET": VIEW}

    @extend_schema(
        operation_id="list_findings", parameters=[FindingsQuery], responses=page_of(FindingSerializer, "Findings")
    )
    def get(self, request: Request, run_id: int) -> Response:
        """List what a dry run would have removed, by id; the last ten dry runs keep 10,000 findings each."""
        query = parameters(FindingsQuery, request)
        rows = RunFinding.objects.filter(run=_found(run_id), pk__gt=query["after"] or 0).order_by("pk")
        if query["kind"] is not None:
            rows = rows.filter(kind=query["kind"])
        return rows_page(request, rows, query["limit"], "pk", lambda row: dict(FindingSerializer(row).data))


def _found(run_id: int) -> Run:
    run = Run.objects.filter(pk=run_id).first()
    if run is None:
        raise NotFound
    return run


def _represented(run: Run) -> dict[str, Any]:
    return dict(RunSerializer(run).data)
