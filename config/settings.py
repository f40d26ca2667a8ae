"""Settings of every process, from the environment only. ``.env.example`` lists them; a wrong one stops start-up."""

import ipaddress
import os
import sys
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import environ
import pghistory
import pgtrigger
from django.core.exceptions import ImproperlyConfigured
from django.utils.translation import gettext_lazy as _

from config.walls import RETENTION_FLOORS

BASE_DIR = Path(__file__).resolve().parent.parent
env = environ.Env()

# Before anything loads numpy: the sums of a cohort gain nothing from several threads, and threads that wait for each
# other burn the cores that others need. One thread also adds up in one order wherever it runs.
os.environ.setdefault("OPENBLAS_NUM_THREADS", "1")


def required(name: str, hint: str) -> str:
    """The value of a setting that has no default, or a message that says how to get one."""
    value = env.str(name, default="")
    if not value:
        raise ImproperlyConfigured(f"{name} is not set. {hint}")
    return str(value)


def a_secret(name: str) -> str:
    value = required(
        name, f"Make one: python -c 'import secrets; print(secrets.token_urlsafe(48))', then export {name}=…"
    )
    if len(value) < 32:
        raise ImproperlyConfigured(f"{name} has {len(value)} characters; at least 32 are needed.")
    return value


TESTING = "pytest" in sys.modules
VAR_DIR = Path(env.str("VAR_DIR", default=str(BASE_DIR / "var"))).absolute()

SECRET_KEY = a_secret("SECRET_KEY")
IDENTITY_KEY = a_secret("IDENTITY_KEY")
DEBUG = False
PUBLIC_URL = env.str(
    "PUBLIC_URL", default=f"http://{env.str('BIND', default='127.0.0.1')}:{env.str('PORT', default='8000')}"
)
if urlsplit(PUBLIC_URL).scheme not in ("http", "https") or not urlsplit(PUBLIC_URL).hostname:
    raise ImproperlyConfigured(f"PUBLIC_URL is {PUBLIC_URL!r}; it must look like https://monitoring.example.org")
ALLOWED_HOSTS = env.list("ALLOWED_HOSTS", default=[urlsplit(PUBLIC_URL).hostname, "localhost", "127.0.0.1", "[::1]"])
CSRF_TRUSTED_ORIGINS = [PUBLIC_URL.rstrip("/")]

# Only what comes from these networks is believed about the client: X-Forwarded-For and X-Forwarded-Proto.
TRUSTED_PROXIES = []
for _network in env.list("TRUSTED_PROXIES", default=[]):
    try:
        TRUSTED_PROXIES.append(ipaddress.ip_network(_network.strip()))
    except ValueError as problem:
        raise ImproperlyConfigured(
            f"TRUSTED_PROXIES names {_network!r}: {problem}; write networks such as 172.30.80.0/29, with commas between"
        ) from problem
    if not TRUSTED_PROXIES[-1].prefixlen:
        raise ImproperlyConfigured(
            f"TRUSTED_PROXIES names {_network!r}, which is everybody; name the network of your proxy only"
        )

NIGHTLY_AT_UTC = env.str("NIGHTLY_AT_UTC", default="02:00")
try:
    NIGHTLY_HOUR, NIGHTLY_MINUTE = (int(part) for part in NIGHTLY_AT_UTC.split(":"))
    if not (0 <= NIGHTLY_HOUR < 24 and 0 <= NIGHTLY_MINUTE < 60):
        raise ValueError
except ValueError as problem:
    raise ImproperlyConfigured(
        f"NIGHTLY_AT_UTC is {NIGHTLY_AT_UTC!r}; write hours and minutes, such as 02:00"
    ) from problem

# How far away a person may put the day on which an alert comes back.
# The mailbox of the hourly canary; without one none is sent. The watchdog misses it after seventy minutes.
CANARY_MAIL_TO = env.str("CANARY_MAIL_TO", default="")
DIGEST_HOUR = env.int("DIGEST_HOUR", default=5)  # UTC: when people are told what waits, before the day begins
if not 0 <= DIGEST_HOUR <= 23:
    raise ImproperlyConfigured(f"DIGEST_HOUR is {DIGEST_HOUR}; write an hour from 0 to 23")
