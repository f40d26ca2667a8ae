"""A sample cannot have been taken after its result was recorded; a day is left for time zones."""

from django.db import migrations


class Migration(migrations.Migration):
    dependencies = [("monitoring", "0001_initial")]

    operations = [
        migrations.RunSQL(
            sql="""
                alter table monitoring_pcrresult add constraint result_collected_not_after_recorded
                check (collected_on <= (recorded_at at time zone 'UTC')::date + 1)
            """,
            reverse_sql="alter table monitoring_pcrresult drop constraint result_collected_not_after_recorded",
        )
    ]
