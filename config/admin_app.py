"""Puts our site in the place of the default one, so that every model is registered with it."""

from django.contrib.admin.apps import AdminConfig


class ConfigurationPages(AdminConfig):
    default_site = "config.admin_site.ConfigurationSite"