OPEN_ALERTS_DIR = env.str("OPEN_ALERTS_DIR", default="") or VAR_DIR / "open-alerts"
# How many days rows are kept; the database refuses to forget anything younger than the first number.
RETENTION_DAYS = {
    kind: env.int(f"RETENTION_{kind.upper()}_DAYS", default=days) for kind, (_least, days) in RETENTION_FLOORS.items()
}
for _kind, _days in RETENTION_DAYS.items():
    if _days < RETENTION_FLOORS[_kind][0]:
        raise ImproperlyConfigured(
            f"RETENTION_{_kind.upper()}_DAYS is {_days}; the least is {RETENTION_FLOORS[_kind][0]}"
        )
# Hosts inside the house that webhooks and gateways may call; every other address must be of the internet.
WEBHOOK_INTERNAL_HOSTS = frozenset(env.list("WEBHOOK_INTERNAL_HOSTS", default=[]))
WEBHOOK_CA_FILE = env.str("WEBHOOK_CA_FILE", default="")  # the authority of a house that signs its own certificates
LONGEST_WATCH_DAYS = env.int("LONGEST_WATCH_DAYS", default=92)
if not 1 <= LONGEST_WATCH_DAYS <= 366:
    raise ImproperlyConfigured(f"LONGEST_WATCH_DAYS is {LONGEST_WATCH_DAYS}; write a number of days from 1 to 366")

# --- database and broker ---------------------------------------------------------------------------------------------

# Commands that change the schema or the walls in it set `owner` (manage.py); every other process acts as cml_app, which
# may not delete or truncate clinical rows, whichever login it came with.
DATABASE_ROLE = env.str("DATABASE_ROLE", default="cml_app")
_AS_OWNER = DATABASE_ROLE == "owner" or TESTING
required("DATABASE_URL", "Name a PostgreSQL: postgresql://user:password@host/name")
_URL_NAME = "DATABASE_OWNER_URL" if _AS_OWNER and env.str("DATABASE_OWNER_URL", default="") else "DATABASE_URL"
DATABASES: dict[str, Any] = {
    "default": {
        **env.db_url_config(env.str(_URL_NAME)),
        "CONN_MAX_AGE": 0 if TESTING else 60,
        "CONN_HEALTH_CHECKS": True,
    }
}
if "postgresql" not in DATABASES["default"]["ENGINE"]:
    raise ImproperlyConfigured(f"{_URL_NAME} must name a PostgreSQL: postgresql://user:password@host/name")
DATABASES["default"].setdefault("OPTIONS", {}).setdefault("connect_timeout", 5)
if not _AS_OWNER:
    DATABASES["default"]["OPTIONS"]["assume_role"] = DATABASE_ROLE
if TESTING:
    DATABASES["default"]["OPTIONS"]["options"] = "-c cml.wipe=on"  # tests empty what is kept (config/walls.py)
DEFAULT_AUTO_FIELD = "django.db.models.BigAutoField"

REDIS_URL = required("REDIS_URL", "Name a Redis: redis://host:6379/0")
if urlsplit(REDIS_URL).scheme not in ("redis", "rediss", "unix"):
    raise ImproperlyConfigured(
        f"REDIS_URL starts with {urlsplit(REDIS_URL).scheme!r}; use redis://, rediss:// or unix://"
    )

# Alerts go out by e-mail; without EMAIL_URL they are written as files, so that a demo shows what would be sent.
EMAIL_CONFIG = env.email_url("EMAIL_URL", default="consolemail://") if env.str("EMAIL_URL", default="") else {}
EMAIL_BACKEND = EMAIL_CONFIG.get("EMAIL_BACKEND", "django.core.mail.backends.filebased.EmailBackend")
EMAIL_FILE_PATH = str(VAR_DIR / "mail")
EMAIL_HOST, EMAIL_PORT = EMAIL_CONFIG.get("EMAIL_HOST", ""), EMAIL_CONFIG.get("EMAIL_PORT") or 25
EMAIL_HOST_USER = EMAIL_CONFIG.get("EMAIL_HOST_USER") or ""
EMAIL_HOST_PASSWORD = EMAIL_CONFIG.get("EMAIL_HOST_PASSWORD") or ""
EMAIL_USE_TLS, EMAIL_USE_SSL = EMAIL_CONFIG.get("EMAIL_USE_TLS", False), EMAIL_CONFIG.get("EMAIL_USE_SSL", False)
EMAIL_TIMEOUT = 10
DEFAULT_FROM_EMAIL = env.str("MAIL_FROM", default="cml-monitoring@localhost")

# --- application ---------------------------------------------------------------------------------------------------

