"""Cohort definitions, survival statistics and published snapshots. Reads monitoring, never the reverse."""
