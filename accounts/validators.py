"""Password rules for forms; hashes from the configuration file are not asked."""

from django.core.exceptions import ValidationError

from accounts import hashers


class BcryptPasswordValidator:
    """Refuse a password that bcrypt would cut off or can't take."""

    def validate(self, password: str, user: object = None) -> None:
        """Raise ValidationError when bcrypt can't hash the whole of `password`."""
        try:
            hashers.password_bytes(password)
        except hashers.UnusablePasswordError as error:
            raise ValidationError(str(error), code="password_unusable") from error

    def get_help_text(self) -> str:
        """Say the rule."""
        return f"At most {hashers.MAX_PASSWORD_BYTES} bytes."
