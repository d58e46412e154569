"""The JSON of proxies, made of their columns."""

from typing import Any

from django.db import models
from rest_framework import serializers

from api.json_body import TextField
from policies.globs import MAX_CHARACTERS
from upstreams.models import MAX_PASSWORD_CHARACTERS, Proxy


class GlobsField(serializers.ListField):
    """Globs, which a proxy stores with spaces between."""

    child = TextField(max_length=MAX_CHARACTERS)

    def to_representation(self, data: Any) -> list[str]:
        return data.split() if isinstance(data, str) else list(data)


def _field(name: str) -> serializers.Field[Any, Any, Any, Any]:
    column: Any = Proxy._meta.get_field(name)
    shared: dict[str, Any] = {"required": not column.has_default(), "help_text": str(column.help_text)}
    if column.has_default():
        shared["default"] = column.get_default()
    if name == "repositories":
        return GlobsField(**shared | {"default": []}, allow_empty=True, max_length=50)
    if isinstance(column, models.BooleanField):
        return serializers.BooleanField(**shared)
    return TextField(**shared, max_length=column.max_length, allow_blank=column.blank)


_members: dict[str, Any] = {name: _field(name) for name in Proxy.entered}

ProxySerializer: type[serializers.Serializer[Proxy]] = type(
    "ProxySerializer",
    (serializers.Serializer,),
    {
        "__doc__": "Repositories whose missing content is fetched from another registry, and kept.",
        "id": serializers.IntegerField(read_only=True),
        **_members,
        "password": TextField(
            max_length=MAX_PASSWORD_CHARACTERS,
            write_only=True,
            required=False,
            help_text="Of the username, never shown; to be given again with another URL.",
        ),
        "created_at": serializers.DateTimeField(read_only=True),
    },
)
