"""Every other path under `/v2/`: an error in the protocol's form, never a page of HTML."""

from typing import Any

from django.http import HttpRequest, HttpResponseBase

from core.api.errors import ErrorCode, RegistryError
from core.api.view import RegistryView


class UnknownPathView(RegistryView):
    """Refuse."""

    code = ErrorCode.NAME_UNKNOWN
    detail = "no such path in this API"

    def answer(self, request: HttpRequest, *args: Any, **kwargs: Any) -> HttpResponseBase:
        """Raise the error that this path stands for."""
        raise RegistryError(self.code, self.detail)
