"""URLs of the admin, of the JSON API and of the pages; middleware answers `/v2/` and `/health` before."""

from django.contrib import admin
from django.urls import include, path
from django.views.generic import RedirectView

# Not at the load of the apps: commands need no admin, whose modules take a third of their memory.
admin.autodiscover()

ADMIN = (path("admin/", admin.site.urls),)
# The admin's own address has no other page.
ADMIN_ALONE = (path("", RedirectView.as_view(pattern_name="admin:index")), *ADMIN)
OPEN = (path("api/v1/", include("api.urls")), path("", include("web.urls")))
urlpatterns = [*ADMIN, *OPEN]
