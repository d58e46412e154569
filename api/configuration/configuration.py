"""`/api/v1/configuration`."""

from typing import Any

from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import OpenApiParameter, extend_schema
from rest_framework.exceptions import PermissionDenied, ValidationError
from rest_framework.renderers import BaseRenderer, JSONRenderer
from rest_framework.request import Request
from rest_framework.response import Response

from api.administration import AdministrationView
from provisioning import export


class YamlTextRenderer(BaseRenderer):
    """Text that is YAML already."""

    media_type = "application/yaml"
    format = "yaml"
    charset = "utf-8"

    def render(self, data: Any, *_args: Any, **_kwargs: Any) -> bytes:
        return str(data).encode()


class ConfigurationView(AdministrationView):
    permissions = {"GET": ("accounts.view_account", "auth.view_group", "acl.view_rule")}
    renderer_classes = [YamlTextRenderer, JSONRenderer]

    @extend_schema(
        operation_id="export_configuration",
        parameters=[
            OpenApiParameter(
                "with", str, enum=["hashes"], description="`hashes`: with the hashes of passwords, for superusers."
            )
        ],
        responses={(200, "application/yaml"): OpenApiTypes.OBJECT},
    )
    def get(self, request: Request) -> Response:
        """Return accounts, groups, rules, policies, webhooks and proxies as the YAML of `manage.py loadconfig`."""
        given = request.query_params.get("with")
        if given not in (None, "hashes"):
            raise ValidationError({"with": ["It is `hashes`, or missing."]})
        with_hashes = given == "hashes"
        if with_hashes and not request.user.is_superuser:
            raise PermissionDenied("Only a superuser may export the hashes of passwords.")
        headers = {"Cache-Control": "private, no-store"}
        # The URLs of some receivers are as good as a password.
        with_webhooks = request.user.has_perm("webhooks.view_webhook")
        with_proxies = request.user.has_perm("upstreams.view_proxy")
        text = export.yaml_text(with_hashes=with_hashes, with_webhooks=with_webhooks, with_proxies=with_proxies)
        return Response(text, headers=headers, content_type="application/yaml; charset=utf-8")
