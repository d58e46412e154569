"""The menu of the admin: what the signed-in account may see."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.http import HttpRequest
from django.urls import reverse


@dataclass(frozen=True, slots=True)
class Entry:
    """A page of the menu; without `permission` everybody who may open the admin sees it."""

    title: str
    icon: str
    url_name: str
    permission: str = ""
    also: tuple[str, ...] = ()
    """Lists that are reached from the page, and have no entry of their own."""


MENU = (
    ("Overview", (Entry("Overview", "dashboard", "admin:index"),)),
    (
        "Repositories",
        (
            Entry(
                "Repositories",
                "inventory_2",
                "admin:distribution_repository_changelist",
                "distribution.view_repository",
            ),
            Entry("Tags", "sell", "admin:distribution_tag_changelist", "distribution.view_tag"),
            Entry("Manifests", "description", "admin:distribution_manifest_changelist", "distribution.view_manifest"),
            Entry("Blobs", "deployed_code", "admin:distribution_blob_changelist", "distribution.view_blob"),
            Entry("Uploads", "upload", "admin:distribution_upload_changelist", "distribution.view_upload"),
        ),
    ),
    (
        "Access",
        (
            Entry("Accounts", "person", "admin:accounts_account_changelist", "accounts.view_account"),
            Entry("Groups", "group", "admin:auth_group_changelist", "auth.view_group"),
            Entry("Access rules", "rule", "admin:acl_rule_changelist", "acl.view_rule"),
            Entry("Explain", "help", "admin:acl_rule_explain", "acl.view_rule"),
            Entry("Access tokens", "vpn_key", "admin:tokens_accesstoken_changelist", "tokens.view_accesstoken"),
            Entry("Trusted issuers", "badge", "admin:tokens_accesstoken_issuers", "tokens.view_accesstoken"),
            Entry("Docker logins", "key", "admin:tokens_refreshtoken_changelist", "tokens.view_refreshtoken"),
        ),
    ),
    (
        "Policies",
        (
            Entry(
                "Immutable tags",
                "lock",
                "admin:policies_immutabletags_changelist",
                "policies.view_immutabletags",
            ),
            Entry("Quotas", "data_usage", "admin:policies_quota_changelist", "policies.view_quota"),
            Entry("Proxies", "cloud_download", "admin:upstreams_proxy_changelist", "upstreams.view_proxy"),
            Entry("Read-only mode", "edit_off", "admin:policies_readonly_changelist", "policies.view_readonly"),
        ),
    ),
    (
        "Storage",
        (
            Entry(
                "Collection runs",
                "recycling",
                "admin:gc_run_changelist",
                "gc.view_run",
                ("admin:gc_runfinding_changelist",),
            ),
            Entry("Scrub", "verified", "admin:gc_scrub_changelist", "gc.view_scrub"),
        ),
    ),
    (
        "System",
        (
            Entry(
                "Webhooks",
                "webhook",
                "admin:webhooks_webhook_changelist",
                "webhooks.view_webhook",
                ("admin:webhooks_delivery_changelist",),
            ),
            Entry("Audit", "history", "admin:audit_event_changelist", "audit.view_event"),
            Entry("My password", "password", "admin:password_change"),
            Entry("My second factor", "phonelink_lock", "admin:second_factor"),
        ),
    ),
)


def navigation(request: HttpRequest) -> list[dict[str, Any]]:
    """Return the sections with at least one page that the account may see, as unfold wants them."""
    current = _longest(request.path)
    sections: list[dict[str, Any]] = []
    for title, entries in MENU:
        shown = [entry for entry in entries if not entry.permission or request.user.has_perm(entry.permission)]
        if shown:
            sections.append(
                {"title": title, "separator": bool(sections), "items": [_item(entry, current) for entry in shown]}
            )
    return sections


def _item(entry: Entry, current: str) -> dict[str, Any]:
    link, *also = (reverse(url_name) for url_name in (entry.url_name, *entry.also))
    return {"title": entry.title, "icon": entry.icon, "link": link, "active": current in (link, *also)}


def _longest(path: str) -> str:
    """Return the URL of the menu that `path` is below: Explain is below the list of rules, and all below the index."""
    urls = [reverse(url_name) for _, entries in MENU for entry in entries for url_name in (entry.url_name, *entry.also)]
    return max((url for url in urls if path.startswith(url)), key=len, default="")
