"""Every page that is tried for accessibility and taken a picture of."""

from typing import NamedTuple

from tests.browser.demo import sbom
from tests.images import digest_of


class Page(NamedTuple):
    """A page of the demo; `account` is who looks at it, empty: nobody is signed in."""

    name: str
    path: str
    account: str


PAGES = (
    Page("login", "/login", ""),
    Page("repositories-anonymous", "/", ""),
    Page("repositories", "/", "alice"),
    Page("repository", "/repositories/alice/app", "alice"),
    Page("folders", "/?prefix=alice/", "alice"),
    Page("tag-history", "/repositories/alice/app/-/v1.4/history", "alice"),
    Page("deleted-tags", "/repositories/alice/app/~/deleted", "alice"),
    Page("tag-deletion", "/repositories/alice/app/-/v1.4/delete", "alice"),
    Page("repository-deletion", "/repositories/alice/app/~/delete", "alice"),
    Page("description", "/repositories/alice/app/~/description", "alice"),
    Page("image", "/repositories/alice/app/-/v1.4", "alice"),
    Page("image-platforms", "/repositories/alice/app/-/v2.0", "alice"),
    Page("comparison", "/repositories/alice/app/-/v1.3/compare?with=v1.4", "alice"),
    Page("sbom", f"/repositories/alice/app/-/v2.0-sbom/contents/{digest_of(sbom())}", "alice"),
    Page("chart", "/repositories/alice/charts/app/-/1.2.0", "alice"),
    Page("account", "/account", "bob"),
    Page("admin-login", "/admin/login/", ""),
    Page("admin-overview", "/admin/", "admin"),
    Page("admin-accounts", "/admin/accounts/account/", "admin"),
    Page("admin-rules", "/admin/acl/rule/", "admin"),
    Page("admin-rule", "/admin/acl/rule/add/", "admin"),
    Page("admin-explain", "/admin/acl/rule/explain/?account=bob&action=push&repository=alice/app", "admin"),
    Page("admin-groups", "/admin/auth/group/", "admin"),
    Page("admin-scrub", "/admin/gc/scrub/", "admin"),
    Page("admin-runs", "/admin/gc/run/", "admin"),
)
