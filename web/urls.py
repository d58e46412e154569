"""The paths of the pages. `-` is no component of a repository's name, so it ends one."""

from django.urls import path

from web.views import access_tokens, account, compare, contents, image, login, repositories

app_name = "web"
urlpatterns = [
    path("", repositories.all_repositories, name="repositories"),
    path("login", login.LoginPage.as_view(), name="login"),
    path("login/code", login.code, name="code"),
    path("logout", login.sign_out, name="logout"),
    path("account", account.own_account, name="account"),
    path("account/logins/revoke", account.revoke_logins, name="revoke_logins"),
    path("account/tokens", access_tokens.own_tokens, name="tokens"),
    path("account/tokens/revoke", access_tokens.revoke, name="revoke_token"),
    path("repositories/<path:name>/-/<str:reference>", image.one_image, name="image"),
    path("repositories/<path:name>/-/<str:reference>/compare", compare.two_images, name="compare"),
    path("repositories/<path:name>/-/<str:reference>/contents/<str:digest>", contents.one_document, name="contents"),
    path("repositories/<path:name>", repositories.one_repository, name="repository"),
]
