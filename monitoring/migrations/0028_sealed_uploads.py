"""What was kept of given files in clear is dropped; who gave a file that was not read yet is asked for it again."""

from django.db import migrations
from django.db.models.functions import Now


def drop_what_stands_in_clear(apps, schema_editor):
    runs = apps.get_model("monitoring", "ImportRun").objects
    runs.filter(finished_at__isnull=True, content__isnull=False).update(
        finished_at=Now(), content=None, problem="The file was not kept over an update of the service; give it again."
    )
    runs.filter(content__isnull=False).update(content=None)
    runs.filter(verdicts__isnull=False).update(verdicts=None)


class Migration(migrations.Migration):
    dependencies = [("monitoring", "0027_sign_in_tries")]

    operations = [migrations.RunPython(drop_what_stands_in_clear, migrations.RunPython.noop)]
