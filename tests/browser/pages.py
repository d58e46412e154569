"""Every page that is tried for accessibility and taken a picture of."""

from typing import NamedTuple

from tests.browser.demo import sbom
from tests.images import digest_of


class Page(NamedTuple):
    """A page of the demo; `account` is who looks at it, empty: nobody is signed in.

    With `link` the page is behind the link of that name on the page of `path`.
    """

    name: str
    path: str
    account: str
    link: str = ""


# Pages of errors, whose status the browser's console reports.
ERRORS = (
    Page("not-found", "/repositories/alice/nowhere", "alice"),
    Page("not-found-anonymous", "/nowhere", ""),
    Page("not-allowed", "/repositories/alice/app/~/delete", "bob"),
    Page("admin-not-found", "/admin/nowhere/", "admin"),
)
PAGES = (
    Page("login", "/login", ""),
    Page("repositories-anonymous", "/", ""),
    Page("code", "/login/code", "developer"),
    Page("repositories", "/", "alice"),
    Page("search", "/?q=app", "alice"),
    Page("folders", "/?prefix=alice/", "alice"),
    Page("repository", "/repositories/alice/app", "alice"),
    Page("tag-history", "/repositories/alice/app/-/latest/history", "alice"),
    Page("deleted-tags", "/repositories/alice/app/~/deleted", "alice"),
    Page("tag-deletion", "/repositories/alice/app/-/v1.4/delete", "alice"),
    Page("manifest-deletion", "/repositories/alice/app/-/v1.4", "alice", "Delete the manifest"),
    Page("repository-deletion", "/repositories/alice/app/~/delete", "alice"),
    Page("repository-immutable", "/repositories/alice/tools/lint", "alice"),
    Page("deletion-refused", "/repositories/alice/tools/lint/-/latest/delete", "alice"),
    Page("deletion-override", "/repositories/alice/tools/lint/-/latest/delete", "admin"),
    Page("description", "/repositories/alice/app/~/description", "alice"),
    Page("image", "/repositories/alice/app/-/v1.4", "alice"),
    Page("image-platforms", "/repositories/alice/app/-/v2.0", "alice"),
    Page("comparison", "/repositories/alice/app/-/v1.3/compare?with=v1.4", "alice"),
    Page("sbom", f"/repositories/alice/app/-/v2.0-sbom/contents/{digest_of(sbom())}", "alice"),
    Page("artifact", "/repositories/alice/app/-/v2.0-sbom", "alice"),
    Page("statement", "/repositories/alice/app/-/v2.0", "alice", "Read in-toto statement"),
    Page("chart", "/repositories/alice/charts/app/-/1.2.0", "alice"),
    Page("account", "/account", "bob"),
    Page("tokens", "/account/tokens", "bob"),
    Page("robots", "/account/robots", "bob"),
    Page("admin-not-staff", "/admin/", "bob"),
    Page("admin-login", "/admin/login/", ""),
    Page("admin-overview", "/admin/", "admin"),
    Page("admin-repositories", "/admin/distribution/repository/", "admin"),
    Page("admin-repository", "/admin/distribution/repository/", "admin", "alice/app"),
    Page("admin-tags", "/admin/distribution/tag/", "admin"),
    Page("admin-tag", "/admin/distribution/tag/", "admin", "v1.4"),
    Page("admin-manifests", "/admin/distribution/manifest/", "admin"),
    Page("admin-blobs", "/admin/distribution/blob/", "admin"),
    Page("admin-uploads", "/admin/distribution/upload/", "admin"),
    Page("admin-accounts", "/admin/accounts/account/", "admin"),
    Page("admin-account", "/admin/accounts/account/", "admin", "bob"),
    Page("admin-account-new", "/admin/accounts/account/add/", "admin"),
    Page("admin-groups", "/admin/auth/group/", "admin"),
    Page("admin-group", "/admin/auth/group/", "admin", "developers"),
    Page("admin-rules", "/admin/acl/rule/", "admin"),
    Page("admin-rule", "/admin/acl/rule/", "admin", "bob may pull alice/*"),
    Page("admin-rule-new", "/admin/acl/rule/add/", "admin"),
    Page("admin-issuers", "/admin/tokens/accesstoken/issuers/", "admin"),
    Page("admin-explain", "/admin/acl/rule/explain/?account=bob&action=push&repository=alice/app", "admin"),
    Page("admin-access-tokens", "/admin/tokens/accesstoken/", "admin"),
    Page("admin-docker-logins", "/admin/tokens/refreshtoken/", "admin"),
    Page("admin-immutable-tags", "/admin/policies/immutabletags/", "admin"),
    Page("admin-immutable-tags-new", "/admin/policies/immutabletags/add/", "admin"),
    Page("admin-quotas", "/admin/policies/quota/", "admin"),
    Page("admin-quota", "/admin/policies/quota/1/change/", "admin"),
    Page("admin-retention-new", "/admin/policies/retention/add/", "admin"),
    Page("admin-signatures", "/admin/policies/requiredsignature/", "admin"),
    Page("admin-signature", "/admin/policies/requiredsignature/1/change/", "admin"),
    Page("admin-read-only", "/admin/policies/readonly/", "admin"),
    Page("admin-read-only-new", "/admin/policies/readonly/add/", "admin"),
    Page("admin-proxies", "/admin/upstreams/proxy/", "admin"),
    Page("admin-proxy-new", "/admin/upstreams/proxy/add/", "admin"),
    Page("admin-webhooks", "/admin/webhooks/webhook/", "admin"),
    Page("admin-webhook-new", "/admin/webhooks/webhook/add/", "admin"),
    Page("admin-deliveries", "/admin/webhooks/delivery/", "admin"),
    Page("admin-runs", "/admin/gc/run/", "admin"),
    Page("admin-run-new", "/admin/gc/run/add/", "admin"),
    Page("admin-run", "/admin/gc/run/1/change/", "admin"),
    Page("admin-plan", "/admin/gc/runfinding/?run__id__exact=1", "admin"),
    Page("admin-plan-application", "/admin/gc/run/1/apply/", "admin"),
    Page("admin-scrub", "/admin/gc/scrub/", "admin"),
    Page("admin-audit", "/admin/audit/event/", "admin"),
    Page("admin-second-factor", "/admin/second-factor/", "admin"),
    Page("admin-password", "/admin/password_change/", "admin"),
)
