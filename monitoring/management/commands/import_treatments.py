"""Load a file of treatments."""

from monitoring.management.importing import ImportCommand


class Command(ImportCommand):
    help = "Load a CSV or XLSX file of treatments."
    kind = "treatments"
