"""Proxies: names of this registry whose content comes from another one."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import timedelta
from functools import cached_property
from typing import ClassVar
from urllib.parse import urlsplit

from django.core.exceptions import ValidationError
from django.db import models

from acl.names import InvalidNameError, parse_name
from core.durations import InvalidDurationError, parse_duration
from core.outgoing import addresses
from policies.globs import RepositoryGlobsField, matcher
from upstreams import sealing
from upstreams.client import Upstream, is_docker_hub
from upstreams.exchange import Reach

MAX_TIMEOUT = timedelta(minutes=5)
MIN_UNUSED = timedelta(hours=1)
MAX_PASSWORD_CHARACTERS = 4096
_DOCKER_HUB = "https://registry-1.docker.io"


def validate_prefix(prefix: str) -> None:
    """Raise ValidationError unless `prefix` is "" or the beginning of a repository's name with a slash."""
    if not prefix:
        return
    try:
        parse_name(prefix.removesuffix("/"))
    except InvalidNameError as error:
        raise ValidationError(f"{error}; a prefix is as hub/") from error
    if not prefix.endswith("/"):
        raise ValidationError('A prefix ends with a slash, as "hub/".')


def validate_duration(text: str) -> None:
    try:
        parse_duration(text)
    except InvalidDurationError as error:
        raise ValidationError(f"{error}") from error


class Proxy(models.Model):
    """Repositories whose missing content is fetched from another registry, and kept."""

    prefix = models.CharField(
        max_length=200,
        unique=True,
        blank=True,
        default="",
        validators=[validate_prefix],
        help_text="The beginning of the names, as hub/; it is cut off upstream. Empty: the whole registry falls back "
        "to the upstream, under the same names, and can still be pushed to.",
    )
    url = models.CharField("URL", max_length=500, help_text="Of the upstream, as https://registry-1.docker.io.")
    repositories = RepositoryGlobsField(
        blank=True,
        default="",
        help_text="Only these, by their names here, as hub/library/*; empty: all with "
        "the prefix. Without a prefix they must be named, * for all: whoever may pull creates tags in them.",
    )
    username = models.CharField(max_length=255, blank=True, default="", help_text="Empty: anonymous.")
    sealed_password = models.BinaryField(null=True)
    ca_file = models.CharField(
        "CA file",
        max_length=4096,
        blank=True,
        default="",
        help_text="A PEM file of authorities besides the system's.",
    )
    tag_ttl = models.CharField(
        "tags are checked after",
        max_length=32,
        default="10m",
        validators=[validate_duration],
        help_text="How old a tag may be before the upstream is asked whether it has moved, as 10m.",
    )
    connect_timeout = models.CharField(max_length=32, default="5s", validators=[validate_duration])
    read_timeout = models.CharField(
        max_length=32, default="30s", validators=[validate_duration], help_text="Of silence, not of the whole pull."
    )
    keep_unused = models.CharField(
        max_length=32,
        blank=True,
        default="",
        validators=[validate_duration],
        help_text="What nobody has pulled for so long is removed, as 720h; empty: it is kept.",
    )
    allow_private_addresses = models.BooleanField(
        "private addresses allowed",
        default=False,
        help_text="The upstream may be in a private network or on this machine; link-local addresses never.",
    )
    enabled = models.BooleanField(default=True, help_text="Without it, what is here is served and nothing is fetched.")
    comment = models.CharField(max_length=255, blank=True, default="")
    created_at = models.DateTimeField(auto_now_add=True)

    entered: ClassVar[tuple[str, ...]] = (
        *("prefix", "url", "repositories", "username", "ca_file", "tag_ttl", "connect_timeout"),
        *("read_timeout", "keep_unused", "allow_private_addresses", "enabled", "comment"),
    )
    """The columns of a form, in this order; they are the keys of the file and of the API too."""

    class Meta:
        ordering: ClassVar[list[str]] = ["prefix"]
        verbose_name_plural = "proxies"

    def __str__(self) -> str:
        return f"{self.prefix or 'the whole registry'} from {self.url}"

    def clean(self) -> None:
        """Raise ValidationError for what can't be asked, and for values that contradict each other."""
        self.url = self.url.rstrip("/")
        try:
            addresses.check_url(self.url, allow_http=True, allow_private=self.allow_private_addresses)
        except addresses.RefusedAddressError as error:
            raise ValidationError({"url": str(error)}) from error
        if urlsplit(self.url).path or urlsplit(self.url).query:
            raise ValidationError({"url": "The URL of a registry has no path: names follow /v2/."})
        for name, least, most in (
            ("connect_timeout", timedelta(milliseconds=100), MAX_TIMEOUT),
            ("read_timeout", timedelta(milliseconds=100), MAX_TIMEOUT),
            ("keep_unused", MIN_UNUSED, timedelta.max),
        ):
            if getattr(self, name) and not least <= parse_duration(getattr(self, name)) <= most:
                said = f"at least {least}" if most == timedelta.max else f"from {least} to {most}"
                raise ValidationError({name: f"A duration of {said} (hours:minutes:seconds)."})
        if self.sealed_password and not self.username:
            raise ValidationError({"username": "A password belongs to a username."})
        if self.is_fallback and not self.repositories.strip():
            said = "Without a prefix, name the repositories, * for all: whoever may pull creates tags in them."
            raise ValidationError({"repositories": said})
        if any(not glob.startswith(self.prefix) and glob[:1] not in "*?[" for glob in self.repositories.split()):
            raise ValidationError({"repositories": f"Names here begin with {self.prefix}."})

    def set_password(self, password: str) -> None:
        """Store the password, encrypted; "" removes it."""
        self.sealed_password = sealing.seal(password) if password else None

    @property
    def is_fallback(self) -> bool:
        """Whether it is for the whole registry, which can still be pushed to."""
        return not self.prefix

    @cached_property
    def holds_for(self) -> Callable[[str], bool]:
        """Tell whether it is for a repository, by its name here."""
        chosen = matcher(self.repositories or "*")
        return lambda name: name.startswith(self.prefix) and len(name) > len(self.prefix) and chosen(name)

    def upstream_name(self, name: str) -> str:
        """Return the name of a repository upstream; Docker Hub has those of one part below library/."""
        name = name.removeprefix(self.prefix)
        return f"library/{name}" if "/" not in name and is_docker_hub(self.url) else name

    @cached_property
    def tag_seconds(self) -> float:
        return parse_duration(self.tag_ttl).total_seconds()

    def upstream(self) -> Upstream:
        """Return the client. Raises UnreadablePasswordError."""
        reach = Reach(
            self.ca_file,
            parse_duration(self.connect_timeout).total_seconds(),
            parse_duration(self.read_timeout).total_seconds(),
            self.allow_private_addresses,
        )
        url = _DOCKER_HUB if is_docker_hub(self.url) else self.url
        password = sealing.unseal(bytes(self.sealed_password)) if self.sealed_password else ""
        return Upstream(url, self.username, password, reach)


def namespace_of(url: str) -> str:
    """Return what containerd calls a registry in `?ns=`."""
    return "docker.io" if is_docker_hub(url) else re.sub(r"^https?://", "", url)
