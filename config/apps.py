"""Wiring as an application, so that `serve` is a management command and migrations end with the privileges."""

from django.apps import AppConfig, apps
from django.db.models.signals import post_migrate

from config.privileges import grant_after_migrate


class ConfigApp(AppConfig):
    name = "config"

    def ready(self) -> None:
        # Signalled once for each application that has models, after all migrations: once is enough.
        post_migrate.connect(grant_after_migrate, sender=apps.get_app_config("monitoring"))
