"""Proxies in the admin: a form that never shows the password, nor sends it to another host."""

from django.urls import reverse

from tests.admin.browser import Browser
from upstreams.models import Proxy

ADD, LIST = "admin:upstreams_proxy_add", "admin:upstreams_proxy_changelist"
PASSWORD = "a token of Docker Hub"
FORM = {
    "prefix": "hub/",
    "url": "https://registry-1.docker.io",
    "repositories": "hub/library/*",
    "username": "someone",
    "tag_ttl": "10m",
    "connect_timeout": "5s",
    "read_timeout": "30s",
    "enabled": "on",
}


def test_it_is_made_listed_and_changed_without_its_password(admin: Browser) -> None:
    made = admin.post(reverse(ADD), FORM | {"password": PASSWORD})

    assert made.status_code == 302, made.content
    proxy = Proxy.objects.get()
    assert (proxy.prefix, proxy.upstream().password) == ("hub/", PASSWORD)
    change = reverse("admin:upstreams_proxy_change", args=[proxy.pk])
    pages = [admin.client.get(path).content.decode() for path in (reverse(LIST), change)]
    assert all("registry-1.docker.io" in page and PASSWORD not in page for page in pages)
    assert admin.post(change, FORM | {"tag_ttl": "1h", "password": ""}).status_code == 302
    proxy.refresh_from_db()
    assert (proxy.tag_ttl, proxy.upstream().password) == ("1h", PASSWORD)


def test_another_url_needs_the_password_again(admin: Browser) -> None:
    admin.post(reverse(ADD), FORM | {"password": PASSWORD})
    change = reverse("admin:upstreams_proxy_change", args=[Proxy.objects.get().pk])

    page = admin.post(change, FORM | {"url": "https://evil.example.org"}).content.decode()

    assert "The URL has changed: give the password again." in page
    assert Proxy.objects.get().url == FORM["url"]


def test_without_a_username_the_password_goes(admin: Browser) -> None:
    admin.post(reverse(ADD), FORM | {"password": PASSWORD})
    change = reverse("admin:upstreams_proxy_change", args=[Proxy.objects.get().pk])

    assert admin.post(change, FORM | {"username": "", "password": ""}).status_code == 302
    assert Proxy.objects.get().sealed_password is None
