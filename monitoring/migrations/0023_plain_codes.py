"""Codes without control, invisible or line-breaking characters, and time zones that exist; what was changed is told.

A centre's new code also names its hand-over and its missing clinician. A laboratory's new code is part of the names of its
results in ledger and alerts, so its patients are owed a classification.
"""

import zoneinfo

from django.db import migrations

from monitoring.domain.text.lookalike import look_of

LONGEST = 60
LIVE = ["open", "acknowledged"]
# Written out: a migration keeps meaning what it meant, whatever the rule becomes.
ODD = [
    (0x00, 0x1F), (0x7F, 0x9F), (0xAD, 0xAD), (0x600, 0x605), (0x61C, 0x61C), (0x180E, 0x180E), (0x200B, 0x200F),
    (0x2028, 0x202E), (0x2060, 0x206F), (0xFEFF, 0xFEFF), (0xFFF9, 0xFFFB), (0xE0001, 0xE007F),
]


def is_odd(character):
    return any(first <= ord(character) <= last for first, last in ODD)


def plain(code, taken):
    """The code with ``_`` for each odd character, made unique with a number."""
    wanted = "".join("_" if is_odd(c) else c for c in code) or "_"
    found, number = wanted, 1
    while found in taken:
        number += 1
        found = f"{wanted[: LONGEST - len(str(number)) - 1]}-{number}"
    return found


def repair_codes(model, told):
    """Yield each row whose code had to change, with the code it had."""
    taken = set(model.objects.values_list("code", flat=True))
    for row in model.objects.order_by("pk"):
        old = row.code
        if old and not any(map(is_odd, old)):
            continue
        row.code = plain(old, taken)
        taken.add(row.code)
        look = look_of(row.code)
        if not model.objects.filter(look=look).exists():
            row.look = look
        row.save(update_fields=["code", "look"])
        told(f"{model._meta.model_name} {row.pk}: code {old!r} is now {row.code!r}")
        yield row, old


def is_zone(name):
    try:
        zoneinfo.ZoneInfo(name)
    except (KeyError, ValueError, OSError):
        return False
    return True


def repair(apps, schema_editor):
    Alert, Centre = apps.get_model("monitoring", "Alert"), apps.get_model("monitoring", "Centre")
    Request = apps.get_model("monitoring", "ClassificationRequest")
    Patient = apps.get_model("monitoring", "Patient")
    told = lambda words: print(f"\n    {words}", end="")  # noqa: E731
    for centre, old in repair_codes(Centre, told):
        named = Alert.objects.filter(subject_key=f"centre/{old}", centre=centre, state__in=LIVE)
        named.update(subject_key=f"centre/{centre.code}")
    for laboratory, _ in repair_codes(apps.get_model("monitoring", "Laboratory"), told):
        owed = Patient.objects.filter(pk__in=apps.get_model("monitoring", "PcrResult").objects.filter(laboratory=laboratory).values("patient_id"))
        Request.objects.bulk_create([Request(patient=patient, bulk=True) for patient in owed])
    for centre in Centre.objects.order_by("pk"):
        if not is_zone(centre.time_zone):
            told(f"centre {centre.pk}: {centre.time_zone!r} is no time zone; it is now UTC, set the right one under Configuration")
            centre.time_zone = "UTC"
            centre.save(update_fields=["time_zone"])


class Migration(migrations.Migration):
    dependencies = [("monitoring", "0022_set_aside")]
    operations = [migrations.RunPython(repair, migrations.RunPython.noop)]