INSTALLED_APPS = [
    "config.admin_app.ConfigurationPages",
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.sessions",
    "django.contrib.messages",
    "django.contrib.staticfiles",
    "pgtrigger",
    "pghistory",
    "csp",
    "rest_framework",
    "django_filters",
    "drf_spectacular",
    "drf_spectacular_sidecar",
    "config",
    "monitoring",
    "cohorts",
]
MIDDLEWARE = [
    "monitoring.pages.bounds.KnowTheClient",
    "monitoring.pages.middleware.TraceRequests",
    "monitoring.pages.bounds.KeepNothing",
    "django.middleware.security.SecurityMiddleware",
    "whitenoise.middleware.WhiteNoiseMiddleware",
    "csp.middleware.CSPMiddleware",
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.locale.LocaleMiddleware",
    "monitoring.pages.bounds.BoundBodies",  # its words are in the language of the client
    "django.middleware.common.CommonMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.auth.middleware.LoginRequiredMiddleware",  # deny is the default; open pages say so
    "pghistory.middleware.HistoryMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django.middleware.clickjacking.XFrameOptionsMiddleware",
    "monitoring.pages.middleware.TellStaleData",
]
ROOT_URLCONF = "config.urls"
WSGI_APPLICATION = "config.wsgi.application"
TEMPLATES = [
    {
        "BACKEND": "django.template.backends.django.DjangoTemplates",
        "DIRS": [BASE_DIR / "templates"],
        "APP_DIRS": True,
        "OPTIONS": {
            "context_processors": [
                "django.template.context_processors.request",
                "django.template.context_processors.i18n",
                "django.contrib.auth.context_processors.auth",
                "django.contrib.messages.context_processors.messages",
                "monitoring.pages.context.every_page",
            ],
        },
    },
]

LOGIN_URL = "sign-in"
LOGIN_REDIRECT_URL = "home"
LOGOUT_REDIRECT_URL = "sign-in"
AUTH_PASSWORD_VALIDATORS = [
    {"NAME": "django.contrib.auth.password_validation.UserAttributeSimilarityValidator"},
    {"NAME": "django.contrib.auth.password_validation.MinimumLengthValidator", "OPTIONS": {"min_length": 12}},
    {"NAME": "django.contrib.auth.password_validation.CommonPasswordValidator"},
]
if TESTING:
    PASSWORD_HASHERS = ["django.contrib.auth.hashers.MD5PasswordHasher"]

# --- API -------------------------------------------------------------------------------------------------------------

REST_FRAMEWORK = {
    "DEFAULT_AUTHENTICATION_CLASSES": [
        "monitoring.api.authentication.TokenAuthentication",
        "rest_framework.authentication.SessionAuthentication",
    ],
    "DEFAULT_PERMISSION_CLASSES": ["monitoring.api.permissions.RolesAllow"],
    "DEFAULT_PARSER_CLASSES": ["monitoring.api.parsing.ExactJSONParser"],
    "DEFAULT_RENDERER_CLASSES": ["rest_framework.renderers.JSONRenderer"],
    "DEFAULT_PAGINATION_CLASS": "monitoring.api.paging.Pages",
    "DEFAULT_FILTER_BACKENDS": ["django_filters.rest_framework.DjangoFilterBackend"],
    "DEFAULT_SCHEMA_CLASS": "drf_spectacular.openapi.AutoSchema",
    "EXCEPTION_HANDLER": "monitoring.api.problems.answer",
    "URL_FORMAT_OVERRIDE": None,
}
SPECTACULAR_SETTINGS = {
    "TITLE": "CML molecular-response monitoring",
    "DESCRIPTION": "Serial BCR::ABL1 results, their classes, treatment-free episodes, alerts, and cohort figures.",
    "VERSION": "1",
    "SCHEMA_PATH_PREFIX": "/api/v1/",
    "SERVE_INCLUDE_SCHEMA": False,
    "COMPONENT_SPLIT_REQUEST": False,
    "POSTPROCESSING_HOOKS": [
        "drf_spectacular.hooks.postprocess_schema_enums",
        "monitoring.api.schema.add_problems_and_headers",
    ],
    "ENUM_NAME_OVERRIDES": {
        "FactKindEnum": "monitoring.models.choices.FACT_KIND",
        "AlertKindEnum": "monitoring.models.choices.ALERT_KIND",
        "StopReasonEnum": "monitoring.models.choices.STOP_REASON",
    },
}

