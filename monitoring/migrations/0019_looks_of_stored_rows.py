"""The look of what is stored. Of stored identifiers that look alike the later ones keep theirs, marked by themselves."""

from django.db import migrations

from monitoring.domain.text.lookalike import look_of


def fill(apps, schema_editor):
    for name, identifier, within in (("Centre", "code", None), ("Laboratory", "code", None), ("Patient", "patient_id", "centre_id")):
        model = apps.get_model("monitoring", name)
        seen, changed = set(), []
        for row in model.objects.order_by("pk").iterator(chunk_size=5000):
            written = getattr(row, identifier)
            row.look = look_of(written)
            key = (getattr(row, within) if within else None, row.look)
            if key in seen:
                row.look = f"{row.look}|{written}"
            seen.add(key)
            changed.append(row)
            if len(changed) == 5000:
                model.objects.bulk_update(changed, ["look"])
                changed = []
        model.objects.bulk_update(changed, ["look"])


class Migration(migrations.Migration):
    dependencies = [("monitoring", "0018_looks")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
