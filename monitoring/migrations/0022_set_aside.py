import django.db.models.deletion
import monitoring.domain.replay
from django.db import migrations, models


class Migration(migrations.Migration):

    dependencies = [('monitoring', '0021_finality_and_confirmation')]

    operations = [
        migrations.CreateModel(
            name='SetAside',
            fields=[
                ('id', models.BigAutoField(auto_created=True, primary_key=True, serialize=False, verbose_name='ID')),
                ('kind', models.CharField(choices=[('step', 'step of a round'), ('delivery', 'message'), ('escalation', 'next step of an alert'), ('classification', 'classification of a patient'), ('unverified', 'watch over an unverified result'), ('suspicious', 'watch over a suspicious value'), ('overdue', 'watch over the next sample of a patient'), ('no_restart', 'watch over the restart of a patient'), ('no_mmr_after_restart', 'watch over the response after a restart'), ('upload', 'file that waits to be loaded'), ('night', 'nightly job'), ('ladder', 'escalation policy of a centre'), ('time_zone', 'time zone of a centre'), ('centre', 'telling the administrators of a centre')], max_length=30)),
                ('key', models.CharField(max_length=200)),
                ('error', models.CharField(max_length=300)),
                ('first_at', models.DateTimeField()),
                ('last_at', models.DateTimeField()),
                ('attempts', models.PositiveIntegerField(default=1)),
                ('retry_at', models.DateTimeField()),
                ('settled_at', models.DateTimeField(null=True)),
            ],
        ),
        migrations.RemoveConstraint(
            model_name='alert',
            name='alert_has_patient',
        ),
        migrations.AlterField(
            model_name='alert',
            name='kind',
            field=models.CharField(choices=[(monitoring.domain.alerting.kinds.AlertKind['LOSS_OF_MMR'], 'loss of MMR off treatment'), (monitoring.domain.alerting.kinds.AlertKind['NOT_IN_MMR_OFF_TREATMENT'], 'not in MMR off treatment'), (monitoring.domain.alerting.kinds.AlertKind['LOSS_OF_MMR_ON_TREATMENT'], 'loss of MMR on treatment'), (monitoring.domain.alerting.kinds.AlertKind['TREATMENT_UNKNOWN'], 'MMR lost, treatment unknown'), (monitoring.domain.alerting.kinds.AlertKind['STOP_REASON_MISSING'], 'reason of the stop is missing'), (monitoring.domain.alerting.kinds.AlertKind['FACTOR_MISSING'], 'conversion factor is missing'), (monitoring.domain.alerting.kinds.AlertKind['DETECTABLE_AGAIN'], 'detectable again off treatment'), (monitoring.domain.alerting.kinds.AlertKind['LOSS_OF_MR4'], 'MR4 lost off treatment'), (monitoring.domain.alerting.kinds.AlertKind['FAST_DOUBLING'], 'doubling in less than 12.75 days in month 2'), (monitoring.domain.alerting.kinds.AlertKind['FLUCTUATION'], 'fluctuating above 0.0032 % off treatment'), (monitoring.domain.alerting.kinds.AlertKind['UNVERIFIED'], 'result waits for verification'), (monitoring.domain.alerting.kinds.AlertKind['SUSPICIOUS_VALUE'], 'suspicious value above 0.1 % waits for verification'), (monitoring.domain.alerting.kinds.AlertKind['MILESTONE_FAILED'], 'milestone on treatment failed'), (monitoring.domain.alerting.kinds.AlertKind['NO_MMR_AFTER_RESTART'], 'no MMR three months after the restart'), (monitoring.domain.alerting.kinds.AlertKind['OVERDUE_SAMPLE'], 'sample is overdue'), (monitoring.domain.alerting.kinds.AlertKind['OVERDUE_RESULT'], 'result of a sample is overdue'), (monitoring.domain.alerting.kinds.AlertKind['NO_RESTART'], 'no restart on record 28 days after loss of MMR'), (monitoring.domain.alerting.kinds.AlertKind['LOSS_IN_PREGNANCY'], 'loss of MMR in pregnancy: specialist review'), (monitoring.domain.alerting.kinds.AlertKind['HAND_OVER'], 'hand-over of older losses'), (monitoring.domain.alerting.kinds.AlertKind['NO_CLINICIAN'], 'centre without a clinician'), (monitoring.domain.alerting.kinds.AlertKind['UNCONFIRMED_TREATMENT'], 'restart, death or transplant recorded by somebody who does not treat'), (monitoring.domain.alerting.kinds.AlertKind['SET_ASIDE'], 'work of the service was set aside')], max_length=40, verbose_name='kind'),
        ),
        migrations.AlterField(
            model_name='alertevent',
            name='kind',
            field=models.CharField(choices=[(monitoring.domain.alerting.kinds.AlertKind['LOSS_OF_MMR'], 'loss of MMR off treatment'), (monitoring.domain.alerting.kinds.AlertKind['NOT_IN_MMR_OFF_TREATMENT'], 'not in MMR off treatment'), (monitoring.domain.alerting.kinds.AlertKind['LOSS_OF_MMR_ON_TREATMENT'], 'loss of MMR on treatment'), (monitoring.domain.alerting.kinds.AlertKind['TREATMENT_UNKNOWN'], 'MMR lost, treatment unknown'), (monitoring.domain.alerting.kinds.AlertKind['STOP_REASON_MISSING'], 'reason of the stop is missing'), (monitoring.domain.alerting.kinds.AlertKind['FACTOR_MISSING'], 'conversion factor is missing'), (monitoring.domain.alerting.kinds.AlertKind['DETECTABLE_AGAIN'], 'detectable again off treatment'), (monitoring.domain.alerting.kinds.AlertKind['LOSS_OF_MR4'], 'MR4 lost off treatment'), (monitoring.domain.alerting.kinds.AlertKind['FAST_DOUBLING'], 'doubling in less than 12.75 days in month 2'), (monitoring.domain.alerting.kinds.AlertKind['FLUCTUATION'], 'fluctuating above 0.0032 % off treatment'), (monitoring.domain.alerting.kinds.AlertKind['UNVERIFIED'], 'result waits for verification'), (monitoring.domain.alerting.kinds.AlertKind['SUSPICIOUS_VALUE'], 'suspicious value above 0.1 % waits for verification'), (monitoring.domain.alerting.kinds.AlertKind['MILESTONE_FAILED'], 'milestone on treatment failed'), (monitoring.domain.alerting.kinds.AlertKind['NO_MMR_AFTER_RESTART'], 'no MMR three months after the restart'), (monitoring.domain.alerting.kinds.AlertKind['OVERDUE_SAMPLE'], 'sample is overdue'), (monitoring.domain.alerting.kinds.AlertKind['OVERDUE_RESULT'], 'result of a sample is overdue'), (monitoring.domain.alerting.kinds.AlertKind['NO_RESTART'], 'no restart on record 28 days after loss of MMR'), (monitoring.domain.alerting.kinds.AlertKind['LOSS_IN_PREGNANCY'], 'loss of MMR in pregnancy: specialist review'), (monitoring.domain.alerting.kinds.AlertKind['HAND_OVER'], 'hand-over of older losses'), (monitoring.domain.alerting.kinds.AlertKind['NO_CLINICIAN'], 'centre without a clinician'), (monitoring.domain.alerting.kinds.AlertKind['UNCONFIRMED_TREATMENT'], 'restart, death or transplant recorded by somebody who does not treat'), (monitoring.domain.alerting.kinds.AlertKind['SET_ASIDE'], 'work of the service was set aside')], max_length=40, verbose_name='kind'),
        ),
        migrations.AddConstraint(
            model_name='alert',
            constraint=models.CheckConstraint(condition=models.Q(('patient__isnull', False), ('kind__in', ['hand_over', 'no_clinician', 'set_aside']), _connector='OR'), name='alert_has_patient'),
        ),
        migrations.AddField(
            model_name='setaside',
            name='centre',
            field=models.ForeignKey(null=True, on_delete=django.db.models.deletion.PROTECT, related_name='+', to='monitoring.centre'),
        ),
        migrations.AddIndex(
            model_name='setaside',
            index=models.Index(condition=models.Q(('settled_at__isnull', True)), fields=['kind', 'retry_at'], name='set_aside_open'),
        ),
        migrations.AddConstraint(
            model_name='setaside',
            constraint=models.UniqueConstraint(fields=('kind', 'key'), name='set_aside_once'),
        ),
    ]
