"""Settings: what django-cas-ng needs, and as little as Django takes beside it."""

import os
from pathlib import Path

SECRET_KEY = "only for a test"
ALLOWED_HOSTS = ["127.0.0.1"]
ROOT_URLCONF = "urls"
USE_TZ = True
INSTALLED_APPS = [
    "django.contrib.auth",
    "django.contrib.contenttypes",
    "django.contrib.messages",
    "django.contrib.sessions",
    "django_cas_ng",
]
MIDDLEWARE = [
    "django.contrib.sessions.middleware.SessionMiddleware",
    "django.middleware.csrf.CsrfViewMiddleware",
    "django.contrib.auth.middleware.AuthenticationMiddleware",
    "django.contrib.messages.middleware.MessageMiddleware",
    "django_cas_ng.middleware.CASMiddleware",
]
AUTHENTICATION_BACKENDS = [
    "django.contrib.auth.backends.ModelBackend",
    "django_cas_ng.backends.CASBackend",
]
DATABASES = {
    "default": {
        "ENGINE": "django.db.backends.sqlite3",
        "NAME": Path(os.environ["APP_DATA"]) / "db.sqlite3",
    }
}
LOGIN_URL = "cas_ng_login"

CAS_SERVER_URL = os.environ["CAS_FRONT"] + "/"
CAS_VERSION = "3"
CAS_VERIFY_SSL_CERTIFICATE = os.environ["CAS_CA"]
CAS_APPLY_ATTRIBUTES_TO_USER = True
CAS_RENAME_ATTRIBUTES = {"mail": "email", "displayName": "first_name"}
