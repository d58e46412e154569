"""The list of repositories, and the tags of one."""

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from acl.rules import listed
from distribution import queries
from web import contents
from web.views.page import page, searched
from web.visitor import visitor_of


@require_safe
def all_repositories(request: HttpRequest) -> HttpResponse:
    """Show the repositories that the visitor may pull."""
    visitor = visitor_of(request)
    after, wanted = searched(request, "after"), searched(request, "q")
    rows, has_more = contents.repository_page(visitor.rules, after, wanted)
    return page(
        request, "repositories.html", "Repositories", visitor, rows=rows, has_more=has_more, after=after, wanted=wanted
    )


@require_safe
def one_repository(request: HttpRequest, name: str) -> HttpResponse:
    """Show the tags of a repository."""
    visitor = visitor_of(request)
    parsed = visitor.pullable(name)
    pk = queries.repository(parsed)
    if pk is None:
        raise Http404
    after, wanted = searched(request, "after"), searched(request, "q")
    rows, has_more = contents.tag_page(pk, after, wanted)
    actions = listed(visitor.rules.actions_on(parsed))
    shown = {"name": parsed, "rows": rows, "has_more": has_more, "after": after, "wanted": wanted, "actions": actions}
    return page(request, "repository.html", parsed, visitor, **shown)
