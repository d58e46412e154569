"""A document that a manifest names: an SBOM, an attestation, or other JSON."""

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_safe

from core.api.host import host_of
from web.document import document_of
from web.image import readable, sbom
from web.image.kinds import documents_of
from web.stored import UnreadableError
from web.views.found import find
from web.views.page import page, searched
from web.visitor import visitor_of

# More pages than MAX_PACKAGES fill.
MAX_PAGE_DIGITS = 4


@require_safe
def one_document(request: HttpRequest, name: str, reference: str, digest: str) -> HttpResponse:
    """Show a layer as what it is, if it is JSON; `q` searches the packages of an SBOM."""
    visitor = visitor_of(request)
    found = find(visitor, name, reference)
    documents = documents_of(document_of(bytes(found.row.payload)))
    document = next((one for one in documents if one.digest == digest), None)
    if document is None:
        raise Http404
    shown: dict[str, object] = {
        "name": found.name,
        "reference": str(found.reference),
        "document": document,
        "address": f"{host_of(request)}/{found.name}@{digest}",
        "subject": found.row.subject,
    }
    status = 200
    try:
        shown |= _read(request, found.row.repository_id, digest)
    except UnreadableError as error:
        shown["problem"], status = str(error), error.status
    response = page(request, "image/contents.html", f"{document.label} of {found.title}", visitor, **shown)
    response.status_code = status
    return response


def _read(request: HttpRequest, repository: int, digest: str) -> dict[str, object]:
    """Return what is shown of a document. Raises UnreadableError."""
    read = readable.read(repository, digest)
    if not read.sbom:
        return {"read": read}
    wanted, number = searched(request, "q"), _number(searched(request, "page"))
    rows, count, has_more = sbom.found_in(read.sbom, wanted, number)
    return {"read": read, "rows": rows, "count": count, "has_more": has_more, "wanted": wanted, "number": number}


def _number(text: str) -> int:
    """Return the number of a page; 1 for anything that is none."""
    is_number = text.isascii() and text.isdecimal() and len(text) <= MAX_PAGE_DIGITS
    return max(int(text), 1) if is_number else 1
