"""Rename a column of refresh tokens, in place."""

from django.db import migrations


class Migration(migrations.Migration):
    """What the column says, in its name."""

    dependencies = [("tokens", "0001_initial")]

    operations = [migrations.RenameField("refreshtoken", "password_mark", "credential_hash")]
