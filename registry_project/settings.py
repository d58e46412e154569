"""Django's settings, made from the one configuration file (`configuration`)."""

from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import dj_database_url
from django.templatetags.static import static
from django.urls import reverse_lazy

from configuration import Configuration, in_force
from core.db.other_sessions import APPLICATION_NAME
from core.private_files import random_text, read_or_create
from distribution.storage.backends import backend_of
from registry_project.version import VERSION

REGISTRY: Configuration = in_force()
"""The configuration with all defaults."""

_server = REGISTRY.server
_public = urlsplit(_server.public_url or "")
_is_https = _public.scheme == "https"

SECRET_KEY = _server.secret_key or read_or_create(_server.data_directory / "keys" / "secret.key", random_text).decode()
DEBUG = False
REGISTRY_VERSION = VERSION
ROOT_URLCONF = "registry_project.urls"
WSGI_APPLICATION = "registry_project.wsgi.application"
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"
USE_TZ = True
TIME_ZONE = "UTC"
LANGUAGE_CODE = "en-us"
USE_I18N = False
# Those of a language come before a setting DATETIME_FORMAT.
FORMAT_MODULE_PATH = "registry_project.formats"

# --- apps --------------------------------------------------------------------------------------------
INSTALLED_APPS = [
    "unfold.apps.BasicAppConfig",
    "unfold.contrib.filters",
    "registry_project.apps.RegistryAdminConfig",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "rest_framework",
    "drf_spectacular",
    "audit",
    "accounts",
    "acl",
    "tokens",
    "policies",
    "upstreams",
    "identity_providers",
    "webhooks",
    "distribution",
    "collector",
    "provisioning",
    "backup",
    "database_copy",
    "storage_copy",
    "diagnostics",
    "api",
    "web",
    "administration",
    "registry_project.apps.RegistryProjectConfig",
]

# The first answers /v2/ by its own chain (front_door.py), so the others see pages and the JSON API only.
MIDDLEWARE = [
    "registry_project.front_door.registry_first",
    "registry_project.middleware.browser_headers.browser_headers",
    "registry_project.middleware.proxies.TrustedProxyMiddleware",
    "registry_project.middleware.login_rate.limited_logins",
    "registry_project.health.HealthMiddleware",
    "registry_project.middleware.metrics.MetricsMiddleware",
    "registry_project.middleware.admin_door.AdminDoorMiddleware",
    "django.middleware.security.SecurityMiddleware",
    "registry_project.middleware.admin_door.static_files",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "registry_project.middleware.noted_account.noted_account",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "registry_project.middleware.database_errors.DatabaseErrorMiddleware",
]

# These templates replace those of the admin's theme that break the Content-Security-Policy.
_THEME = Path(__file__).parent / "theme"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [_THEME / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
            ]
        },
    }
]


# --- database ----------------------------------------------------------------------------------------
def _database() -> dict[str, Any]:
    url = REGISTRY.database.url or f"sqlite:///{(_server.data_directory / 'registry.sqlite3').absolute()}"
    values: dict[str, Any] = dict(dj_database_url.parse(url))
    # The engines are subclasses of Django's: private SQLite files, and a pool that survives a restart of PostgreSQL.
    if values["ENGINE"].endswith("sqlite3"):
        # FULL: with NORMAL a power cut loses acknowledged commits.
        pragmas = "PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-2000;"
        # IMMEDIATE: a deferred transaction that upgrades from read to write fails as "locked" without waiting.
        options = {"transaction_mode": "IMMEDIATE", "timeout": 20, "init_command": pragmas}
        # Each thread keeps its connection.
        values |= {"ENGINE": "core.db.sqlite3", "CONN_MAX_AGE": None}
    else:
        pool = {"min_size": 1, "max_size": max(8, _server.threads + 1), "timeout": 20}
        # Detect a lost server after half a minute; the kernel's default is a quarter of an hour.
        vanished = {"keepalives_idle": 30, "keepalives_interval": 10, "keepalives_count": 3, "tcp_user_timeout": 30_000}
        # By this name `core.db.other_sessions` finds servers.
        named = {"application_name": APPLICATION_NAME}
        options = {"pool": pool, "connect_timeout": 5, "options": "-c lock_timeout=10s", **vanished, **named}
        # A request takes a connection of the pool and gives it back at its end.
        values |= {"ENGINE": "core.db.postgresql", "CONN_MAX_AGE": 0}
    values["OPTIONS"] = {**values.get("OPTIONS", {}), **options}
    return values


DATABASES = {"default": _database()}

# --- blobs -------------------------------------------------------------------------------------------
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.InMemoryStorage"},
    "blobs": backend_of(REGISTRY.storage),
    "staticfiles": {"BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"},
}

STATIC_URL = "/static/"
STATICFILES_DIRS = [_THEME / "static"]
# Serve the packages' own folders, so that no start needs collectstatic.
WHITENOISE_USE_FINDERS = True
WHITENOISE_AUTOREFRESH = False

# --- accounts ----------------------------------------------------------------------------------------
AUTH_USER_MODEL = "accounts.Account"
AUTHENTICATION_BACKENDS = ["accounts.backends.AccountBackend"]
# Which it asks about names that have no password here: `accounts.providers`.
PASSWORD_PROVIDERS = {path: path for path in REGISTRY.auth.backends}
if REGISTRY.auth.ldap is not None:
    PASSWORD_PROVIDERS = {"ldap": "identity_providers.ldap.backend.DirectoryBackend", **PASSWORD_PROVIDERS}
