"""Load a file of observations."""

from monitoring.management.importing import ImportCommand


class Command(ImportCommand):
    help = "Load a CSV or XLSX file of observations."
    kind = "observations"
