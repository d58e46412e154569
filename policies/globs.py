"""Several globs in one string, separated by spaces, and the columns that have them."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import lru_cache
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import models

from acl.glob import InvalidPatternError, check_glob, compile_glob

MAX_CHARACTERS = 500

_matcher = lru_cache(maxsize=10_000)(compile_glob)


class _GlobsFormField(forms.CharField):
    def to_python(self, value: Any) -> Any:
        return super().to_python(_joined(value))


class GlobsField(models.CharField):  # type: ignore[type-arg]  # generic in the stubs only
    """Globs of names; subclasses say which characters a name has."""

    characters = ""
    what = ""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **{"max_length": MAX_CHARACTERS} | options)

    def to_python(self, value: Any) -> Any:
        """Return the globs with one space between them; a list is taken too."""
        return _joined(value)

    def formfield(self, *args: Any, **options: Any) -> Any:
        return super().formfield(*args, **{"form_class": _GlobsFormField} | options)

    def validate(self, value: Any, model_instance: Any) -> None:
        """Raise ValidationError unless every glob is valid, and some name can match it."""
        super().validate(value, model_instance)
        for glob in value.split():
            try:
                check_glob(glob)
            except InvalidPatternError as error:
                raise ValidationError(str(error)) from error
            if re.fullmatch(rf"[*?\[\]!{self.characters}]+", glob) is None:
                raise ValidationError(f"{self.what}; patterns add * ? [ ] !")

    def clean(self, value: Any, model_instance: Any) -> Any:
        return super().clean(_joined(value), model_instance)

    @staticmethod
    def in_file(value: str) -> str | list[str]:
        """Return the globs as the configuration file has them."""
        globs = value.split()
        return globs if len(globs) > 1 else value


class RepositoryGlobsField(GlobsField):
    """Globs of repositories."""

    characters = "a-z0-9._/-"
    what = "Names of repositories have lower-case letters, digits and . _ - / only"


class TagGlobsField(GlobsField):
    """Globs of tags."""

    characters = "A-Za-z0-9._-"
    what = "Tags have letters, digits and . _ - only"


def _joined(globs: Any) -> str:
    return " ".join(globs if isinstance(globs, list | tuple) else str(globs or "").split())


def matcher(globs: str, exceptions: str = "") -> Callable[[str], bool]:
    """Return a function that tells whether one of `globs` matches a name, and none of `exceptions`."""
    wanted, excepted = [_matcher(glob) for glob in globs.split()], [_matcher(glob) for glob in exceptions.split()]
    return lambda name: any(one(name) for one in wanted) and not any(one(name) for one in excepted)


def listed(globs: str, exceptions: str = "") -> str:
    """Return globs in words: `v* and release-*, except v0*`."""
    *words, last = globs.split() or ["none"]
    text = f"{', '.join(words)} and {last}" if words else last
    return f"{text}, except {listed(exceptions)}" if exceptions else text
