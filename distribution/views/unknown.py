"""Every other path under `/v2/`: an error in the protocol's form, never a page of HTML."""

from typing import Any

from django.http import HttpRequest, HttpResponseBase

from tokens.errors import ErrorCode, RegistryError
from tokens.views.base import RegistryView


class UnknownPathView(RegistryView):
    """Refuse."""

    def answer(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Raise a 404."""
        raise RegistryError(ErrorCode.NAME_UNKNOWN, "no such path in this API")
