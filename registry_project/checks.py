"""System checks: a configuration that is valid and still does not do what its author expects."""

from typing import Any

from django.conf import settings
from django.core.checks import CheckMessage, Warning, register  # noqa: A004 - Django's name for it

# Wider than any private range (10.0.0.0/8, fc00::/7): what is left are clients.
_WIDEST = {4: 8, 6: 7}


@register
def check_proxies(**_kwargs: Any) -> list[CheckMessage]:
    """Warn about proxies that anybody may pretend to be, and cookies that TLS does not protect."""
    server = settings.REGISTRY.server
    wide = [str(network) for network in server.trusted_proxies if network.prefixlen < _WIDEST[network.version]]
    messages: list[CheckMessage] = []
    if wide:
        messages.append(
            Warning(
                f"server.trusted_proxies lists {', '.join(wide)}: any client may then claim any address.",
                hint="List the address of the reverse proxy, or the network that only proxies are in.",
                id="registry.W001",
            )
        )
    if server.trusted_proxies and not server.public_url:
        messages.append(
            Warning(
                "server.trusted_proxies is set and server.public_url is not: "
                "the admin's cookies are sent without TLS too.",
                hint="Set server.public_url to the address that users type, as https://registry.example.com.",
                id="registry.W002",
            )
        )
    return messages
