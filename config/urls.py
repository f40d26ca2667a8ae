"""Addresses."""

from django.conf import settings
from django.contrib import admin
from django.contrib.auth.decorators import login_not_required
from django.contrib.auth.views import LogoutView
from django.urls import URLPattern, URLResolver, include, path
from django.views.generic import RedirectView
from django.views.i18n import set_language

from cohorts.pages import cohorts, definitions, laboratory_settings, snapshots
from config.home import home
from monitoring.api.metrics import Metrics
from monitoring.pages import (
    absences,
    alerts,
    backtests,
    bench,
    design,
    due,
    endpoints,
    imports,
    laboratories,
    ladders,
    operations,
    patients,
    people,
    protocols,
    results,
)  # fmt: skip
from monitoring.pages.health import livez, readyz
from monitoring.pages.sign_in import SignIn

handler400 = "monitoring.pages.bounds.bad_request"

urlpatterns: list[URLPattern | URLResolver] = [
    path("", home, name="home"),
    path("bench/", bench.bench, name="bench"),
    path("bench/preview/", bench.preview_entry, name="bench-preview"),
    path("verify/", results.waiting, name="waiting"),
    path("results/<uuid:public_id>/", results.detail, name="result"),
    path("results/<uuid:public_id>/verify/", results.verify, name="verify-result"),
    path("results/<uuid:public_id>/amend/", results.amend, name="amend-result"),
    path("results/<uuid:public_id>/retract/", results.retract, name="retract-result"),
    path("due/", due.due, name="due"),
    path("patients/", patients.search, name="patients"),
    path("patients/<uuid:public_id>/", patients.timeline, name="patient"),
    path("cohorts/", cohorts.index, name="cohorts"),
    path("cohorts/define/", definitions.new, name="define-cohort"),
    path("cohorts/define/count/", definitions.count, name="count-members"),
    path("cohorts/define/count/<uuid:public_id>/", definitions.counted, name="counted"),
    path("cohorts/<slug:slug>/", cohorts.detail, name="cohort"),
    path("cohorts/<slug:slug>/define/", definitions.edit, name="edit-cohort"),
    path("cohorts/<slug:slug>/define/count/", definitions.count, name="count-members-of"),
    path("cohorts/<slug:slug>/snapshots/", snapshots.index, name="cohort-snapshots"),
    path("cohorts/<slug:slug>/snapshots/name/", snapshots.name, name="name-snapshot"),
    path("cohorts/<slug:slug>/outputs/", snapshots.ask_output, name="ask-output"),
    path("outputs/<uuid:public_id>/", snapshots.output, name="cohort-output"),
    path("outputs/<uuid:public_id>/file/", snapshots.output_file, name="cohort-output-file"),
    path("cohorts/<slug:slug>/study/", cohorts.beside_study, name="cohort-study"),
    path("cohorts/<slug:slug>/figures.json", cohorts.download_figures, name="cohort-figures"),
    path("cohorts/<slug:slug>/members.csv", cohorts.download_members, name="cohort-members"),
    path("alerts/", alerts.inbox, name="alerts"),
    path("alerts/count/", alerts.count, name="alerts-count"),
    path("alerts/list/", alerts.printed_list, name="alerts-list"),
    path("alerts/<uuid:public_id>/", alerts.detail, name="alert"),
    path("alerts/<uuid:public_id>/acknowledge/", alerts.acknowledge_alert, name="acknowledge-alert"),
    path("alerts/<uuid:public_id>/act/", alerts.act_on_alert, name="act-on-alert"),
    path("alerts/<uuid:public_id>/messages/<int:delivery>/again/", alerts.send_again, name="send-alert-again"),
    path("ladders/", ladders.index, name="ladders"),
    path("ladders/<int:centre_id>/", ladders.centre, name="centre-ladders"),
    path("ladders/<int:centre_id>/kinds/<slug:name>/", ladders.kind, name="alert-kind"),
    path("ladders/<int:centre_id>/programs/", endpoints.index, name="alert-endpoints"),
    path("ladders/<int:centre_id>/programs/<int:endpoint_id>/end/", endpoints.end, name="end-alert-endpoint"),
    path("ladders/<int:centre_id>/<slug:name>/", ladders.ladder, name="ladder"),
    path("absences/", absences.index, name="absences"),
    path("absences/<int:absence_id>/end/", absences.end, name="end-absence"),
    path("imports/", imports.index, name="imports"),
    path("imports/<uuid:public_id>/", imports.detail, name="import"),
    path("imports/<uuid:public_id>/progress/", imports.progress, name="import-progress"),
    path("imports/<uuid:public_id>/load/", imports.load, name="load-import"),
    path("backtests/", backtests.index, name="backtests"),
    path("backtests/<uuid:public_id>/", backtests.detail, name="backtest"),
    path("protocols/", protocols.index, name="protocols"),
    path("protocols/<slug:code>/", protocols.detail, name="protocol"),
    path("protocols/<slug:code>/centres/", protocols.centres, name="protocol-centres"),
    path("laboratories/", laboratories.index, name="laboratories"),
    path("laboratories/<int:pk>/", laboratories.detail, name="laboratory"),
    path("laboratories/<int:pk>/settings/", laboratory_settings.settings, name="laboratory-settings"),
    path("laboratories/<int:pk>/centres/", laboratories.centres, name="laboratory-centres"),
    path("laboratories/<int:pk>/assays/", laboratory_settings.assay, name="new-assay"),
    path("laboratories/<int:pk>/assays/<int:assay_id>/", laboratory_settings.assay, name="assay"),
    path("laboratories/<int:pk>/factors/", laboratory_settings.factor, name="new-factor"),
    path("laboratories/<int:pk>/factors/<int:factor_id>/", laboratory_settings.factor, name="factor"),
    path("people/", people.index, name="people"),
    path("people/<int:person_id>/", people.detail, name="person"),
    path("people/<int:person_id>/link/", people.send_link, name="person-link"),
    path("people/<int:person_id>/close/", people.close, name="close-person"),
    path("people/roles/<int:membership_id>/confirm/", people.confirm, name="confirm-role"),
    path("people/roles/<int:membership_id>/end/", people.end, name="end-role"),
    path("set-password/<uidb64>/<token>/", people.SetPassword.as_view(), name="set-password"),
    path("change-password/", people.ChangePassword.as_view(), name="change-password"),
    path("design/", design.design, name="design"),
    path("operations/", operations.operations, name="operations"),
    path("api/", include("config.api")),
    path("sign-in/", SignIn.as_view(), name="sign-in"),
    path("sign-out/", LogoutView.as_view(), name="sign-out"),
    path("language/", login_not_required(set_language), name="language"),
    path("admin/", admin.site.urls),
    path("favicon.ico", login_not_required(RedirectView.as_view(url=f"{settings.STATIC_URL}icon.svg")), name="icon"),
    path("metrics", Metrics.as_view(), name="metrics"),
    path("livez", livez, name="livez"),
    path("readyz", readyz, name="readyz"),
]
