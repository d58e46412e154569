"""The section `admin`."""

from configuration.converters import boolean, list_of
from configuration.element import Element, Refused
from configuration.section import Key, Section, Values
from configuration.sections.server import address, network, public_url
from configuration.values import Admin, Network

_read_networks = list_of(network, 'a list of IP addresses and networks, as ["10.0.0.0/8"]')


def _networks(element: Element) -> tuple[Network, ...]:
    networks = _read_networks(element)
    if not networks:
        # Nobody, to who wrote it; and a list that is made by a program may come out empty.
        raise Refused("at least one network; leave the key out for everybody, or set admin.enabled: false", "none")
    return networks


def _check(values: Values, element: Element) -> None:
    if "public_url" in values and "addr" not in values:
        expected = "no such key: without admin.addr the admin is at server.public_url"
        element.members()["public_url"].report(expected)


def _build(values: Values, _element: Element) -> Admin:
    fields = {"is_enabled" if name == "enabled" else name: value for name, value in values.items()}
    if "addr" in fields:
        fields["host"], fields["port"] = fields.pop("addr")
    return Admin(**fields)


ADMIN = Section(
    {
        "enabled": Key(boolean),
        "addr": Key(address),
        "public_url": Key(public_url),
        "allowed_networks": Key(_networks),
        "require_second_factor": Key(boolean),
    },
    _build,
    _check,
)
