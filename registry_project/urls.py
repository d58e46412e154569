"""Addresses for browsers and scripts. `/v2/` and `/health` are answered before, by their middleware."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

# Here rather than when the apps are loaded: a command needs no admin, whose modules take a third of its memory.
admin.autodiscover()

ADMIN = (path("", RedirectView.as_view(pattern_name="admin:index")), path("admin/", admin.site.urls))
API = (path("api/v1/", include("api.urls")),)
urlpatterns = [*ADMIN, *API]
