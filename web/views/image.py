"""One image of a repository, by tag or digest."""

from django.http import HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from core.api.host import host_of
from distribution.manifests.sizes import sizes_of
from web.image.manifest import add_config, child_row, chosen_child, image_of
from web.image.pull_commands import commands_for
from web.image.referrers import tree_of
from web.views.found import find
from web.views.page import page, searched
from web.visitor import visitor_of


@require_safe
def one_image(request: HttpRequest, name: str, reference: str) -> HttpResponse:
    """Show a manifest; of an index also the child that `platform` names, otherwise its first."""
    visitor = visitor_of(request)
    found = find(visitor, name, reference)
    image = image_of(found.row)
    child = chosen_child(image, searched(request, "platform"))
    row = child_row(found.row, child) if image.is_index else found.row
    # What is shown below the facts: the manifest itself, or the child of an index.
    part = image if row is found.row else row and image_of(row)
    roots = dict.fromkeys([image.digest, *([child.digest] if child else [])])
    shown = {
        "name": found.name,
        "reference": str(found.reference),
        "image": image,
        "child": child,
        "part": part,
        "total": sizes_of([found.row.pk]).get(found.row.pk),
        "tree": tree_of(found.row.repository_id, list(roots), image.attestations),
        "suggested": found.suggested,
    }
    # Last, since it waits for the storage.
    if part and row:
        add_config(part, row)
    host = f"{host_of(request)}/{found.name}"
    shown["commands"] = commands_for(image.kind, host, found.reference, image.chart_version)
    return page(request, "image/image.html", found.title, visitor, **shown)
