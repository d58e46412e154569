"""Retention."""

from __future__ import annotations

from functools import cached_property
from typing import Any

from django.core.exceptions import ValidationError
from django.core.validators import MaxValueValidator, MinValueValidator
from django.db import models

from core.durations import format_duration
from core.sizes import counted
from policies.durations import DurationField
from policies.globs import TagGlobsField, listed, matcher
from policies.models.policy import Policy
from policies.retention.decision import Keep

MAX_KEPT = 10**6
"""As in the configuration file."""


def _number(name: str, help_text: str) -> Any:
    limits = [MinValueValidator(1), MaxValueValidator(MAX_KEPT)]
    return models.IntegerField(name, null=True, blank=True, default=None, validators=limits, help_text=help_text)


class Retention(Policy):
    """Which tags stay: what no rule of a policy keeps is removed by the next collection."""

    kind = "retention"
    entered = (
        *("repositories", "except_repositories", "tags", "except_tags"),
        *("keep_last", "keep_pushed_within", "keep_pulled_within", "keep_tags", "keep_minors", "keep_patches"),
        *("remove_untagged", "remove_signatures", "comment"),
    )

    tags = TagGlobsField(
        blank=True, default="", help_text="Globs of the tags that it is about, as pr-*; empty: all of them."
    )
    except_tags = TagGlobsField("except tags", blank=True, default="", help_text="Globs of tags that it is not about.")
    keep_last = _number("keep the last", "Keep as many tags as were pushed last, as 10.")
    keep_pushed_within = DurationField(
        null=True, blank=True, default=None, help_text="Keep tags that were pushed within this time, as 720h: 30 days."
    )
    keep_pulled_within = DurationField(
        null=True, blank=True, default=None, help_text="Keep tags that were pulled within this time, as 2160h: 90 days."
    )
    keep_tags = TagGlobsField(blank=True, default="", help_text="Globs of tags to keep, as latest or v*.")
    keep_minors = _number("keep the newest minors", "Keep the semantic versions of as many minor versions, as 3.")
    keep_patches = _number("patches of each", "Of each of these, keep as many patches; empty: all.")
    remove_untagged = models.BooleanField(
        default=False, help_text="Also remove manifests that no tag, index or subject holds, after the grace period."
    )
    remove_signatures = models.BooleanField(
        default=False, help_text="Also remove signatures, and other referrers, of images that are gone."
    )

    class Meta(Policy.Meta):
        verbose_name = "retention policy"
        verbose_name_plural = "retention"

    def clean(self) -> None:
        """Raise ValidationError for a policy that keeps and removes nothing, or has limits to no rule."""
        if not self.has_rules and not (self.remove_untagged or self.remove_signatures):
            raise ValidationError({"keep_last": "Say what to keep, or what else to remove."})
        if not self.has_rules and (self.tags or self.except_tags):
            raise ValidationError({"tags": "Say which of these tags to keep."})
        if self.keep_patches is not None and self.keep_minors is None:
            raise ValidationError({"keep_patches": "Say of how many minor versions."})

    @property
    def has_rules(self) -> bool:
        """Whether it is about tags: it has a rule that keeps some."""
        rules = (self.keep_last, self.keep_pushed_within, self.keep_pulled_within, self.keep_minors)
        return bool(self.keep_tags) or any(rule is not None for rule in rules)

    def sentence(self) -> str:
        also = ["untagged manifests"] if self.remove_untagged else []
        also += ["signatures of images that are gone"] if self.remove_signatures else []
        removed = " and ".join(also)
        if not self.has_rules:
            return f"{removed or 'no tags'} of {self.scope} go"
        named = f" {listed(self.tags or '*', self.except_tags)}" if self.tags or self.except_tags else ""
        *kept, last = self._kept()
        stay = f"{', '.join(kept)} and {last}" if kept else last
        return f"of the tags{named} of {self.scope} stay {stay}; all others go" + (
            f", and {removed}" if removed else ""
        )

    def _kept(self) -> list[str]:
        """Return what each rule keeps, in words."""
        words = [f"the last {self.keep_last} pushed"] if self.keep_last is not None else []
        if self.keep_pushed_within is not None:
            words.append(f"those pushed within {format_duration(self.keep_pushed_within)}")
        if self.keep_pulled_within is not None:
            words.append(f"those pulled within {format_duration(self.keep_pulled_within)}")
        if self.keep_tags:
            words.append(f"those named {listed(self.keep_tags)}")
        if self.keep_minors is not None:
            each = counted(self.keep_patches, "patch", "patches") if self.keep_patches is not None else "all patches"
            words.append(f"{each} of the newest {counted(self.keep_minors, 'minor version')}")
        return words

    @cached_property
    def keep(self) -> Keep:
        """The rules as a decision takes them. Raises InvalidPatternError."""
        return Keep(
            matcher(self.tags or "*", self.except_tags) if self.has_rules else matcher(""),
            matcher(self.keep_tags),
            last_pushed=self.keep_last,
            pushed_within=self.keep_pushed_within,
            pulled_within=self.keep_pulled_within,
            minors=self.keep_minors,
            patches=self.keep_patches,
            removes_signatures=self.remove_signatures,
            number=self.pk or 0,
        )
