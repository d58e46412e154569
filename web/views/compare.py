"""Two images side by side."""

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from distribution.models import Manifest
from distribution.protocol.spec import INDEX_TYPES
from web.image.comparison import compare
from web.image.manifest import Child, Image, child_row, chosen_child, image_of
from web.views.found import Found, find, find_other
from web.views.page import page, searched
from web.visitor import visitor_of


@require_safe
def two_images(request: HttpRequest, name: str, reference: str) -> HttpResponse:
    """Compare a manifest with the one that `with` names; of indexes the child that `platform` names."""
    visitor = visitor_of(request)
    found = find(visitor, name, reference)
    wanted, platform = searched(request, "with"), searched(request, "platform")
    image = image_of(found.row)
    shown = {
        "name": found.name,
        "reference": str(found.reference),
        "wanted": wanted,
        "image": image,
        "suggested": found.suggested,
    }
    status = 200
    if wanted:
        try:
            other = find_other(visitor, name, wanted)
        except Http404:
            shown["problem"], status = f"There is no “{wanted}” that you may pull.", 404
        else:
            shown |= _compared(found, image, other, platform)
    response = page(request, "image/compare.html", f"Compare {found.title}", visitor, **shown)
    response.status_code = status
    return response


def _compared(found: Found, image: Image, other: Found, platform: str) -> dict[str, object]:
    """Return the comparison of the images, each of the same platform if both have it."""
    child = chosen_child(image, platform)
    left = _image_in(found.row, image, child)
    other_image = image_of(other.row)
    other_child = chosen_child(other_image, child.platform if child else platform)
    right = _image_in(other.row, other_image, other_child)
    shown: dict[str, object] = {"other": other, "child": child, "other_child": other_child}
    if left is None or right is None:
        return shown | {"problem": "An index without images has nothing to compare."}
    return shown | {"found": compare(left, right), "is_same": left.digest == right.digest}


def _image_in(row: Manifest, image: Image, child: Child | None) -> Manifest | None:
    """Return the row of the image itself, or of the chosen child; None for a child that is an index."""
    if not image.is_index:
        return row
    chosen = child_row(row, child)
    return None if chosen is None or chosen.media_type in INDEX_TYPES else chosen
