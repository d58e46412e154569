"""Proxies in the admin."""

from __future__ import annotations

from django.contrib import admin
from django.http import HttpRequest

from administration.origin import OriginAdmin, OriginFilter
from provisioning.models import Section
from upstreams.forms import ProxyForm
from upstreams.models import Proxy


@admin.register(Proxy)
class ProxyAdmin(OriginAdmin):
    """Proxies; a change counts from the next request on, in every process."""

    section = Section.PROXIES
    form = ProxyForm
    list_display = ("names", "url", "username", "tag_ttl", "keep_unused", "enabled", "comment", "origin")
    list_filter = (OriginFilter, "enabled")
    search_fields = ("prefix", "url", "comment")
    readonly_fields = ("origin", "created_at")

    def get_fields(self, request: HttpRequest, obj: Proxy | None = None) -> tuple[str, ...]:
        entered = list(Proxy.entered)
        entered.insert(entered.index("username") + 1, "password")
        return tuple(entered) if obj is None else (*entered, "origin", "created_at")

    @admin.display(ordering="prefix", description="names")
    def names(self, proxy: Proxy) -> str:
        return f"{proxy.prefix}*" if proxy.prefix else "the whole registry"
