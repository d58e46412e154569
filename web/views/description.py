"""Edit the description of a repository."""

from django.http import Http404, HttpRequest, HttpResponse
from django.views.decorators.http import require_http_methods

from accounts import permissions_version
from acl.actions import PUSH
from audit.kinds import Kind
from core.api.errors import RegistryError
from core.db import transactions
from distribution.models import Repository
from policies import read_only
from web.description import MAX_BYTES, rendered
from web.views.page import page
from web.views.rights import log_change, permitted, refused, repository_of, told


@require_http_methods(["GET", "HEAD", "POST"])
def edit_description(request: HttpRequest, name: str) -> HttpResponse:
    """Show the form with a preview; store the description, which is empty to show that of the image again."""
    visitor, parsed = permitted(request, name, PUSH, is_whole=True)
    repository = repository_of(parsed)
    text, error, preview = repository.description or "", "", None
    if request.method == "POST":
        # PostgreSQL takes no NUL.
        text = request.POST.get("description", "").replace("\0", "").replace("\r\n", "\n")
        if len(text.encode("utf-8", "replace")) > MAX_BYTES:
            error = f"A description has at most {MAX_BYTES // 1024} KiB."
        elif "preview" in request.POST:
            preview = rendered(text)
        else:
            try:
                read_only.require_writable(parsed, permissions_version.current())
            except RegistryError as refusal:
                return refused(request, refusal, "repository", parsed)
            rows = Repository.objects.filter(pk=repository.pk)
            if not transactions.run(rows.update, description=text.strip() or None):
                raise Http404
            log_change(request, visitor, Kind.DESCRIPTION, parsed)
            return told(request, "The description was saved.", "repository", parsed)
    title = f"Description of {parsed}"
    return page(request, "description.html", title, visitor, name=parsed, text=text, error=error, preview=preview)
