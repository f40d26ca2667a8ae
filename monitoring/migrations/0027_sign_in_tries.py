from django.db import migrations, models


class Migration(migrations.Migration):
    dependencies = [("monitoring", "0026_removed_centres_are_kept")]

    operations = [
        migrations.CreateModel(
            name="SignInTries",
            fields=[
                ("digest", models.BinaryField(primary_key=True, serialize=False)),
                ("tries", models.PositiveIntegerField()),
                ("since", models.DateTimeField()),
            ],
            options={"indexes": [models.Index(fields=["since"], name="sign_in_tries_by_age")]},
        ),
    ]
