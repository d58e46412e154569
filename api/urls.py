"""The paths of `/api/v1/`. `/-/` ends the name of a repository: see `api.repositories`."""

from django.urls import path, re_path

from api.about.about import ConnectionView, ExplainView, VersionView, WhoamiView
from api.access_tokens.access_tokens import (
    AccessTokensView,
    AccessTokenView,
    RobotsView,
    RobotTokensView,
    RobotTokenView,
    TrustedIssuersView,
)
from api.accounts.accounts import AccountsView, AccountView
from api.accounts.groups import GroupsView, GroupView
from api.audit.events import EventsView
from api.collection.runs import FindingsView, RunsView, RunView, WithdrawalView
from api.configuration.configuration import ConfigurationView
from api.docs import UnknownPathView, docs
from api.policies import policies
from api.proxies.proxies import ProxiesView, ProxyView
from api.repositories.description import DescriptionView
from api.repositories.manifests import ManifestsView, ManifestView
from api.repositories.referrers import ReferrersView
from api.repositories.repositories import RepositoriesView, RepositoryView
from api.repositories.tag_history import TagHistoryView
from api.repositories.tags import TagsView, TagView
from api.repositories.usage import UsageView
from api.rules.rules import RulesView, RuleView
from api.schema import SchemaView
from api.webhooks.webhooks import (
    DeliveriesView,
    ReplayView,
    WebhookStateView,
    WebhooksView,
    WebhookTestView,
    WebhookView,
)

app_name = "api"
urlpatterns = [
    path("", docs, name="docs"),
    path("schema", SchemaView.as_view(), name="schema"),
    path("version", VersionView.as_view()),
    path("whoami", WhoamiView.as_view()),
    path("connection", ConnectionView.as_view()),
    path("explain", ExplainView.as_view()),
    path("repositories", RepositoriesView.as_view()),
    path("repositories/<path:name>/-/tags", TagsView.as_view()),
    path("repositories/<path:name>/-/tags/<str:tag>", TagView.as_view()),
    path("repositories/<path:name>/-/tags/<str:tag>/history", TagHistoryView.as_view()),
    path("repositories/<path:name>/-/manifests", ManifestsView.as_view()),
    path("repositories/<path:name>/-/manifests/<str:reference>", ManifestView.as_view()),
    path("repositories/<path:name>/-/referrers/<str:digest>", ReferrersView.as_view()),
    path("repositories/<path:name>/-/usage", UsageView.as_view()),
    path("repositories/<path:name>/-/description", DescriptionView.as_view()),
    path("repositories/<path:name>", RepositoryView.as_view()),
    path("tokens", AccessTokensView.as_view()),
    path("tokens/<int:token_id>", AccessTokenView.as_view()),
    path("robots", RobotsView.as_view()),
    path("robots/<str:name>/tokens", RobotTokensView.as_view()),
    path("robots/<str:name>/tokens/<int:token_id>", RobotTokenView.as_view()),
    path("trusted-issuers", TrustedIssuersView.as_view()),
    path("accounts", AccountsView.as_view()),
    path("accounts/<str:name>", AccountView.as_view(), name="account"),
    path("groups", GroupsView.as_view()),
    path("groups/<int:group_id>", GroupView.as_view(), name="group"),
    path("rules", RulesView.as_view()),
    path("rules/<int:rule_id>", RuleView.as_view(), name="rule"),
    *policies.paths(),
    path("proxies", ProxiesView.as_view()),
    path("proxies/<int:proxy_id>", ProxyView.as_view(), name="proxy"),
    path("webhooks", WebhooksView.as_view()),
    path("webhooks/<int:webhook_id>", WebhookView.as_view(), name="webhook"),
    path("webhooks/<int:webhook_id>/state", WebhookStateView.as_view()),
    path("webhooks/<int:webhook_id>/deliveries", DeliveriesView.as_view()),
    path("webhooks/<int:webhook_id>/replay", ReplayView.as_view()),
    path("webhooks/<int:webhook_id>/test", WebhookTestView.as_view()),
    path("collection/runs", RunsView.as_view()),
    path("collection/runs/<int:run_id>", RunView.as_view(), name="run"),
    path("collection/runs/<int:run_id>/findings", FindingsView.as_view()),
    path("collection/runs/<int:run_id>/withdrawal", WithdrawalView.as_view()),
    path("audit", EventsView.as_view()),
    path("configuration", ConfigurationView.as_view()),
    # The empty pattern matches every path that is left.
    re_path("", UnknownPathView.as_view()),
]
