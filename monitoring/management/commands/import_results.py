"""Load a file of results."""

from monitoring.management.importing import ImportCommand


class Command(ImportCommand):
    help = "Load a CSV or XLSX file of results."
    kind = "results"
