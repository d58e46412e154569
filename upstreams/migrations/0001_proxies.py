"""Proxies."""

from django.db import migrations, models

import policies.globs
import upstreams.models


class Migration(migrations.Migration):
    initial = True

    dependencies = []

    operations = [
        migrations.CreateModel(
            name="Proxy",
            fields=[
                ("id", models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name="ID")),
                (
                    "prefix",
                    models.CharField(
                        blank=True,
                        default="",
                        help_text="The beginning of the names, as hub/; it is cut off upstream. Empty: the whole registry falls back to the upstream, under the same names, and can still be pushed to.",
                        max_length=200,
                        unique=True,
                        validators=[upstreams.models.validate_prefix],
                    ),
                ),
                (
                    "url",
                    models.CharField(
                        help_text="Of the upstream, as https://registry-1.docker.io.",
                        max_length=500,
                        verbose_name="URL",
                    ),
                ),
                (
                    "repositories",
                    policies.globs.RepositoryGlobsField(
                        blank=True,
                        default="",
                        help_text="Only these, by their names here, as hub/library/*; empty: all with the prefix. Without a prefix they must be named, * for all: whoever may pull creates tags in them.",
                        max_length=500,
                    ),
                ),
                ("username", models.CharField(blank=True, default="", help_text="Empty: anonymous.", max_length=255)),
                ("sealed_password", models.BinaryField(null=True)),
                (
                    "ca_file",
                    models.CharField(
                        blank=True,
                        default="",
                        help_text="A PEM file of authorities besides the system's.",
                        max_length=4096,
                        verbose_name="CA file",
                    ),
                ),
                (
                    "tag_ttl",
                    models.CharField(
                        default="10m",
                        help_text="How old a tag may be before the upstream is asked whether it has moved, as 10m.",
                        max_length=32,
                        validators=[upstreams.models.validate_duration],
                        verbose_name="tags are checked after",
                    ),
                ),
                (
                    "connect_timeout",
                    models.CharField(default="5s", max_length=32, validators=[upstreams.models.validate_duration]),
                ),
                (
                    "read_timeout",
                    models.CharField(
                        default="30s",
                        help_text="Of silence, not of the whole pull.",
                        max_length=32,
                        validators=[upstreams.models.validate_duration],
                    ),
                ),
                (
                    "keep_unused",
                    models.CharField(
                        blank=True,
                        default="",
                        help_text="What nobody has pulled for so long is removed, as 720h; empty: it is kept.",
                        max_length=32,
                        validators=[upstreams.models.validate_duration],
                    ),
                ),
                (
                    "allow_private_addresses",
                    models.BooleanField(
                        default=False,
                        help_text="The upstream may be in a private network or on this machine; link-local addresses never.",
                        verbose_name="private addresses allowed",
                    ),
                ),
                (
                    "enabled",
                    models.BooleanField(
                        default=True, help_text="Without it, what is here is served and nothing is fetched."
                    ),
                ),
                ("comment", models.CharField(blank=True, default="", max_length=255)),
                ("created_at", models.DateTimeField(auto_now_add=True)),
            ],
            options={
                "verbose_name_plural": "proxies",
                "ordering": ["prefix"],
            },
        ),
    ]
