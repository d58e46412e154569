"""Access rules in the admin."""

from __future__ import annotations

from typing import cast

from django.contrib import admin, messages
from django.contrib.auth.models import Group
from django.db.models import Model, Q, QuerySet
from django.forms import Form
from django.http import HttpRequest

from accounts.models import Account
from acl import actions as action_list
from acl import idle
from acl.forms import RuleForm
from acl.models import Rule, SubjectKind
from core.admin.bulk_deletion import BulkDeletionAdmin


class AllowsFilter(admin.SimpleListFilter):
    """Rules that allow an action, by name or by `*`."""

    title = "what it allows"
    parameter_name = "allows"

    def lookups(self, request: HttpRequest, model_admin: object) -> list[tuple[str, str]]:
        return [(action, action) for action in (action_list.PULL, action_list.PUSH, action_list.DELETE)]

    def queryset(self, request: HttpRequest, queryset: QuerySet[Rule]) -> QuerySet[Rule]:
        wanted = self.value()
        if wanted not in action_list.CONCRETE:
            return queryset
        return queryset.filter(Q(actions__contains=wanted) | Q(actions__contains=action_list.EVERY))


@admin.register(Rule)
class RuleAdmin(BulkDeletionAdmin):
    """Access rules; a change applies to the next request in every process."""

    form = RuleForm
    list_display = ("who", "may", "where", "comment", "created_at")
    list_display_links = ("who", "where")
    list_filter = ("subject_kind", AllowsFilter)
    search_fields = ("subject", "name", "comment")
    search_help_text = "an account, a group, a repository or a comment"
    readonly_fields = ("created_at",)
    fields = ("subject_kind", "subject", "actions", "name", "comment", "created_at")

    def save_model(self, request: HttpRequest, obj: Model, form: Form, change: bool) -> None:
        """Save the rule, and warn if it has no effect."""
        super().save_model(request, obj, form, change)
        rule = cast(Rule, obj)
        others = [_candidate(other) for other in Rule.objects.exclude(pk=rule.pk)]
        accounts = set(Account.objects.values_list("name", flat=True))
        groups = set(Group.objects.values_list("name", flat=True))
        # The saved rule comes last, so that of two equal rules it is the redundant one.
        reason = idle.Rules([*others, _candidate(rule)], accounts, groups).reason(len(others))
        if reason is not None:
            messages.warning(request, f"This rule has no effect: {reason}.")

    @admin.display(ordering="subject", description="who")
    def who(self, rule: Rule) -> str:
        if rule.subject_kind == SubjectKind.ANONYMOUS:
            return "everybody, signed in or not"
        if rule.subject_kind == SubjectKind.GROUP:
            return f"group {rule.subject}"
        return "everyone signed in" if rule.subject == "*" else rule.subject

    @admin.display(ordering="actions", description="may")
    def may(self, rule: Rule) -> str:
        actions = rule.actions.split(",")
        return "pull, push, delete" if action_list.EVERY in actions else ", ".join(actions)

    @admin.display(ordering="name", description="repositories")
    def where(self, rule: Rule) -> str:
        return "* (every repository)" if rule.name == "*" else rule.name


def _candidate(rule: Rule) -> idle.Candidate:
    actions = action_list.expand(rule.actions.split(","))
    return idle.Candidate(rule.subject_kind, rule.subject, rule.name, actions, f'the rule "{rule}"')
