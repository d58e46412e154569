"""`/v2/<name>/tags/list` and `/v2/_catalog`: names in pages."""

from django.http import HttpRequest, HttpResponse

from core.api.view import RegistryView
from distribution import repositories, tags
from distribution.protocol.pagination import page_limit, page_start
from distribution.views.repository import PULL, RepositoryView
from tokens.bearer import bearer_of


class TagsView(RepositoryView):
    actions = {"GET": PULL}

    def get(self, request: HttpRequest) -> HttpResponse:
        limit = page_limit(request.GET)
        page = tags.page(self.name, limit, page_start(request.GET))
        headers = page.link(f"/v2/{self.name}/tags/list", limit)
        return _json(f'{{"name": "{self.name}", "tags": {page.json}}}', headers)


class CatalogView(RegistryView):
    """List the repositories that the token's account may pull."""

    def get(self, request: HttpRequest) -> HttpResponse:
        bearer = bearer_of(request)
        limit = page_limit(request.GET)
        page = repositories.catalog(limit, page_start(request.GET), bearer.rules)
        return _json(f'{{"repositories": {page.json}}}', page.link("/v2/_catalog", limit))


def _json(document: str, headers: dict[str, str]) -> HttpResponse:
    return HttpResponse(document, content_type="application/json", headers=headers)
