"""The paths of `/v2/`. A repository's name may have slashes, so the last match of a keyword ends it."""

from django.urls import path, re_path

from core.api.errors import ErrorCode
from distribution.views.blob import BlobView
from distribution.views.listing import CatalogView, TagsView
from distribution.views.manifest import ManifestView
from distribution.views.referrers import ReferrersView
from distribution.views.root import ApiVersionView, UnknownPathView
from distribution.views.upload import UploadView
from distribution.views.uploads import UploadsView
from tokens.views import JwksView, TokenView

_SESSION = r"(?P<session>[0-9a-f]{8}-(?:[0-9a-f]{4}-){3}[0-9a-f]{12})"

urlpatterns = [
    re_path(r"^v2/(?P<name>.+)/manifests/(?P<reference>[^/]+)\Z", ManifestView.as_view(), name="manifest"),
    re_path(r"^v2/(?P<name>.+)/blobs/uploads/?\Z", UploadsView.as_view(), name="uploads"),
    re_path(rf"^v2/(?P<name>.+)/blobs/uploads/{_SESSION}\Z", UploadView.as_view(), name="upload"),
    re_path(r"^v2/(?P<name>.+)/blobs/uploads/[^/]+\Z", UnknownPathView.as_view(code=ErrorCode.BLOB_UPLOAD_UNKNOWN)),
    re_path(r"^v2/(?P<name>.+)/blobs/(?P<digest>[^/]+)\Z", BlobView.as_view(), name="blob"),
    re_path(r"^v2/(?P<name>.+)/tags/list/?\Z", TagsView.as_view(), name="tags"),
    re_path(r"^v2/(?P<name>.+)/referrers/(?P<digest>[^/]+)\Z", ReferrersView.as_view(), name="referrers"),
    re_path(r"^v2/_catalog/?\Z", CatalogView.as_view(), name="catalog"),
    re_path(r"^v2/token/?\Z", TokenView.as_view(), name="token"),
    re_path(r"^v2/token/jwks/?\Z", JwksView.as_view(), name="jwks"),
    re_path(r"^v2/?\Z", ApiVersionView.as_view(), name="version"),
    path("v2/<path:rest>", UnknownPathView.as_view()),
    re_path(r"", UnknownPathView.as_view()),
]
