"""Immutable tags and protected repositories."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property

from django.core.exceptions import ValidationError
from django.db import models

from policies.globs import TagGlobsField, listed, matcher
from policies.models.policy import Policy


class ImmutableTags(Policy):
    """Tags that nobody moves or deletes once they are set, and repositories in which nothing is deleted."""

    kind = "immutable_tags"
    entered = ("repositories", "except_repositories", "tags", "except_tags", "protected", "comment")

    tags = TagGlobsField(
        blank=True, default="", help_text="Globs of tags that never move once they are set, as v* or *."
    )
    except_tags = TagGlobsField(
        "except tags", blank=True, default="", help_text="Globs of tags that may move all the same, as *-rc*."
    )
    protected = models.BooleanField(
        default=False, help_text="Nothing is deleted in these repositories: no tag and no manifest."
    )

    class Meta(Policy.Meta):
        verbose_name = "immutability policy"
        verbose_name_plural = "immutable tags"

    def clean(self) -> None:
        """Raise ValidationError for a policy that says nothing, or exceptions to nothing."""
        if not self.tags and not self.protected:
            raise ValidationError({"tags": "Name tags, or protect the repositories."})
        if self.except_tags and not self.tags:
            raise ValidationError({"except_tags": "There are no tags to except from."})

    def sentence(self) -> str:
        tags = f"the tags {listed(self.tags, self.except_tags)} of {self.scope} never move"
        if not self.protected:
            return tags
        kept = f"nothing is deleted in {self.scope}"
        return f"{tags}, and nothing is deleted there" if self.tags else kept

    @cached_property
    def covers(self) -> Callable[[str], bool]:
        """Tell whether a tag never moves once it is set."""
        return matcher(self.tags, self.except_tags)
