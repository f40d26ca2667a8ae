"""Addresses."""

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import LoginView, LogoutView
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView
from django.views.i18n import set_language

from config.home import home
from monitoring.pages import alerts
from monitoring.pages.health import livez, readyz

urlpatterns: list[URLPattern | URLResolver] = [
    path("", home, name="home"),
    path("alerts/", alerts.inbox, name="alerts"),
    path("alerts/<uuid:public_id>/", alerts.detail, name="alert"),
    path("alerts/<uuid:public_id>/acknowledge/", alerts.acknowledge_alert, name="acknowledge-alert"),
    path("alerts/<uuid:public_id>/act/", alerts.act_on_alert, name="act-on-alert"),
    path("api/", include("config.api")),
    path("sign-in/", LoginView.as_view(template_name="sign_in.html", redirect_authenticated_user=True), name="sign-in"),
    path("sign-out/", LogoutView.as_view(), name="sign-out"),
    path("language/", login_not_required(set_language), name="language"),
    path("admin/", admin.site.urls),
    path("favicon.ico", login_not_required(RedirectView.as_view(url=f"{settings.STATIC_URL}icon.svg")), name="icon"),
    path("livez", livez, name="livez"),
    path("readyz", readyz, name="readyz"),
]
