"""The paths of the pages. `-` and `~` are no components of a repository's name, so they end one.

Behind `-` is a tag or digest, behind `~` what a repository has besides.
"""

from django.urls import path

from web.views import (
    access_tokens,
    account,
    company_login,
    compare,
    contents,
    deletion,
    description,
    image,
    login,
    repositories,
    tag_history,
)

app_name = "web"
urlpatterns = [
    path("", repositories.all_repositories, name="repositories"),
    path("login", login.LoginPage.as_view(), name="login"),
    path("login/code", login.code, name="code"),
    path("login/company", company_login.start, name="company_login"),
    path("login/company/callback", company_login.finish, name="company_login_finish"),
    path("logout", login.sign_out, name="logout"),
    path("account", account.own_account, name="account"),
    path("account/logins/revoke", account.revoke_logins, name="revoke_logins"),
    path("account/tokens", access_tokens.own_tokens, name="tokens"),
    path("account/tokens/revoke", access_tokens.revoke, name="revoke_token"),
    path("account/robots", access_tokens.own_robots, name="robots"),
    path("account/robots/<str:name>/tokens", access_tokens.robot_tokens, name="robot_tokens"),
    path("account/robots/<str:name>/tokens/revoke", access_tokens.revoke_of_robot, name="revoke_robot_token"),
    path("repositories/<path:name>/-/<str:tag>/history", tag_history.one_tag, name="history"),
    path("repositories/<path:name>/-/<str:tag>/rollback", tag_history.roll_back, name="roll_back"),
    path("repositories/<path:name>/-/<str:reference>/delete", deletion.delete_reference, name="delete"),
    path("repositories/<path:name>/~/deleted", tag_history.deleted_tags, name="deleted_tags"),
    path("repositories/<path:name>/~/delete", deletion.delete_repository, name="delete_repository"),
    path("repositories/<path:name>/~/description", description.edit_description, name="description"),
    path("repositories/<path:name>/-/<str:reference>", image.one_image, name="image"),
    path("repositories/<path:name>/-/<str:reference>/compare", compare.two_images, name="compare"),
    path("repositories/<path:name>/-/<str:reference>/contents/<str:digest>", contents.one_document, name="contents"),
    path("repositories/<path:name>", repositories.one_repository, name="repository"),
]
