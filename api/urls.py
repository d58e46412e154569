"""The paths of `/api/v1/`."""

from django.urls import path

from api.views import ConnectionView, ExplainView, RepositoriesView, WhoamiView

urlpatterns = [
    path("whoami", WhoamiView.as_view()),
    path("connection", ConnectionView.as_view()),
    path("explain", ExplainView.as_view()),
    path("repositories", RepositoriesView.as_view()),
]
