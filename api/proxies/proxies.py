"""`/api/v1/proxies`; a change counts from the next request on, in every process."""

from collections.abc import Mapping
from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.request import Request
from rest_framework.response import Response

from api.administration import permissions_on
from api.paging import NumberedQuery, page_of, parameters
from api.proxies.serializers import ProxySerializer
from api.rows import RowsView
from upstreams.forms import ProxyForm
from upstreams.models import Proxy


class _ProxyRowsView(RowsView):
    permissions = permissions_on("upstreams.proxy")
    model, serializer, address = Proxy, ProxySerializer, "proxy"

    def form_of(self, row: Proxy, values: Mapping[str, Any]) -> ProxyForm:
        return ProxyForm(dict(values), instance=row)


class ProxiesView(_ProxyRowsView):
    @extend_schema(
        operation_id="list_proxies", parameters=[NumberedQuery], responses=page_of(ProxySerializer, "Proxies")
    )
    def get(self, request: Request) -> Response:
        """List the proxies, by id."""
        return self.listed(request, parameters(NumberedQuery, request))

    @extend_schema(operation_id="create_proxy", request=ProxySerializer, responses={201: ProxySerializer})
    def post(self, request: Request) -> Response:
        """Create a proxy; its password is never shown again."""
        return self.created(request)


class ProxyView(_ProxyRowsView):
    @extend_schema(operation_id="get_proxy", responses={200: ProxySerializer, 304: None})
    def get(self, request: Request, proxy_id: int) -> Response:
        """Return a proxy, without its password."""
        return self.shown(request, proxy_id)

    @extend_schema(
        operation_id="update_proxy", request=ProxySerializer(partial=True), responses={200: ProxySerializer, 412: None}
    )
    def patch(self, request: Request, proxy_id: int) -> Response:
        """Change a proxy; fields that are left out stay. Another URL needs the password again."""
        what = "Changed by the API, with a new password." if "password" in request.data else "Changed by the API."
        return self.changed(request, proxy_id, what)

    @extend_schema(operation_id="delete_proxy", responses={204: None, 412: None})
    def delete(self, request: Request, proxy_id: int) -> Response:
        """Delete a proxy; what it has fetched stays."""
        return self.deleted(request, proxy_id)
