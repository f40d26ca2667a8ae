"""Each laboratory reports for the centres of the results that stand in its name."""

from django.db import migrations


def fill(apps, schema_editor):
    Result = apps.get_model("monitoring", "PcrResult")
    Link = apps.get_model("monitoring", "LaboratoryCentre")
    pairs = Result.objects.values_list("laboratory_id", "patient__centre_id").order_by().distinct()
    Link.objects.bulk_create([Link(laboratory_id=one, centre_id=other) for one, other in pairs], ignore_conflicts=True)


class Migration(migrations.Migration):
    dependencies = [("monitoring", "0016_laboratory_centres")]
    operations = [migrations.RunPython(fill, migrations.RunPython.noop)]
