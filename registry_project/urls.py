"""URLs of the admin and of the JSON API; middleware answers `/v2/` and `/health` before."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

# Not at the load of the apps: commands need no admin, whose modules take a third of their memory.
admin.autodiscover()

ADMIN = (path("", RedirectView.as_view(pattern_name="admin:index")), path("admin/", admin.site.urls))
API = (path("api/v1/", include("api.urls")),)
urlpatterns = [*ADMIN, *API]
