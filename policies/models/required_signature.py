"""Required signatures."""

from __future__ import annotations

import logging
from functools import cached_property
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db import models

from configuration.policies.trusted_keys import InvalidKeysError, TrustedKeys, normalized, parse_keys
from core.sizes import counted
from policies.models.policy import Policy

logger = logging.getLogger(__name__)


class _KeysFormField(forms.CharField):
    def to_python(self, value: Any) -> Any:
        return normalized(super().to_python(value) or "")


class KeysField(models.TextField):  # type: ignore[type-arg]  # generic in the stubs only
    """Public keys and certificates, in PEM."""

    def formfield(self, *args: Any, **options: Any) -> Any:
        return super().formfield(*args, **{"form_class": _KeysFormField} | options)

    def validate(self, value: Any, model_instance: Any) -> None:
        """Raise ValidationError for what is no key to trust."""
        super().validate(value, model_instance)
        try:
            parse_keys(value)
        except InvalidKeysError as error:
            raise ValidationError(f"The PEM has no usable keys: {error}.") from error

    def clean(self, value: Any, model_instance: Any) -> Any:
        return super().clean(normalized(str(value or "")), model_instance)


class Mode(models.TextChoices):
    """What happens to an image without a signature."""

    ENFORCE = "enforce", "refuse images without a signature"
    WARN = "warn", "only warn"


class RequiredSignature(Policy):
    """Images that are pulled with a signature by a trusted key only."""

    kind = "signatures"
    entered = ("repositories", "except_repositories", "keys", "mode", "comment")
    kept_invalid = ("keys",)

    keys = KeysField(
        help_text="PEM of public keys, as cosign.pub, and of certificates, for notation; one signature by one of "
        "them is enough.",
    )
    mode = models.CharField(max_length=16, choices=Mode.choices, default=Mode.ENFORCE)

    class Meta(Policy.Meta):
        verbose_name = "signature policy"
        verbose_name_plural = "required signatures"

    def sentence(self) -> str:
        try:
            # Not `trusted`: a form or an import may have changed the row since.
            keys = parse_keys(self.keys)
        except InvalidKeysError:
            signers = "a key that can't be read"
        else:
            both = ((len(keys.public_keys), "public key"), (len(keys.certificates), "certificate"))
            signers = f"a trusted key, of {' and '.join(counted(number, what) for number, what in both if number)}"
        signed = f"images of {self.scope} need a signature by {signers}"
        return signed if self.mode == Mode.ENFORCE else f"{signed}; without one, pulls only get a warning"

    @property
    def is_enforced(self) -> bool:
        return self.mode == Mode.ENFORCE

    @cached_property
    def description(self) -> str:
        """The sentence of a row that does not change: it takes longest to read the keys."""
        return self.sentence()

    @cached_property
    def trusted(self) -> TrustedKeys:
        """The keys; none when they can't be read, so that nothing counts as signed."""
        try:
            return parse_keys(self.keys)
        except InvalidKeysError:
            logger.exception("the keys of the signature policy %s can't be read", self.pk)
            return TrustedKeys((), (), "")
