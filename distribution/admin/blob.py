"""Blobs in the admin."""

from __future__ import annotations

from django.contrib import admin
from django.db.models import Q
from django.utils.html import format_html

from core.admin.flag_filter import FlagFilter
from core.sizes import size_text
from distribution import deletion
from distribution.admin import cells
from distribution.admin.read_only import ReadOnlyAdmin
from distribution.models import Blob, Repository


class SoundFilter(FlagFilter):
    title = "sound"
    parameter_name = "sound"
    condition = Q(is_corrupt=False)


@admin.register(Blob)
class BlobAdmin(ReadOnlyAdmin):
    """Blobs, newest first, and the repositories that link them."""

    list_display = ("short_digest", "human_size", "is_sound", "created_at")
    list_filter = (SoundFilter,)
    sortable_by = ()
    ordering = ("-pk",)
    search_fields = ("digest__contains",)
    search_help_text = "part of a digest"
    fields = ("digest", "human_size", "is_sound", "repositories", "key", "created_at")

    @admin.display(description="size")
    def human_size(self, blob: Blob) -> str:
        return size_text(blob.size)

    @admin.display(description="sound")
    def is_sound(self, blob: Blob) -> str:
        """Say whether the object is intact; a corrupt blob answers 404 until the next push heals it."""
        return format_html('<strong class="bad">{}</strong>', "no, it is corrupt") if blob.is_corrupt else "yes"

    @admin.display(description="repositories")
    def repositories(self, blob: Blob) -> str:
        rows = deletion.without_hidden(Repository.objects.filter(links__blob=blob))
        return cells.page_links(rows.order_by("name"))
