"""Register the app."""

from django.apps import AppConfig


class DistributionConfig(AppConfig):
    """The V2 API, and the rows and bytes behind it."""

    name = "distribution"
    verbose_name = "Repositories"
    default_auto_field = "django.db.models.BigAutoField"

    def ready(self) -> None:
        """Set the failpoints of a test. Raises FailpointError."""
        from core.failpoints import arm_from_environment

        arm_from_environment()
