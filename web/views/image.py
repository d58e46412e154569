"""One image of a repository, by tag or digest."""

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from core.api.errors import RegistryError
from core.api.host import host_of
from distribution import queries
from distribution.models import Manifest
from distribution.protocol.digest import Digest
from distribution.protocol.references import parse_reference
from web import contents
from web.image import image_of
from web.views.page import page
from web.visitor import visitor_of


@require_safe
def one_image(request: HttpRequest, name: str, reference: str) -> HttpResponse:
    """Show a manifest."""
    visitor = visitor_of(request)
    parsed = visitor.pullable(name)
    try:
        wanted = parse_reference(reference)
    except RegistryError as error:
        raise Http404 from error
    by = {"digest": str(wanted)} if isinstance(wanted, Digest) else {"tags__name": wanted}
    row = Manifest.objects.filter(repository=queries.repository(parsed), **by).first()
    if row is None:
        raise Http404
    image = image_of(row)
    target = f"{parsed}@{wanted}" if isinstance(wanted, Digest) else f"{parsed}:{wanted}"
    total = contents.sizes_of([row.pk]).get(row.pk)
    shown = {"name": parsed, "reference": str(wanted), "image": image, "total": total}
    return page(request, "image.html", target, visitor, pull_target=f"{host_of(request)}/{target}", **shown)
