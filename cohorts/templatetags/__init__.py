"""Filters of the cohort pages."""
