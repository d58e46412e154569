"""Every other path below `/api/v1/`."""

from typing import Any

from drf_spectacular.utils import extend_schema
from rest_framework.exceptions import NotFound
from rest_framework.permissions import AllowAny
from rest_framework.request import Request
from rest_framework.views import APIView


class UnknownPathView(APIView):
    authentication_classes = ()
    permission_classes = [AllowAny]

    @extend_schema(exclude=True)
    def initial(self, request: Request, *args: Any, **kwargs: Any) -> None:
        """Raise NotFound whatever the method is."""
        raise NotFound("There is no such path; /api/v1/ lists all.")