PASSWORD_HASHERS = ["accounts.hashers.ImportedBCryptHasher"]
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator"},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
    {"NAME": "accounts.hashers.BcryptPasswordValidator"},
]
LOGIN_URL = "admin:login"
# The page after a login to the admin without `next`.
LOGIN_REDIRECT_URL = "admin:index"

# --- the browser's surface ---------------------------------------------------------------------------
_admin = REGISTRY.admin
_named = [url for url in (_server.public_url, _admin.public_url) if url]
# Browsers may open the admin's own address without a host name.
_own_host = [f"[{_admin.host}]" if ":" in _admin.host else _admin.host] if _admin.host else []
_hosts = [urlsplit(url).hostname or "" for url in _named]
ALLOWED_HOSTS: list[str] = [*_hosts, *_own_host, "localhost", "127.0.0.1", "[::1]"] if _public.hostname else ["*"]
CSRF_TRUSTED_ORIGINS = _named
SESSION_ENGINE = "accounts.sessions"
# If the admin has its own address, its URL counts, otherwise that of the registry.
_admin_is_https = (_admin.public_url or "").startswith("https:") if _admin.port else _is_https
# The pages are at the registry's address; `admin_door` sets it for each of the two.
PAGES_ARE_HTTPS = _is_https
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = _admin_is_https
SESSION_COOKIE_HTTPONLY = CSRF_COOKIE_HTTPONLY = True
SESSION_COOKIE_SAMESITE = CSRF_COOKIE_SAMESITE = "Lax"
# Not the names of versions whose cookies had the path /admin/: a logout would leave those.
SESSION_COOKIE_NAME = "registry_login"
CSRF_COOKIE_NAME = "registry_form"
X_FRAME_OPTIONS = "DENY"
SECURE_CONTENT_TYPE_NOSNIFF = True
SECURE_REFERRER_POLICY = "same-origin"
SECURE_HSTS_SECONDS = 31_536_000 if _is_https else 0
SECURE_HSTS_INCLUDE_SUBDOMAINS = SECURE_HSTS_PRELOAD = False
# TLS ends at the proxy: a redirect would break the proxy's health check.
SECURE_SSL_REDIRECT = False
SILENCED_SYSTEM_CHECKS = [
    # The reverse proxy terminates TLS and redirects http.
    "security.W008",
    # The domain's owner decides about subdomains and the preload list.
    "security.W005",
    "security.W021",
    # It requires 50 characters, but `openssl rand -base64 32` makes 44. The configuration refuses fewer than 32.
    "security.W009",
    # Plain http has neither HSTS nor secure cookies; `registry_project.checks` warns about it.
    *([] if _is_https else ["security.W004"]),
    *([] if _admin_is_https else ["security.W012", "security.W016"]),
]

UNFOLD = {
    "SITE_TITLE": "Registry",
    "SITE_HEADER": "Registry",
    "SITE_SYMBOL": "deployed_code",
    "SITE_URL": "/" if REGISTRY.pages.is_enabled else None,
    "SITE_FAVICONS": [{"rel": "icon", "type": "image/svg+xml", "href": lambda _request: static("web/icon.svg")}],
    "DASHBOARD_CALLBACK": "registry_project.dashboard.page.add_dashboard",
    "LOGIN": {"form": "accounts.login.forms.AdminLoginForm"},
    "SIDEBAR": {"show_search": False, "navigation": "administration.menu.navigation"},
    "ACCOUNT": {"navigation": [{"title": "Second factor", "link": reverse_lazy("admin:second_factor")}]},
}

REST_FRAMEWORK = {
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PARSER_CLASSES": ["api.json_body.BoundedJSONParser"],
    # The first one's challenge is that of a 401.
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "api.authentication.CachedBasicAuthentication",
        "api.session_login.SessionLogin",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["rest_framework.permissions.IsAuthenticated"],
    "DEFAULT_THROTTLE_CLASSES": ["api.throttling.RequestRate"],
    "DEFAULT_SCHEMA_CLASS": "api.schema.Schema",
    "DEFAULT_METADATA_CLASS": None,
    "EXCEPTION_HANDLER": "api.problems.handle",
    # Names of clients may have lone surrogates, which UTF-8 has not and JSON can escape.
    "UNICODE_JSON": False,
    "URL_FORMAT_OVERRIDE": None,
    "UNAUTHENTICATED_USER": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "Management API",
    "DESCRIPTION": "The management API of the registry. Errors are problem details (RFC 9457), lists have pages of at "
    "most 200 items, and changes may be conditional (If-Match).",
    "VERSION": "v1",
    "SCHEMA_PATH_PREFIX": "/api/v1",
    # What is sent differs from what is answered: a password is written only.
    "COMPONENT_SPLIT_REQUEST": True,
    "ENUM_NAME_OVERRIDES": {
        "ActionEnum": ["delete", "pull", "push"],
        "RuleActionEnum": ["pull", "push", "delete", "*"],
    },
}

# --- logs --------------------------------------------------------------------------------------------
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "formatters": {"json": {"()": "core.json_log.JsonFormatter"}},
    "filters": {"clients": {"()": "core.json_log.ClientFaults"}},
    "handlers": {"stderr": {"class": "core.stderr.StderrHandler", "formatter": "json", "filters": ["clients"]}},
    "root": {"handlers": ["stderr"], "level": "INFO"},
    "loggers": {
        # The registry logs refusals itself, with the reason.
        "django.request": {"level": "ERROR"},
        # Without Django's own console handler; the root logs each record once.
        "django": {"handlers": [], "propagate": True},
    },
}
