"""The URLs and addresses that nothing is sent to."""

from ipaddress import ip_address

import pytest

from core.outgoing.addresses import RefusedAddressError, check_url, refusal_of

PRIVATE = [
    *("127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "100.64.0.1", "::1", "fd00::1"),
    *("::ffff:127.0.0.1", "::ffff:10.0.0.1", "64:ff9b::a00:1", "2002:a00:1::"),
    *("::10.0.0.1", "::127.0.0.1", "::ffff:0:10.0.0.1"),
]
NEVER = ["169.254.169.254", "fe80::1", "0.0.0.0", "::", "224.0.0.1", "::ffff:169.254.169.254", "64:ff9b::a9fe:a9fe"]
NEVER += ["169.254.170.2", "::169.254.169.254", "64:ff9b:1::808:808", "64:ff9b:1:a00::1", "fec0::1", "feff::1"]
NEVER += [
    "fd00:ec2::254",
    "100.100.100.200",
    "192.0.0.192",
    "::ffff:100.100.100.200",
    "::192.0.0.192",
    "::ffff:0:169.254.169.254",
]


@pytest.mark.parametrize("address", PRIVATE)
def test_a_private_address_is_refused_unless_allowed(address: str) -> None:
    assert refusal_of(ip_address(address), allow_private=False)
    assert not refusal_of(ip_address(address), allow_private=True)


@pytest.mark.parametrize("address", NEVER)
def test_link_local_and_the_like_are_never_allowed(address: str) -> None:
    assert refusal_of(ip_address(address), allow_private=True)


@pytest.mark.parametrize("address", ["8.8.8.8", "2606:4700::1", "::ffff:8.8.8.8", "64:ff9b::808:808"])
def test_a_public_address_is_allowed(address: str) -> None:
    assert not refusal_of(ip_address(address), allow_private=False)


@pytest.mark.parametrize(
    "url",
    [
        *(
            "ftp://a.example/",
            "https://user:secret@a.example/",
            "https://a.example/#part",
            "https:///path",
            "a.example",
        ),
        *("https://a.example/ x", "https://a.example/\r\nX: 1", "https://a.example:0/", "https://a_ü.example/"),
        *("https://a.example:99999/", "https://127.0.0.1/", "https://[::1]/", "http://a.example/"),
    ],
)
def test_such_a_url_is_refused(url: str) -> None:
    with pytest.raises(RefusedAddressError):
        check_url(url, allow_http=False, allow_private=False)


def test_a_url_has_a_path_and_a_host_header() -> None:
    target = check_url("https://ci.example.org:8443/hooks?x=1", allow_http=False, allow_private=False)

    assert (target.path, target.host_header) == ("/hooks?x=1", "ci.example.org:8443")
