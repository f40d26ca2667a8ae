"""Why alerts ended and messages were not sent: what was stored in English becomes a code with its values."""

import re

from django.db import migrations

CODES = {
    "the evidence no longer holds": "evidence_gone",
    "the result is no longer preliminary": "verified",
    "nothing in it is open any more": "emptied",
    "nothing is set aside any more": "nothing_aside",
    "answered by what was recorded since": "answered",
}
SETTLED = re.compile(r"(restart|death|allogeneic_transplant|loss of MMR|response regained) on (\d{4}-\d\d-\d\d)")
BY_A_PERSON = re.compile(r"acted: (withdrawn: )?(.*) \(([^()]*)\)", re.DOTALL)
NOT_SENT = "not sent: the alert is "


def code_of(text):
    """The code and the values of a reason as it was written; what nobody knows is kept as words."""
    if text in CODES:
        return CODES[text], {}
    if settled := SETTLED.fullmatch(text):
        return settled[1].replace(" ", "_").lower(), {"on": settled[2]}
    if person := BY_A_PERSON.fullmatch(text):
        return "withdrawn" if person[1] else "acted", {"words": person[2], "by": person[3]}
    if text.startswith("acted"):
        return "acted", {"words": text.removeprefix("acted").removeprefix(": "), "by": ""}
    return "not_known", {"words": text}


def convert(apps, schema_editor):
    alerts = apps.get_model("monitoring", "Alert").objects
    for pk, text in list(alerts.exclude(closing_reason="").values_list("pk", "closing_reason")):
        code, values = code_of(text)
        alerts.filter(pk=pk).update(closing_reason=code, closing_values=values)
    deliveries = apps.get_model("monitoring", "AlertDelivery").objects
    deliveries.filter(outcome="withdrawn before it was sent").update(outcome_code="withdrawn", outcome="")
    for pk, text in list(deliveries.filter(outcome__startswith=NOT_SENT).values_list("pk", "outcome")):
        deliveries.filter(pk=pk).update(outcome_code="not_needed", outcome=text.removeprefix(NOT_SENT))


class Migration(migrations.Migration):
    dependencies = [("monitoring", "0037_deeds_and_closings"), ("pghistory", "0007_auto_20250421_0444")]

    operations = [migrations.RunPython(convert, migrations.RunPython.noop)]
