"""JSON bodies of bounded size, and strings in them."""

import io
from collections.abc import Mapping
from typing import Any

from django.http.request import UnreadablePostError
from rest_framework import serializers
from rest_framework.exceptions import APIException, ParseError
from rest_framework.parsers import JSONParser

MAX_BYTES = 256 * 1024


class TextField(serializers.CharField):
    """A string: the field of the framework takes numbers too."""

    def to_internal_value(self, data: Any) -> str:
        if not isinstance(data, str):
            self.fail("invalid")
        return str(super().to_internal_value(data))


class TooLargeError(APIException):
    """The body has more than MAX_BYTES."""

    status_code = 413
    default_detail = f"A body has at most {MAX_BYTES // 1024} KiB."
    default_code = "too_large"


class BoundedJSONParser(JSONParser):
    """JSON of at most MAX_BYTES: the parser of the framework reads on until the end."""

    def parse(
        self, stream: Any, media_type: str | None = None, parser_context: Mapping[str, Any] | None = None
    ) -> dict[str, Any]:
        try:
            payload = stream.read(MAX_BYTES + 1)
        except UnreadablePostError as error:
            raise ParseError("The body ended early.") from error
        if len(payload) > MAX_BYTES:
            raise TooLargeError
        try:
            parsed: dict[str, Any] = super().parse(io.BytesIO(payload), media_type, parser_context)
        except RecursionError as error:
            raise ParseError("The body is nested too deeply.") from error
        return parsed
