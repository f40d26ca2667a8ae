"""Load a file of patients."""

from monitoring.management.importing import ImportCommand


class Command(ImportCommand):
    help = "Load a CSV or XLSX file of patients."
    kind = "patients"
