"""What every kind of policy has."""

from __future__ import annotations

from collections.abc import Callable
from functools import cached_property
from typing import ClassVar

from django.db import models

from policies.globs import RepositoryGlobsField, listed, matcher


class Policy(models.Model):
    """What holds for the repositories that a glob matches; repositories that do not exist yet included.

    A subclass adds its columns, `clean`, its sentence, and methods that answer questions about one repository: the
    compiled form is the row itself, which `policies.compiled` keeps per process. What it derives from its columns is a
    `cached_property`.
    """

    kind: ClassVar[str]
    """The key of its list in the file, and its name in the API."""

    entered: ClassVar[tuple[str, ...]]
    """The columns of a form, in this order; they are the keys of the file and of the API too."""

    kept_invalid: ClassVar[tuple[str, ...]] = ()
    """The columns whose faults leave a row in force, since without it more would be allowed."""

    repositories = RepositoryGlobsField(
        help_text="Names or globs, separated by spaces: * matches any run of characters, / included; ? one; [abc] one "
        "of these.",
    )
    except_repositories = RepositoryGlobsField(
        "except repositories", blank=True, default="", help_text="Globs of repositories that it does not hold for."
    )
    comment = models.CharField(max_length=255, blank=True, default="")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        abstract = True
        ordering: ClassVar[list[str]] = ["repositories", "pk"]

    def __str__(self) -> str:
        return self.sentence()

    def sentence(self) -> str:
        """Return the policy as a sentence, of an invalid row too."""
        raise NotImplementedError

    @cached_property
    def holds_for(self) -> Callable[[str], bool]:
        """Tell whether it holds for a repository. Raises InvalidPatternError."""
        return matcher(self.repositories, self.except_repositories)

    @property
    def scope(self) -> str:
        """The repositories in words."""
        return listed(self.repositories, self.except_repositories)
