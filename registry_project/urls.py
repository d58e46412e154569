"""URLs of the admin, of the JSON API and of the pages; middleware answers `/v2/` and `/health` before."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

# Not at the load of the apps: commands need no admin, whose modules take a third of their memory.
admin.autodiscover()

ADMIN = (path("admin/", admin.site.urls),)
# Where the admin is open, and the pages are not.
TO_ADMIN = (path("", RedirectView.as_view(pattern_name="admin:index")),)
API = (path("api/v1/", include("api.urls")),)
PAGES = (path("", include("web.urls")),)
# The admin's own address has no other page.
ADMIN_ALONE = (*TO_ADMIN, *ADMIN)
OPEN = (*API, *PAGES)
urlpatterns = [*ADMIN, *OPEN]
