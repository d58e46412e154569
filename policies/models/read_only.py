"""Read-only mode."""

from django.db import models

from policies.models.policy import Policy


class ReadOnly(Policy):
    """Repositories to which nothing is pushed and in which nothing is deleted, for as long as the policy exists."""

    kind = "read_only"
    entered = ("repositories", "except_repositories", "message", "comment")

    message = models.CharField(max_length=255, blank=True, default="", help_text="What clients print, as until when.")

    class Meta(Policy.Meta):
        verbose_name = "read-only mode"
        verbose_name_plural = "read-only modes"

    def sentence(self) -> str:
        return f"{self.scope} is read-only" + (f": {self.message}" if self.message else "")
