"""The list of repositories, and the tags of one."""

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from acl.actions import DELETE, PULL, PUSH
from acl.rules import listed
from core.api.host import host_of
from distribution.usage import quota_figures
from policies.immutability import Immutability
from web import contents, listing
from web.description import description_of, rendered
from web.usage import usage_of
from web.views.page import page, searched
from web.views.rights import repository_of
from web.visitor import visitor_of

_TITLE = "Repositories"
_SORTS = (("name", "name"), ("size", "size"), ("pushed", "last push"), ("pulled", "last pull"))


@require_safe
def all_repositories(request: HttpRequest) -> HttpResponse:
    """Show the repositories that the visitor may pull: a list, a tree, or what a search has found."""
    visitor = visitor_of(request)
    after, wanted = searched(request, "after"), searched(request, "q")
    sort = request.GET.get("sort", "")
    sort = sort if sort in listing.SORTS else "name"
    common = {"after": after, "wanted": wanted, "sort": sort}
    found = listing.search(visitor.rules, wanted, host_of(request)) if wanted else None
    if found is not None:
        return page(request, "found.html", _TITLE, visitor, found=found, **common)
    if "prefix" in request.GET and not wanted:
        prefix = searched(request, "prefix")
        prefix = f"{prefix.strip('/')}/" if prefix.strip("/") else ""
        tree = listing.tree(visitor.rules, prefix, after)
        parts = prefix.split("/")[:-1]
        above = [(part, "/".join(parts[: place + 1]) + "/") for place, part in enumerate(parts)]
        return page(request, "tree.html", prefix or _TITLE, visitor, tree=tree, prefix=prefix, above=above, **common)
    # A later page by name has no links to other sorts, and needs no count.
    may_sort = (sort != "name" or not after) and listing.may_sort()
    if sort != "name" and may_sort:
        shown = listing.by_column(visitor.rules, sort, after, wanted)
    else:
        shown = listing.by_name(visitor.rules, after, wanted)
        common["sort"] = "name"
    return page(
        request,
        "repositories.html",
        _TITLE,
        visitor,
        rows=shown.rows,
        following=shown.following,
        sorts=_SORTS if may_sort else (),
        **common,
    )


@require_safe
def one_repository(request: HttpRequest, name: str) -> HttpResponse:
    """Show the description and the tags of a repository."""
    visitor = visitor_of(request)
    parsed = visitor.pullable(name)
    repository = repository_of(parsed)
    after, wanted = searched(request, "after"), searched(request, "q")
    may_sort = contents.may_sort(repository.pk)
    sort = "newest" if request.GET.get("sort") == "newest" and may_sort else "name"
    rows, following = contents.tag_page(repository.pk, after, wanted, sort)
    shown_tag = contents.tag_named(repository.pk, "latest") or next(iter(rows), None)
    description, is_own = description_of(repository, shown_tag.manifest if shown_tag else None)
    actions = visitor.rules.actions_on(parsed)
    immutability = Immutability.of(parsed, visitor.version)
    shown = {
        "name": parsed,
        "repository": repository,
        "rows": rows,
        "following": following,
        "after": after,
        "wanted": wanted,
        "sort": sort,
        "may_sort": may_sort,
        "actions": listed(actions),
        "may_push": PUSH in visitor.rules.actions_on_every_tag(parsed),
        "may_delete": DELETE in visitor.rules.actions_on_every_tag(parsed),
        "may_delete_some": DELETE in actions,
        "limits": visitor.rules.limits_of_tags(parsed),
        "description": rendered(description) if description else "",
        "is_own_description": is_own,
        "tags": contents.tag_counts([repository.pk]).get(repository.pk, 0),
        "usage": usage_of(parsed),
        # They name other repositories too.
        "immutable": [str(policy) for policy in immutability.policies if policy.tags] if actions - {PULL} else [],
        # Of others' repositories too: for those whom a refused push would tell.
        "quotas": quota_figures.of_repository(parsed, visitor.version) if PUSH in actions else [],
        "shown_tag": shown_tag,
        "pull_target": f"{host_of(request)}/{parsed}:{shown_tag.name}" if shown_tag else "",
    }
    return page(request, "repository.html", parsed, visitor, **shown)
