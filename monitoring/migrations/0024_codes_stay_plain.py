import monitoring.models.centres
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [('monitoring', '0023_plain_codes')]

    operations = [
        migrations.AlterField(
            model_name='centre',
            name='code',
            field=models.CharField(max_length=60, unique=True, validators=[monitoring.models.centres.validate_plain], verbose_name='code'),
        ),
        migrations.AlterField(
            model_name='centre',
            name='name',
            field=models.CharField(blank=True, max_length=200, validators=[monitoring.models.centres.validate_plain], verbose_name='name'),
        ),
        migrations.AlterField(
            model_name='centre',
            name='time_zone',
            field=models.CharField(default='UTC', max_length=60, validators=[monitoring.models.centres.validate_time_zone], verbose_name='time zone'),
        ),
        migrations.AlterField(
            model_name='centreevent',
            name='code',
            field=models.CharField(max_length=60, validators=[monitoring.models.centres.validate_plain], verbose_name='code'),
        ),
        migrations.AlterField(
            model_name='centreevent',
            name='name',
            field=models.CharField(blank=True, max_length=200, validators=[monitoring.models.centres.validate_plain], verbose_name='name'),
        ),
        migrations.AlterField(
            model_name='centreevent',
            name='time_zone',
            field=models.CharField(default='UTC', max_length=60, validators=[monitoring.models.centres.validate_time_zone], verbose_name='time zone'),
        ),
        migrations.AlterField(
            model_name='laboratory',
            name='code',
            field=models.CharField(max_length=60, unique=True, validators=[monitoring.models.centres.validate_plain], verbose_name='code'),
        ),
        migrations.AlterField(
            model_name='laboratory',
            name='name',
            field=models.CharField(blank=True, max_length=200, validators=[monitoring.models.centres.validate_plain], verbose_name='name'),
        ),
        migrations.AlterField(
            model_name='laboratoryevent',
            name='code',
            field=models.CharField(max_length=60, validators=[monitoring.models.centres.validate_plain], verbose_name='code'),
        ),
        migrations.AlterField(
            model_name='laboratoryevent',
            name='name',
            field=models.CharField(blank=True, max_length=200, validators=[monitoring.models.centres.validate_plain], verbose_name='name'),
        ),
        migrations.AddConstraint(
            model_name='centre',
            constraint=models.CheckConstraint(condition=models.Q(('code__regex', '^[^\\U00000001-\\U0000001F\\U0000007F-\\U0000009F\\U000000AD-\\U000000AD\\U00000600-\\U00000605\\U0000061C-\\U0000061C\\U0000180E-\\U0000180E\\U0000200B-\\U0000200F\\U00002028-\\U0000202E\\U00002060-\\U0000206F\\U0000FEFF-\\U0000FEFF\\U0000FFF9-\\U0000FFFB\\U000E0001-\\U000E007F]+$')), name='centre_code_plain'),
        ),
        migrations.AddConstraint(
            model_name='centre',
            constraint=models.CheckConstraint(condition=models.Q(('time_zone__regex', '^[A-Za-z0-9_+/-]+$')), name='centre_time_zone_plain'),
        ),
        migrations.AddConstraint(
            model_name='laboratory',
            constraint=models.CheckConstraint(condition=models.Q(('code__regex', '^[^\\U00000001-\\U0000001F\\U0000007F-\\U0000009F\\U000000AD-\\U000000AD\\U00000600-\\U00000605\\U0000061C-\\U0000061C\\U0000180E-\\U0000180E\\U0000200B-\\U0000200F\\U00002028-\\U0000202E\\U00002060-\\U0000206F\\U0000FEFF-\\U0000FEFF\\U0000FFF9-\\U0000FFFB\\U000E0001-\\U000E007F]+$')), name='laboratory_code_plain'),
        ),
    ]
