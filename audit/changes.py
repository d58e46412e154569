"""Record what the admin adds, changes and deletes: old and new values, without secrets."""

from __future__ import annotations

from functools import partial
from typing import Any

from django.contrib.admin import ModelAdmin
from django.db import transaction
from django.db.models import Model, QuerySet
from django.http import HttpRequest

from audit.kinds import Kind
from audit.recording import record

MAX_VALUE = 200
_SECRETS = ("secret", "headers")
"""Fields whose values no log has."""

_VALUES = "values"
"""The key of old and new values in a change message; Django reads other keys only."""


def recorded(admin_class: type[Any]) -> type[Any]:
    """Return a subclass of a ModelAdmin that records its changes."""
    return type(admin_class.__name__, (_Recorded, admin_class), {"__module__": admin_class.__module__})


class _Recorded(ModelAdmin):  # type: ignore[type-arg]  # generic in the stubs only
    """Records beside each entry of Django's own log, once the change is committed."""

    def construct_change_message(self, request: HttpRequest, form: Any, formsets: Any, add: bool = False) -> Any:
        message: list[dict[str, Any]] = super().construct_change_message(request, form, formsets, add)
        if message and form.changed_data:
            message[0][_VALUES] = "; ".join(_changed(form, name) for name in form.changed_data)
        return message

    def log_addition(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        _record(request, obj, "added", message)
        return super().log_addition(request, obj, message)

    def log_change(self, request: HttpRequest, obj: Any, message: Any) -> Any:
        _record(request, obj, "changed", message)
        return super().log_change(request, obj, message)

    def log_deletions(self, request: HttpRequest, queryset: QuerySet[Any]) -> Any:
        # None when the list deletes by a verb, which may refuse: it records what it deleted.
        entries: Any = super().log_deletions(request, queryset)
        for entry in entries or ():
            _record_as(request, f"{entry.content_type.name} {entry.object_repr}", "deleted")
        return entries


def _record(request: HttpRequest, obj: Model, verb: str, message: Any) -> None:
    subject = f"{obj._meta.verbose_name} {obj}"  # noqa: SLF001 - Django documents it
    if isinstance(message, str):
        _record_as(request, subject, f"{verb}: {message}")
        return
    values = message[0].get(_VALUES, "") if message else ""
    is_password = verb == "changed" and values == "password"
    detail = f"{verb}: {values}" if values else verb
    _record_as(request, subject, detail, Kind.PASSWORD if is_password else Kind.CHANGE)


def _record_as(request: HttpRequest, subject: str, detail: str, kind: Kind = Kind.CHANGE) -> None:
    about = {"account": request.user.get_username(), "credential": "session", "reference": subject, "detail": detail}
    transaction.on_commit(partial(record, kind, request, **about))


def _changed(form: Any, name: str) -> str:
    if "password" in name:
        return "password"
    if name in _SECRETS:
        return name
    return difference(name, form.initial.get(name), form.cleaned_data.get(name))


def difference(name: str, old: Any, new: Any) -> str:
    """Return the name of a field with its old value, if it had any, and its new one."""
    before, after = _shown(old), _shown(new)
    return f"{name}: {after}" if before == _shown(None) else f"{name}: {before} → {after}"


def _shown(value: Any) -> str:
    if value is None or value == "":
        return "nothing"
    if isinstance(value, bool):
        return "yes" if value else "no"
    if isinstance(value, QuerySet | list | tuple | set | frozenset):
        value = ", ".join(sorted(map(str, value))) or "nothing"
    return str(value)[:MAX_VALUE]
