"""Everything Celery: the application, the schedule, hints, and thin tasks. The broker only hints."""