# --- security --------------------------------------------------------------------------------------------------------

SERVED_OVER_HTTPS = PUBLIC_URL.startswith("https://")
SESSION_COOKIE_SECURE = CSRF_COOKIE_SECURE = LANGUAGE_COOKIE_SECURE = SERVED_OVER_HTTPS
if SERVED_OVER_HTTPS:  # the prefix makes browsers refuse a cookie that another host of the domain has planted
    SESSION_COOKIE_NAME, CSRF_COOKIE_NAME = "__Host-sessionid", "__Host-csrftoken"
SESSION_COOKIE_AGE = 12 * 3600  # a working day
# Of a form only its fields count here, and of the API its whole body; files are bounded by their announced length.
DATA_UPLOAD_MAX_MEMORY_SIZE = 1_000_000
DATA_UPLOAD_MAX_NUMBER_FIELDS = 1000
DATA_UPLOAD_MAX_NUMBER_FILES = 5
SECURE_HSTS_SECONDS = 31_536_000 if SERVED_OVER_HTTPS else 0
SECURE_REFERRER_POLICY = "same-origin"
X_FRAME_OPTIONS = "DENY"
CONTENT_SECURITY_POLICY = {
    "DIRECTIVES": {
        "default-src": ["'none'"],
        "script-src": ["'self'"],
        "style-src": ["'self'"],
        "img-src": ["'self'", "data:"],
        "font-src": ["'self'"],
        "connect-src": ["'self'"],
        "form-action": ["'self'"],
        "base-uri": ["'none'"],
        "frame-ancestors": ["'none'"],
    }
}

# --- language and time -----------------------------------------------------------------------------------------------

LANGUAGE_CODE = "en"
LANGUAGES = [("en", _("English")), ("zh-hans", _("Simplified Chinese"))]
LOCALE_PATHS = [BASE_DIR / "locale"]
TIME_ZONE = "UTC"
USE_TZ = True

# --- static files ----------------------------------------------------------------------------------------------------

STATIC_URL = "/static/"
STATICFILES_DIRS = [BASE_DIR / "static"]
STATIC_ROOT = VAR_DIR / "static"
STORAGES = {
    "default": {"BACKEND": "django.core.files.storage.FileSystemStorage"},
    "staticfiles": {
        "BACKEND": "django.contrib.staticfiles.storage.StaticFilesStorage"
        if TESTING
        else "config.static_files.HashedFiles"
    },
}
WHITENOISE_USE_FINDERS = WHITENOISE_AUTOREFRESH = TESTING

# --- history ---------------------------------------------------------------------------------------------------------

PGHISTORY_APPEND_ONLY = True  # event tables refuse update and delete by trigger
PGHISTORY_CONTEXT_FIELD = pghistory.ContextJSONField()  # who and why stand on the event row itself
PGHISTORY_LEVEL = pgtrigger.Statement  # one trigger call a statement: bulk loads stay bulk

# One JSON object a line, without values of patients; LOG_FORMAT=line for a terminal.
LOG_FORMAT = env.str("LOG_FORMAT", default="json")
if LOG_FORMAT not in ("json", "line"):
    raise ImproperlyConfigured(f"LOG_FORMAT is {LOG_FORMAT!r}; use json or line")
_RECORD = "%(asctime)s %(levelname)s %(name)s %(message)s %(request_id)s"
LOGGING = {
    "version": 1,
    "disable_existing_loggers": False,
    "filters": {"request_id": {"()": "monitoring.tracing.WithRequestId"}},
    "formatters": {
        "json": {
            "()": "monitoring.tracing.ObjectFormatter",
            "fmt": _RECORD,
            "rename_fields": {"asctime": "at", "levelname": "level"},
        },
        "line": {"()": "monitoring.tracing.LineFormatter", "fmt": _RECORD},
    },
    "handlers": {"console": {"class": "logging.StreamHandler", "formatter": LOG_FORMAT, "filters": ["request_id"]}},
    "root": {"handlers": ["console"], "level": env.str("LOG_LEVEL", default="WARNING")},
    "loggers": {
        "monitoring": {"level": "INFO"},
        "monitoring.requests": {"level": "INFO" if LOG_FORMAT == "json" and not TESTING else "WARNING"},
        "cohorts": {"level": "INFO"},
        "tasks": {"level": "INFO"},
        "django": {"handlers": [], "propagate": True},  # also its request log goes through our formatter
    },
}
